import { expect, it } from "vitest";
import { countCalls, told, total } from "./calls.ts";

it("counts each call once, by what it is for and what it asks", () => {
  const counted = countCalls([
    { service: "secretsmanager", operation: "GetSecretValue" },
    { service: "dynamodb", operation: "PutItem" },
    { service: "secretsmanager", operation: "DescribeSecret" },
    { service: "secretsmanager", operation: "GetSecretValue" },
    { service: "s3", operation: "PUT" },
  ]);
  expect(counted).toEqual({
    store: { DescribeSecret: 1, GetSecretValue: 2 },
    journal: { PutItem: 1 },
    audit: { PUT: 1 },
    bus: {},
    queues: {},
  });
  expect(total(counted.store)).toBe(3);
  expect(told(counted.store)).toBe("3: 1 DescribeSecret, 2 GetSecretValue");
  expect(told(counted.bus)).toBe("0");
});

it("leaves nothing out in silence", () => {
  expect(() => countCalls([{ service: "sts", operation: "AssumeRole" }])).toThrow(/AssumeRole to sts/);
});
