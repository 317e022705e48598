import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { KeyturnError } from "../core/errors.ts";
import { awsErrorName, translateAws } from "./aws-errors.ts";

const part = { name: "Secrets Manager", outage: "store-unavailable" } as const;

/** As the SDK throws it. */
function awsError(name: string, message = "canary-in-a-message"): Error {
  return Object.assign(new Error(message), { name, $metadata: { httpStatusCode: 400 }, $fault: "client" });
}

describe("an error of AWS", () => {
  test.each([
    [awsError("ThrottlingException"), "throttled", "retry", "ThrottlingException"],
    [awsError("TooManyRequestsException"), "throttled", "retry", "TooManyRequestsException"],
    [awsError("AccessDeniedException"), "role-lacks-rights", "retry", "AccessDeniedException"],
    [awsError("ExpiredTokenException"), "role-lacks-rights", "retry", "ExpiredTokenException"],
    [awsError("InternalServiceError"), "store-unavailable", "retry", "InternalServiceError"],
    [
      Object.assign(new Error("connect 10.0.0.1"), { code: "ECONNREFUSED" }),
      "store-unavailable",
      "retry",
      "ECONNREFUSED",
    ],
    [
      Object.assign(new Error("canary"), { name: "TimeoutError" }),
      "store-unavailable",
      "retry",
      "TimeoutError",
    ],
    ["canary", "store-unavailable", "retry", "string"],
  ])("%s is %s: %s", (thrown, code, disposition, said) => {
    const error = translateAws(thrown, part, "reading app/db");
    expect(error).toMatchObject({ code, disposition });
    expect(error.message).toContain("Secrets Manager: reading app/db: ");
    expect(error.message).toContain(said);
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("canary");
  });

  test("a missing right is named by its action and its resource", () => {
    const message =
      "User: arn:aws:sts::111122223333:assumed-role/r/s is not authorized to perform: secretsmanager:GetSecretValue on resource: app/db because no identity-based policy allows the action";
    const error = translateAws(awsError("AccessDeniedException", message), part, "reading app/db");
    expect(error.message).toBe(
      "Secrets Manager: reading app/db: AccessDeniedException (needs secretsmanager:GetSecretValue on app/db)",
    );
  });

  test("one of ours stays as it is", () => {
    const ours = new KeyturnError("conflict", "moved");
    expect(translateAws(ours, part, "reading")).toBe(ours);
  });

  test("has a name, and nothing else has", () => {
    expect(awsErrorName(awsError("ResourceNotFoundException"))).toBe("ResourceNotFoundException");
    expect(awsErrorName(new Error("x"))).toBeUndefined();
    expect(awsErrorName("ResourceNotFoundException")).toBeUndefined();
  });
});
