import { type ErrorCode, KeyturnError } from "../core/errors.ts";

/** 28P01: the password is wrong. 28000: the role may not log in, or does not exist. */
const refusedStates = new Set(["28P01", "28000"]);
/** The administrator, a crash, or a time-out ended the session. */
const cutStates = new Set(["57P01", "57P02", "57P05", "08000", "08003", "08006"]);
const systemCuts = new Set(["ECONNRESET", "EPIPE"]);
const unreachable = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "57P03",
]);
const timedOut = new Set(["ETIMEDOUT"]);
const busy = new Set(["53300"]);
const tls = /certificate|self[- ]signed|altnames|does not support SSL|SSL connection|wrong version number/i;

export function isRefusedLogin(error: unknown): boolean {
  return refusedStates.has(codeOf(error) ?? "");
}

export function isCutOff(error: unknown): boolean {
  const code = codeOf(error);
  if (code !== undefined) return cutStates.has(code) || systemCuts.has(code);
  return error instanceof Error && error.message.startsWith("Connection terminated");
}

/** The server has answered with an error of its own and goes on: the session is as good as before. */
export function isAnswer(error: unknown): boolean {
  return error instanceof Error && "severity" in error && !isCutOff(error);
}

/** Why no connection could be had, in Keyturn's words; the driver's own error is the cause. */
export function asConnectError(cause: unknown, ref: string): KeyturnError {
  if (cause instanceof KeyturnError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new KeyturnError(connectCode(codeOf(cause) ?? "", message), `no connection for ${ref}: ${message}`, {
    cause,
  });
}

function connectCode(code: string, message: string): ErrorCode {
  if (unreachable.has(code) || isCutOff({ code })) return "unreachable";
  if (timedOut.has(code) || message === "timeout expired") return "timeout";
  if (busy.has(code)) return "target-busy";
  if (tls.test(message) || code.startsWith("ERR_TLS") || code.startsWith("ERR_SSL")) return "tls-failed";
  return message.startsWith("Connection terminated") ? "unreachable" : "target-rejected";
}

function codeOf(error: unknown): string | undefined {
  const known = typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
  return typeof known === "string" ? known : undefined;
}
