import { expect, inject, test } from "vitest";
import { deploy } from "../cdk.ts";

test("a stack that cannot be deployed says why", async () => {
  const broken = { command: "node -e 'throw new Error(`no such app`)'", stack: "Broken" };
  await expect(deploy(inject("localstack"), broken)).rejects.toThrow("no such app");
}, 240_000);
