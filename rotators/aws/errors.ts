import { type ErrorCode, KeyturnError } from "../../core/errors.ts";

/** Who was speaking with AWS when it failed. */
export type Speaker = "administrator" | "credential";

/** What AWS's names mean, whoever speaks. */
const byName: Readonly<Record<string, ErrorCode>> = {
  // One quota for all access keys of a user, and it cannot be raised.
  LimitExceeded: "target-busy",
  ConcurrentModification: "target-busy",
  EntityTemporarilyUnmodifiable: "target-busy",
  NoSuchEntity: "config-invalid",
  PriorRequestNotComplete: "throttled",
  RequestLimitExceeded: "throttled",
  SlowDown: "throttled",
  Throttling: "throttled",
  ThrottledException: "throttled",
  TooManyRequests: "throttled",
  InternalFailure: "unreachable",
  InternalError: "unreachable",
  ServiceFailure: "unreachable",
  ServiceUnavailable: "unreachable",
};

/** What says that the key is not accepted: not there, inactive, or not known everywhere yet. */
const refusals = ["InvalidClientTokenId", "UnrecognizedClient", "InvalidAccessKeyId"];
/** What says that key and secret do not belong together. */
const mismatches = ["SignatureDoesNotMatch", "InvalidSignature", "IncompleteSignature"];
const denials = ["AccessDenied", "UnauthorizedOperation"];

/** What a refused call of AWS was about; what the network or our own deadline did is none of them. */
export type Refusal = "unknown-key" | "wrong-secret" | "wrong-time" | "expired";

/** Whether AWS has refused whoever signed the call, and why. Undefined: it failed for something else. */
export function refusalOf(thrown: unknown): Refusal | undefined {
  const name = awsName(thrown);
  if (name === undefined) return undefined;
  if (refusals.includes(name)) return "unknown-key";
  if (name === "ExpiredToken") return "expired";
  if (name === "RequestExpired") return "wrong-time";
  if (!mismatches.includes(name)) return undefined;
  // The same name for a clock that is wrong: "Signature expired: … is now earlier than …", "Signature not yet current: …".
  const message = thrown instanceof Error ? thrown.message : "";
  return /^Signature (expired|not yet current)/.test(message) ? "wrong-time" : "wrong-secret";
}

/** A failure of the SDK, the network or AWS as a KeyturnError. AWS's own message goes along only where it names a missing right. */
export function translate(
  thrown: unknown,
  at: { readonly speaker: Speaker; readonly doing: string; readonly signal: AbortSignal },
): KeyturnError {
  if (at.signal.aborted) return new KeyturnError("timeout", `${at.doing}: the step's time ran out`);
  if (thrown instanceof KeyturnError) return thrown;
  const refusal = refusalOf(thrown);
  const name = awsName(thrown);
  if (name === undefined) return untold(thrown, at.doing);
  const what = `${at.doing}: ${name}`;
  if (refusal === "wrong-time") {
    return new KeyturnError("unreachable", `${what}: the clock of this machine is wrong`);
  }
  if (refusal !== undefined) {
    return new KeyturnError(at.speaker === "administrator" ? "admin-refused" : "login-refused", what);
  }
  if (denials.includes(name)) return new KeyturnError("role-lacks-rights", `${what}${rightIn(thrown)}`);
  return new KeyturnError(byName[name] ?? "target-rejected", what);
}

/** No answer of AWS: the way there, or no credentials to sign with. Never its message, which may quote what was sent. */
function untold(thrown: unknown, doing: string): KeyturnError {
  const { name } = thrown instanceof Error ? thrown : { name: typeof thrown };
  if (name === "CredentialsProviderError") {
    return new KeyturnError("admin-refused", `${doing}: no credentials of AWS to sign with`);
  }
  const { code } = Object(thrown);
  const told = typeof code === "string" ? code : name;
  if (/CERT|TLS|SSL/.test(told)) return new KeyturnError("tls-failed", `${doing}: ${told}`);
  return new KeyturnError("unreachable", `${doing}: no answer (${told})`);
}

/** The name by which AWS tells its errors apart, in one spelling; undefined where the error is none of AWS's. */
function awsName(thrown: unknown): string | undefined {
  return thrown instanceof Error && "$fault" in thrown ? thrown.name.replace(/Exception$/, "") : undefined;
}

/** "… is not authorized to perform: action on resource: arn …". */
function rightIn(thrown: unknown): string {
  const message = thrown instanceof Error ? thrown.message : "";
  const found = /not authorized to perform: ([\w:*-]+)(?: on resource: ([\w:/*.+=@,-]+))?/.exec(message);
  if (found === null) return "";
  const [, action, resource] = found;
  return resource === undefined ? ` (needs ${action})` : ` (needs ${action} on ${resource})`;
}
