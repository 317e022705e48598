import { expect, test } from "vitest";
import type { ErrorCode } from "../../core/errors.ts";
import { type Speaker, sqlStateOf, translate } from "./errors.ts";

const never = new AbortController().signal;

function codeOf(code: string, message: string, speaker: Speaker = "administrator"): ErrorCode {
  return translate(Object.assign(new Error(message), { code }), { speaker, where: "db:5432", signal: never })
    .code;
}

test.each<[string, ErrorCode]>([
  ["28P01", "admin-refused"],
  ["28000", "admin-refused"],
  ["42501", "admin-lacks-rights"],
  ["53300", "target-busy"],
  ["55P03", "target-busy"],
  ["40P01", "target-busy"],
  ["XX000", "target-busy"],
  ["57014", "timeout"],
  ["57P01", "unreachable"],
  ["57P03", "unreachable"],
  ["08006", "unreachable"],
  ["25006", "unreachable"],
  ["3D000", "config-invalid"],
  ["42601", "target-rejected"],
  ["KT001", "superseded"],
  ["KT002", "fence-conflict"],
  ["KT003", "not-managed"],
])("state %s is %s", (state, expected) => {
  expect(codeOf(state, "whatever the server says, in whatever language")).toBe(expected);
});

test("a credential's refusal is not the administrator's", () => {
  expect(codeOf("28P01", "no", "credential")).toBe("login-refused");
  expect(codeOf("28000", "no", "credential")).toBe("login-refused");
  expect(codeOf("42501", "no", "credential")).toBe("access-differs");
});

test.each<[string, string, ErrorCode]>([
  ["ECONNREFUSED", "", "unreachable"],
  ["ENOTFOUND", "getaddrinfo ENOTFOUND db", "unreachable"],
  [
    "ECONNRESET",
    "Client network socket disconnected before secure TLS connection was established",
    "unreachable",
  ],
  ["", "Connection terminated unexpectedly", "unreachable"],
  ["ETIMEDOUT", "connect ETIMEDOUT", "unreachable"],
  ["", "timeout expired", "unreachable"],
  ["", "Query read timeout", "unreachable"],
  ["SELF_SIGNED_CERT_IN_CHAIN", "self-signed certificate", "tls-failed"],
  ["ERR_TLS_CERT_ALTNAME_INVALID", "Hostname/IP does not match certificate's altnames", "tls-failed"],
  ["", "The server does not support SSL connections", "tls-failed"],
  ["", "SASL: SCRAM-SERVER-FINAL-MESSAGE: server signature does not match", "not-authenticated"],
  ["", "something that nobody has seen before", "target-rejected"],
])("%s %s is %s", (code, message, expected) => {
  expect(codeOf(code, message)).toBe(expected);
});

test("silence is told as such, and what was refused is not", () => {
  const at = { speaker: "administrator", where: "db:5432", signal: never } as const;
  expect(translate(new Error("timeout expired"), at).message).toBe(
    "db:5432: no answer in time: timeout expired",
  );
  const refused = Object.assign(new Error("connect"), { code: "ECONNREFUSED" });
  expect(translate(refused, at).message).toBe("db:5432: ECONNREFUSED connect");
});

test("what the driver adds about the statement goes no further", () => {
  const thrown = Object.assign(new Error("near SCRAM-SHA-256$4096:c2FsdA==$abc:def"), {
    code: "42601",
    detail: "hush",
    internalQuery: "hush",
  });
  const error = translate(thrown, { speaker: "administrator", where: "db:5432", signal: never });
  expect(error.message).toBe("db:5432: near [verifier] (SQLSTATE 42601)");
  expect(error.cause).toEqual({ sqlState: "42601" });
  expect(sqlStateOf(error)).toBe("42601");
  expect(sqlStateOf(thrown)).toBeUndefined();
});
