import { describe, expect, test } from "vitest";
import { Redactor, redactingLog } from "./redact.ts";
import { Secret } from "./secret.ts";

const value = 'p"a/s+s w\\ö&rd=1';

function redactorOf(...values: readonly string[]): Redactor {
  const redactor = new Redactor();
  for (const text of values) redactor.add(new Secret(text));
  return redactor;
}

describe("redact", () => {
  test.each([
    ["as it is", `the server said ${value}!`],
    ["in a URL", `postgres://app:${encodeURIComponent(value)}@host/db`],
    ["in JSON", JSON.stringify({ error: { password: value } })],
    ["in a longer text in JSON", JSON.stringify({ message: `the server said ${value}!` })],
    ["in base64", `Basic ${Buffer.from(value).toString("base64")}`],
    ["several times", `${value}${value} ${value}`],
  ])("takes a value out %s", (_, text) => {
    const clean = redactorOf(value).redact(text);
    for (const spelling of [
      value,
      encodeURIComponent(value),
      JSON.stringify(value).slice(1, -1),
      Buffer.from(value).toString("base64"),
    ]) {
      expect(clean).not.toContain(spelling);
    }
    expect(clean).toContain("[redacted]");
  });

  test("leaves the rest of the text as it is", () => {
    expect(redactorOf("secret-1").redact("before secret-1 after")).toBe("before [redacted] after");
    expect(redactorOf("secret-1").redact("nothing here")).toBe("nothing here");
    expect(new Redactor().redact("nothing known")).toBe("nothing known");
  });

  test("takes the longer one out first, so that nothing of it is left when a shorter one is part of it", () => {
    for (const values of [
      ["pass", "pass-longer"],
      ["pass-longer", "pass"],
    ]) {
      expect(redactorOf(...values).redact("a pass-longer b")).toBe("a [redacted] b");
    }
  });

  test("does not read patterns in a value", () => {
    expect(redactorOf("a.*b$&").redact("aXXb a.*b$&")).toBe("aXXb [redacted]");
  });

  test.each(["", "a", "abc"])("leaves alone what is found by chance: %j", (short) => {
    expect(redactorOf(short).redact("an abc of a words")).toBe("an abc of a words");
  });

  test("four letters are long enough", () => {
    expect(redactorOf("abcd").redact("an abcd")).toBe("an [redacted]");
  });

  test("knows a value that is not well-formed text", () => {
    const broken = "\ud800canary";
    expect(redactorOf(broken).redact(`x ${broken}`)).toBe("x [redacted]");
  });
});

describe("redactFields", () => {
  const redactor = redactorOf("canary-value");

  test.each([
    ["a text", "x canary-value", "x [redacted]"],
    ["a number", 5, 5],
    ["nothing", undefined, undefined],
    ["null", null, null],
    ["a flag", true, true],
    ["an array", ["canary-value", 1], ["[redacted]", 1]],
    ["an object", { deep: { down: ["canary-value"] } }, { deep: { down: ["[redacted]"] } }],
    ["an error", new Error("canary-value"), "Error: [redacted]"],
    [
      "an error's causes",
      new TypeError("a", { cause: new Error("b canary-value") }),
      "TypeError: a; caused by Error: b [redacted]",
    ],
    ["an error without its stack", Object.assign(new Error("m"), { stack: "canary-value" }), "Error: m"],
  ])("reads %s", (_, field, expected) => {
    expect(redactor.redactFields({ field })).toEqual({ field: expected });
  });

  test("a secret in a field is not seen, known to the redactor or not", () => {
    const fields = redactor.redactFields({
      known: new Secret("canary-value"),
      other: new Secret("unknown-1"),
    });
    expect(JSON.stringify(fields)).not.toMatch(/canary|unknown/);
  });
});

test("a redacting log cannot print what the redactor knows, also what it learns later", () => {
  const redactor = redactorOf("first-one");
  const lines: string[] = [];
  const log = redactingLog(
    (level, message, fields) => lines.push(`${level} ${message} ${JSON.stringify(fields)}`),
    redactor,
  );
  log("warn", "failed with first-one", { error: new Error("first-one and second-one") });
  redactor.add(new Secret("second-one"));
  log("info", "second-one");
  expect(lines[0]).toBe('warn failed with [redacted] {"error":"Error: [redacted] and second-one"}');
  expect(lines[1]).toBe("info [redacted] undefined");
});
