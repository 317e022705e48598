import { type ErrorCode, KeyturnError } from "../core/errors.ts";

/** A part of AWS, and what it is called where it fails for now. */
export interface AwsPart {
  /** As a person would say it: "Secrets Manager", "the journal's table". */
  readonly name: string;
  readonly outage: ErrorCode;
}

/** Answers that mean the caller asks too fast: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html */
const throttles = [
  "LimitExceededException",
  "PriorRequestNotComplete",
  "ProvisionedThroughputExceededException",
  "RequestLimitExceeded",
  "RequestThrottled",
  "RequestThrottledException",
  "SlowDown",
  "ThrottledException",
  "Throttling",
  "ThrottlingException",
  "TooManyRequestsException",
  "TransactionInProgressException",
];

const denials = [
  "AccessDenied",
  "AccessDeniedException",
  "ExpiredToken",
  "ExpiredTokenException",
  "InvalidClientTokenId",
  "InvalidSignatureException",
  "KMSAccessDeniedException",
  "SignatureDoesNotMatch",
  "UnrecognizedClientException",
];

/** A part that a deployment makes, and that is not there. */
const absences = [
  "AWS.SimpleQueueService.NonExistentQueue",
  "NoSuchBucket",
  "QueueDoesNotExist",
  "ResourceNotFoundException",
];

/** The name by which AWS tells its errors apart; undefined where the error is none of AWS's. */
export function awsErrorName(thrown: unknown): string | undefined {
  return thrown instanceof Error && "$metadata" in thrown ? thrown.name : undefined;
}

/**
 * Whatever a call to AWS has thrown, as a KeyturnError. AWS's own message goes along only where it tells what is missing: other messages may
 * quote what was sent, and that may have been a value.
 */
export function translateAws(thrown: unknown, part: AwsPart, doing: string): KeyturnError {
  if (thrown instanceof KeyturnError) return thrown;
  const name = awsErrorName(thrown);
  if (name === undefined) {
    return new KeyturnError(part.outage, `${part.name}: ${doing}: no answer (${systemCode(thrown)})`);
  }
  return translateAwsName(name, part, doing, rightIn(thrown));
}

/** An error that AWS names in an answer of its own, as where it has taken a part of what it was given. */
export function translateAwsName(name: string, part: AwsPart, doing: string, right = ""): KeyturnError {
  const what = `${part.name}: ${doing}: ${name}`;
  if (throttles.includes(name)) return new KeyturnError("throttled", what);
  if (denials.includes(name)) return new KeyturnError("role-lacks-rights", `${what}${right}`);
  if (absences.includes(name))
    return new KeyturnError(part.outage, `${what}: it is not there; deploy the whole installation`);
  return new KeyturnError(part.outage, what);
}

/** AWS says which action on which resource is not allowed: "… is not authorized to perform: action on resource: arn …". */
function rightIn(thrown: unknown): string {
  const message = thrown instanceof Error ? thrown.message : "";
  const found =
    /not authorized to perform: (?<action>[\w:*-]+)(?: on resource: (?<resource>[\w:/*.+=@-]+))?/.exec(
      message,
    );
  if (found?.groups === undefined) return "";
  const { action, resource } = found.groups;
  return resource === undefined ? ` (needs ${action})` : ` (needs ${action} on ${resource})`;
}

/** Such as ECONNREFUSED; a name at least, and never a message. */
function systemCode(thrown: unknown): string {
  if (!(thrown instanceof Error)) return typeof thrown;
  return "code" in thrown && typeof thrown.code === "string" ? thrown.code : thrown.name;
}
