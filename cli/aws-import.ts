import { InvokeCommand, type LambdaClient } from "@aws-sdk/client-lambda";
import { errorCodes, KeyturnError } from "../core/errors.ts";
import { type AwsPart, awsErrorName, translateAws } from "../functions/aws-errors.ts";
import { callLimits } from "../functions/call-limits.ts";
import { ImportAnswer, type ImportOrder } from "../functions/importing.ts";
import type { ImportedThere, ImportThere } from "./import-there.ts";

const lambda: AwsPart = { name: "Lambda", outage: "unreachable" };

/** A function may work for a quarter of an hour, and says nothing until it has ended. */
export const invokeLimits = {
  ...callLimits,
  requestHandler: { ...callLimits.requestHandler, requestTimeout: 900_000 },
} as const;

/** Imports by the function of the secret's type, and waits for what it has come to: it reaches the target, and may write the secret. */
export function importByFunction(client: LambdaClient, functionOf: (type: string) => string): ImportThere {
  return async ({ type, ...order }, signal) => {
    const name = functionOf(type);
    const { FunctionError, Payload } = await invoke(client, name, { import: order }, signal);
    const said: unknown = JSON.parse(Payload?.transformToString() || "null");
    if (FunctionError !== undefined) throw failed(name, said);
    return answerIn(name, said);
  };
}

async function invoke(client: LambdaClient, FunctionName: string, order: ImportOrder, signal: AbortSignal) {
  const call = new InvokeCommand({ FunctionName, Payload: JSON.stringify(order) });
  try {
    return await client.send(call, { abortSignal: signal });
  } catch (thrown) {
    if (awsErrorName(thrown) !== "ResourceNotFoundException")
      throw translateAws(thrown, lambda, `asking the function ${FunctionName} to import`);
    throw new KeyturnError(
      "config-invalid",
      `there is no function ${FunctionName}: deploy the manifest, so that the secret's type has one`,
    );
  }
}

function answerIn(name: string, said: unknown): ImportedThere {
  const read = ImportAnswer.safeParse(said);
  if (!read.success) throw notUnderstood(name, "its answer is not that of an import");
  if (!("error" in read.data)) return withCodes(read.data);
  const { code, message } = read.data.error;
  throw new KeyturnError(codeIn(code) ?? "internal", message);
}

function withCodes(answer: Exclude<ImportAnswer, { error: unknown }>): ImportedThere {
  if ("imported" in answer) return answer;
  const findings = answer.findings.map((one) => ({ ...one, code: codeIn(one.code) }));
  return { login: answer.login, findings };
}

function codeIn(text: string | undefined) {
  return errorCodes.find((known) => known === text);
}

/** What Lambda says of a function that did not answer. A message is shown only where it is one of ours: another one may quote anything. */
function failed(name: string, said: unknown): KeyturnError {
  const { errorType, errorMessage }: { readonly errorType?: unknown; readonly errorMessage?: unknown } =
    Object(said);
  const message = String(errorMessage);
  if (message.includes("Task timed out"))
    return new KeyturnError(
      "timeout",
      `the function ${name} was ended before it was done: import again, and it is taken up where it is`,
    );
  if (errorType === "KeyturnError") return notUnderstood(name, message);
  return notUnderstood(name, `it failed (${String(errorType)})`);
}

function notUnderstood(name: string, why: string): KeyturnError {
  return new KeyturnError(
    "target-rejected",
    `the function ${name} did not import: ${why}; its log is /aws/lambda/${name}. Deploy functions and command of one version`,
  );
}
