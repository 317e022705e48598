import { describe, expect, test } from "vitest";
import * as z from "zod/mini";
import { carryOver, parse, parseJson, revealFields, secretsIn, withFields } from "./credential.ts";
import { secretField } from "./rotator.ts";
import { Secret } from "./secret.ts";

const failure = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (thrown) {
    return thrown;
  }
};

test("the secret fields of a credential are those that are, by name", () => {
  const password = new Secret("a");
  expect(secretsIn({ username: "app", password, port: 1 })).toEqual({ password });
});

test("with fields that are no secret, as text, where they are asked for", () => {
  const password = new Secret("a");
  const credential = { username: "app", password, port: 1 };
  expect(withFields(credential, [])).toEqual({ password });
  const { username, port, ...rest } = withFields(credential, ["username", "port"]);
  expect([username?.reveal(), port?.reveal(), rest]).toEqual(["app", "1", { password }]);
});

test("what is stored comes out as plain data, and nothing of it is in the error when it cannot", () => {
  expect(parseJson(new Secret('{"a":[1]}'), "the stored value")).toEqual({ a: [1] });
  const error = failure(() => parseJson(new Secret("canary-4Tz"), "the stored value"));
  expect(error).toMatchObject({ code: "credential-invalid", message: "the stored value is not JSON" });
  expect(error).not.toHaveProperty("cause");
});

describe("parse", () => {
  const schema = z.object({
    owner: z.string("is no text"),
    at: z.object({ port: z.number("is no number") }),
  });

  test("gives what the schema makes of it", () => {
    const made = parse(z.object({ password: secretField() }), { password: "a" }, "config-invalid", "it");
    expect(made.password.reveal()).toBe("a");
  });

  test.each([
    [{ owner: "app", at: {} }, "it is not usable: at.port: is no number"],
    [{ at: {} }, "it is not usable: owner: is no text; at.port: is no number"],
  ])("says which fields of %o are wrong", (input, message) => {
    const error = failure(() => parse(schema, input, "config-invalid", "it"));
    expect(error).toMatchObject({ code: "config-invalid", message });
  });

  test("names no field where it is all wrong", () => {
    const error = failure(() => parse(z.string("is no text"), 7, "credential-invalid", "it"));
    expect(error).toMatchObject({ code: "credential-invalid", message: "it is not usable: is no text" });
  });

  test("says what was expected where the schema has no words for it", () => {
    const error = failure(() => parse(z.object({ owner: z.string() }), {}, "config-invalid", "it"));
    expect(error).toMatchObject({
      message: "it is not usable: owner: Invalid input: expected string, received undefined",
    });
  });

  test("a secret that is empty is none", () => {
    const error = failure(() => parse(secretField(), "", "credential-invalid", "it"));
    expect(error).toMatchObject({ message: "it is not usable: must not be empty" });
  });
});

describe("what the type does not know", () => {
  const current = new Secret('{ "username": "a", "tag": 12345678901234567890, "list": [1, 2] }');

  test("stays as it was written, and so does what has not changed", () => {
    expect(carryOver(current, { username: "b", list: [1, 2], more: undefined, password: "c" })).toBe(
      '{ "username": "b", "tag": 12345678901234567890, "list": [1, 2],"password":"c" }',
    );
  });

  test("stays, too, where nothing is said of it", () => {
    expect(carryOver(current, { username: "a", list: undefined })).toBe(current.reveal());
  });

  test("is nothing where there is no current value", () => {
    expect(carryOver(undefined, { username: "b" })).toBe('{"username":"b"}');
  });

  test("of a current value that is no JSON nobody can tell", () => {
    expect(failure(() => carryOver(new Secret("{"), {}))).toMatchObject({
      message: "the stored value is not JSON",
    });
  });
});

test("fields are revealed as JSON has them", () => {
  expect(revealFields({ password: new Secret("a"), port: 1 })).toEqual({ password: "a", port: 1 });
});
