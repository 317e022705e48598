import { describe, expect, test } from "vitest";
import type { Phase } from "../core/record.ts";
import { dueEnding, objections, type Told } from "./due.ts";

const told: Told = { before: "a", first: "b" };

describe("a cancel", () => {
  const asked = { ...told, followUp: "cancelled", second: "c" } as const;

  test.each(["create", "set", "test"] satisfies Phase[])("in %s has to be taken, and undone", (phase) => {
    expect(dueEnding({ ...asked, phase, answer: "began" })).toBe("undone");
    expect(objections({ ...asked, phase, answer: "began" }, "c")).toEqual([]);
    expect(objections({ ...asked, phase, answer: "refused" }, "c")).toEqual([
      `a cancel in ${phase} was answered refused, not began`,
    ]);
    expect(objections({ ...asked, phase, answer: "began" }, "b")).toContain("what was cancelled is current");
  });

  test.each(["finish", "announce", "grace", "retire"] satisfies Phase[])(
    "in %s has to be refused",
    (phase) => {
      expect(dueEnding({ ...asked, phase, answer: "refused" })).toBe("converged");
      expect(objections({ ...asked, phase, answer: "refused" }, "c")).toEqual([]);
      expect(objections({ ...asked, phase, answer: "began" }, "c")).toEqual([
        `a cancel in ${phase} was answered began, not refused`,
      ]);
    },
  );

  test("of what is at rest has nothing to do, and in any other state there is no right answer", () => {
    expect(objections({ ...asked, phase: "idle", answer: "nothing" }, "c")).toEqual([]);
    expect(objections({ ...asked, phase: "halted", answer: "refused" }, "c")).not.toEqual([]);
  });

  test("is followed by another rotation, which is current in the end", () => {
    const began = { ...asked, phase: "set", answer: "began" } as const;
    expect(objections({ ...began, second: undefined }, "c")).toContain("no other rotation began");
    expect(objections(began, "d")).toContain("another version is current than was asked for");
    expect(objections(began, "a")).toContain("what was current before is current again");
  });
});

describe("a leak", () => {
  const asked = { ...told, followUp: "emergency" } as const;
  const leakOf = (version: string) => ({ version, cutFirst: false });

  test.each(["create", "set", "test"] satisfies Phase[])(
    "in %s is of the old value, and the candidate succeeds it",
    (phase) => {
      expect(objections({ ...asked, phase, leaked: leakOf("a") }, "b")).toEqual([]);
      expect(objections({ ...asked, phase, leaked: leakOf("a") }, "c")).not.toEqual([]);
      expect(objections({ ...asked, phase, leaked: leakOf("b") }, "c")).not.toEqual([]);
    },
  );

  test.each(["announce", "grace", "retire", "idle"] satisfies Phase[])(
    "in %s is of the new value, and another succeeds it",
    (phase) => {
      expect(objections({ ...asked, phase, leaked: leakOf("b") }, "c")).toEqual([]);
      expect(objections({ ...asked, phase, leaked: leakOf("b") }, "b")).not.toEqual([]);
      expect(objections({ ...asked, phase, leaked: leakOf("a") }, "b")).not.toEqual([]);
    },
  );

  test("in finish is of either, for the store may have the new one already", () => {
    expect(objections({ ...asked, phase: "finish", leaked: leakOf("a") }, "b")).toEqual([]);
    expect(objections({ ...asked, phase: "finish", leaked: leakOf("b") }, "c")).toEqual([]);
    expect(objections({ ...asked, phase: "finish" }, "b")).not.toEqual([]);
  });
});

test("what goes on comes to its own version and no other", () => {
  const asked = { ...told, followUp: "retried", phase: "test" } as const;
  expect(dueEnding(asked)).toBe("converged");
  expect(objections(asked, "b")).toEqual([]);
  for (const other of ["a", "c", undefined]) expect(objections(asked, other)).not.toEqual([]);
});

test("what is overtaken has another rotation after it, which is current in the end", () => {
  const asked = { ...told, followUp: "overtaken", phase: "test", second: "c" } as const;
  expect(dueEnding(asked)).toBe("converged");
  expect(objections(asked, "c")).toEqual([]);
  for (const other of ["a", "b", "d", undefined]) expect(objections(asked, other)).not.toEqual([]);
  expect(objections({ ...asked, second: undefined }, "b")).toContain("no other rotation began");
});
