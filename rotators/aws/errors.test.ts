import { inspect } from "node:util";
import { expect, test } from "vitest";
import { type Refusal, refusalOf, translate } from "./errors.ts";

const never = new AbortController().signal;
const at = { speaker: "administrator", doing: "user app", signal: never } as const;

/** As the SDK throws it. */
function awsError(name: string, message = "canary"): Error {
  return Object.assign(new Error(message), { name, $fault: "client", $metadata: { httpStatusCode: 400 } });
}

test.each([
  ["LimitExceededException", "target-busy"],
  ["LimitExceeded", "target-busy"],
  ["EntityTemporarilyUnmodifiableException", "target-busy"],
  ["NoSuchEntityException", "config-invalid"],
  ["Throttling", "throttled"],
  ["ThrottlingException", "throttled"],
  ["TooManyRequestsException", "throttled"],
  ["ServiceFailureException", "unreachable"],
  ["InvalidClientTokenId", "admin-refused"],
  ["SignatureDoesNotMatch", "admin-refused"],
  ["ExpiredToken", "admin-refused"],
  ["AccessDenied", "role-lacks-rights"],
  ["ValidationError", "target-rejected"],
])("%s is %s", (name, expected) => {
  const error = translate(awsError(name), at);
  expect(error.code).toBe(expected);
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("canary");
});

test.each<[string, string, Refusal | undefined]>([
  ["InvalidClientTokenId", "", "unknown-key"],
  ["UnrecognizedClientException", "", "unknown-key"],
  ["SignatureDoesNotMatch", "The request signature we calculated does not match", "wrong-secret"],
  ["SignatureDoesNotMatch", "Signature expired: 20261125T1200Z is now earlier than", "wrong-time"],
  ["SignatureDoesNotMatch", "Signature not yet current: 20261125T1200Z", "wrong-time"],
  ["AccessDenied", "", undefined],
  ["Throttling", "", undefined],
])("%s (%s) is the refusal %s", (name, message, expected) => {
  expect(refusalOf(awsError(name, message))).toBe(expected);
});

test("a clock that is wrong is no refusal", () => {
  const error = translate(awsError("SignatureDoesNotMatch", "Signature expired: …"), {
    ...at,
    speaker: "credential",
  });
  expect(error).toMatchObject({ code: "unreachable", message: expect.stringContaining("clock") });
});

test("what the network does is no answer, and tells nothing of what was sent", () => {
  const refused = Object.assign(new Error("canary"), { code: "ECONNREFUSED" });
  const certificate = Object.assign(new Error("canary"), { code: "SELF_SIGNED_CERT_IN_CHAIN" });
  const none = Object.assign(new Error("canary"), { name: "CredentialsProviderError" });
  expect(refusalOf(refused)).toBeUndefined();
  for (const [thrown, expected] of [
    [refused, "unreachable"],
    [certificate, "tls-failed"],
    [none, "admin-refused"],
    ["canary", "unreachable"],
  ] as const) {
    const error = translate(thrown, at);
    expect(error.code).toBe(expected);
    expect(error.message).not.toContain("canary");
  }
});

test("a missing right is named", () => {
  const arn = "arn:aws:iam::111122223333:user/x";
  const message = `User: ${arn} is not authorized to perform: iam:CreateAccessKey on resource: ${arn} because of canary`;
  expect(translate(awsError("AccessDenied", message), at).message).toBe(
    `user app: AccessDenied (needs iam:CreateAccessKey on ${arn})`,
  );
});
