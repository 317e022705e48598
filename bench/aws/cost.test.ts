import { expect, it } from "vitest";
import { countCalls } from "./calls.ts";
import { costOf, dollarsOf, monthOf, rotationUsage } from "./cost.ts";
import { prices } from "./prices.ts";

const call = (service: string, operation: string) => ({ service, operation });
const calls = countCalls([
  call("secretsmanager", "GetSecretValue"),
  call("secretsmanager", "GetSecretValue"),
  call("secretsmanager", "PutSecretValue"),
  call("dynamodb", "GetItem"),
  call("dynamodb", "Query"),
  call("dynamodb", "PutItem"),
  call("s3", "PUT"),
  call("events", "PutEvents"),
]);
const count = { calls, invocations: 6, gigabyteSeconds: 2, logBytes: 5e8 };

it("multiplies by what the price is for", () => {
  expect(costOf({})).toBe(0);
  expect(costOf({ secret: 1_000 })).toBeCloseTo(400, 9);
  expect(costOf({ storeCall: 20_000, event: 500_000 })).toBeCloseTo(0.1 + 0.5, 9);
});

it("of a rotation counts what was called, and what each call brings along", () => {
  expect(rotationUsage(count)).toEqual({
    storeCall: 3,
    write: 2,
    read: 2,
    objectWrite: 1,
    event: 1,
    publish: 1,
    invocation: 6,
    gigabyteSecond: 2,
    // Two of the six were ordered by a queue.
    queueRequest: 6,
    keyRequest: 4,
    logGigabyte: 0.5,
  });
});

it("leaves no call to the journal out", () => {
  const journal = { ...calls.journal, ExecuteStatement: 1 };
  expect(() => rotationUsage({ ...count, calls: { ...calls, journal } })).toThrow(/ExecuteStatement/);
});

it("of a month knows that the agents' reads and beats weigh most, and a thousand rotations least", () => {
  const rotation = rotationUsage(count);
  const month = monthOf(rotation);
  const dollars = new Map(month.map((line) => [line.what, line.dollars]));
  expect(dollars.get("rotations")).toBeCloseTo(1_000 * costOf(rotation), 6);
  // 384 a day of 10,000 agents, at 5 dollars a million.
  expect(dollars.get("reads")).toBeCloseTo(576, 6);
  expect(dollars.get("long polls of the agents' queues")).toBeCloseTo(518.4, 6);
  expect(dollars.get("beats: events")).toBeCloseTo(480, 6);
  expect(dollarsOf(month)).toBeCloseTo(
    [...dollars.values()].reduce((sum, one) => sum + one, 0),
    6,
  );
});

it.each(Object.entries(prices))("has of %s where its price was read", (_, { dollars, per, unit, source }) => {
  expect(dollars).toBeGreaterThan(0);
  expect(per).toBeGreaterThan(0);
  expect(unit).not.toBe("");
  expect(new URL(source).protocol).toBe("https:");
});
