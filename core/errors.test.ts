import { describe, expect, test } from "vitest";
import { asKeyturnError, type Disposition, errorCodes, KeyturnError } from "./errors.ts";

/** What happens next is a promise to whoever writes a rotator; a code that moves to another line changes it. */
const codes: Readonly<Record<Disposition, readonly string[]>> = {
  retry: [
    ...["unreachable", "timeout", "throttled", "target-busy", "store-unavailable", "journal-unavailable"],
    ...["bus-unavailable", "audit-unavailable", "not-proven", "role-lacks-rights", "conflict"],
  ],
  reject: [
    ...["tls-failed", "config-invalid", "credential-invalid", "secret-missing", "admin-refused"],
    ...["admin-lacks-rights", "not-managed", "login-refused", "not-authenticated", "access-differs"],
    ...["target-rejected", "request-refused", "input-invalid", "manifest-invalid", "access-denied"],
    "key-missing",
  ],
  halt: [
    ...["superseded", "fence-conflict", "pending-lost", "current-broken", "schema-newer", "data-broken"],
    "internal",
  ],
};

describe("the codes of errors", () => {
  test("are these and no others, and each says what happens next", () => {
    const by = Object.groupBy(errorCodes, (code) => new KeyturnError(code, "").disposition);
    expect(by).toEqual(codes);
    expect(Object.keys(by)).toEqual(["retry", "reject", "halt"]);
  });

  test.each(errorCodes)("%s has a remedy of its own: one sentence for a person", (code) => {
    const { remedy } = new KeyturnError(code, "");
    expect(remedy).toMatch(/^[A-Z][^\n]{20,}\.$/);
    const same = errorCodes.filter((other) => new KeyturnError(other, "").remedy === remedy);
    expect(same).toEqual([code]);
  });
});

describe("an error", () => {
  const cause = new Error("below");

  test("is known by its code, and keeps its cause", () => {
    const error = new KeyturnError("timeout", "it took too long", { cause });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: "KeyturnError",
      code: "timeout",
      message: "it took too long",
      cause,
    });
    expect(String(error)).toBe("KeyturnError: it took too long");
    expect("cause" in new KeyturnError("timeout", "")).toBe(false);
  });

  test("stays the one that it is", () => {
    const error = new KeyturnError("timeout", "it took too long");
    expect(asKeyturnError(error)).toBe(error);
  });

  test.each([
    [cause, "below"],
    [new TypeError("not a function"), "not a function"],
    ["a text", "a text"],
    [undefined, "undefined"],
    [{ message: "no error" }, "[object Object]"],
  ])("that nobody has translated is a defect: %s", (thrown, message) => {
    const error = asKeyturnError(thrown);
    expect(error).toBeInstanceOf(KeyturnError);
    expect(error).toMatchObject({ code: "internal", disposition: "halt", message, cause: thrown });
  });
});
