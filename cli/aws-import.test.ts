import { LambdaClient } from "@aws-sdk/client-lambda";
import { expect, test } from "vitest";
import { refusal, type Scripted, scriptedService } from "../functions/scripted-service.contract.ts";
import { importByFunction } from "./aws-import.ts";

const request = { ref: "billing/db", type: "postgres-alternating", by: "person:ann", plan: false };
const name = "keyturn-prod-postgres-alternating";

async function imported(said: Scripted, signal = new AbortController().signal) {
  await using service = await scriptedService(said);
  const importThere = importByFunction(new LambdaClient(service.config), (type) => `keyturn-prod-${type}`);
  const answer = await importThere(request, signal).catch((thrown: unknown) => thrown);
  return { answer, asked: service.asked };
}

const answers = (body: unknown): Scripted => ({ status: 200, body });
const fails = (body: unknown): Scripted => ({
  status: 200,
  body,
  headers: { "x-amz-function-error": "Unhandled" },
});

test("the function of the secret's type is asked, and its answer is the command's", async () => {
  const done = { login: "billing", imported: { answer: "imported", version: "v1", findable: true } };
  const { answer, asked } = await imported(answers(done));
  expect(answer).toEqual(done);
  expect(asked.map(({ input }) => input)).toEqual([
    { import: { ref: "billing/db", by: "person:ann", plan: false } },
  ]);
});

test("findings keep the codes that this command knows", async () => {
  const finding = { check: "login", ok: false, message: "no" };
  const findings = [
    { ...finding, code: "login-refused" },
    { ...finding, code: "of-a-later-version" },
  ];
  const { answer } = await imported(answers({ login: "billing", findings }));
  expect(answer).toEqual({
    login: "billing",
    findings: [
      { ...finding, code: "login-refused" },
      { ...finding, code: undefined },
    ],
  });
});

test.each<readonly [what: string, said: Scripted, code: string, text: string]>([
  [
    "says why not",
    answers({ error: { code: "login-refused", message: "the server refuses billing" } }),
    "login-refused",
    "the server refuses billing",
  ],
  [
    "has a code that nobody knows here",
    answers({ error: { code: "of-a-later-version", message: "so" } }),
    "internal",
    "so",
  ],
  [
    "is not deployed",
    refusal("ResourceNotFoundException", "", 404),
    "config-invalid",
    `no function ${name}: deploy`,
  ],
  [
    "may not be called",
    refusal(
      "AccessDeniedException",
      `me is not authorized to perform: lambda:InvokeFunction on resource: ${name}`,
      403,
    ),
    "role-lacks-rights",
    `needs lambda:InvokeFunction on ${name}`,
  ],
  ["is too busy", refusal("TooManyRequestsException", "", 429), "throttled", "TooManyRequestsException"],
  ["hangs up", "hangs up", "unreachable", `asking the function ${name} to import`],
  [
    "is ended by its time limit",
    fails({
      errorType: "Sandbox.Timedout",
      errorMessage: "2026-01-01 r1 Task timed out after 900.00 seconds",
    }),
    "timeout",
    "import again",
  ],
  [
    "cannot start",
    fails({ errorType: "KeyturnError", errorMessage: "the environment does not say KEYTURN_TABLE" }),
    "target-rejected",
    `KEYTURN_TABLE; its log is /aws/lambda/${name}`,
  ],
  [
    "is older than the command",
    fails({ errorType: "TypeError", errorMessage: "canary is not iterable" }),
    "target-rejected",
    "it failed (TypeError)",
  ],
  ["answers something else", answers({ batchItemFailures: [] }), "target-rejected", "of one version"],
  ["answers nothing", answers(""), "target-rejected", "of one version"],
])("a function that %s is told as what it is", async (_, said, code, text) => {
  const { answer } = await imported(said);
  expect(answer).toMatchObject({ code, message: expect.stringContaining(text) });
  expect(String(answer)).not.toContain("canary");
});

test("Ctrl-C is not kept waiting by a function that works", async () => {
  const { answer } = await imported(answers({}), AbortSignal.abort());
  expect(answer).toMatchObject({ code: "unreachable" });
});
