import { expect, test } from "vitest";
import { literal, markerOf, nameBytesMax, roleNameProblem, slotsOf } from "./names.ts";

test("logins are the owner with an ending", () => {
  expect(slotsOf("billing")).toEqual(["billing_a", "billing_b"]);
  expect(markerOf("billing")).toBe("keyturn_lock_billing");
  expect(slotsOf("x".repeat(61))).toEqual([`${"x".repeat(61)}_a`, `${"x".repeat(61)}_b`]);
});

test("a name that is too long is cut between characters and stays its own", () => {
  for (const owner of ["x".repeat(63), "é".repeat(31), "密".repeat(21), `${"x".repeat(50)}🔑🔑🔑`]) {
    const names = [...slotsOf(owner), markerOf(owner)];
    for (const name of names) {
      expect(Buffer.byteLength(name)).toBeLessThanOrEqual(nameBytesMax);
      expect(name.isWellFormed()).toBe(true);
    }
    expect(new Set(names).size).toBe(3);
  }
  expect(slotsOf(`${"x".repeat(62)}1`)).not.toEqual(slotsOf(`${"x".repeat(62)}2`));
});

test("names that PostgreSQL would cut or reserves are refused", () => {
  expect(roleNameProblem("x".repeat(63))).toBeUndefined();
  expect(roleNameProblem("é".repeat(32))).toMatch(/64 bytes/);
  expect(roleNameProblem("pg_app")).toMatch(/reserves/);
  expect(roleNameProblem("public")).toMatch(/reserves/);
});

test("literals are quoted whatever is in them", () => {
  expect(literal("o'brien")).toBe("'o''brien'");
  expect(literal("a\\'b")).toBe(" E'a\\\\''b'");
});
