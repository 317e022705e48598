import { expect, test } from "vitest";
import { diagnose } from "./diagnose.ts";
import { lost, marked, print, recorded, rotation, seen, stored, tried } from "./examination.contract.ts";
import type { Examination } from "./examine.ts";
import type { RotationRecord } from "./record.ts";

/** A current that is refused, while the login holds an older value. */
function told({ accepts, compromised }: { accepts: boolean } & Pick<RotationRecord, "compromised">) {
  const examination = seen({
    tried: [tried("v1", "current", "refused")],
    marks: [marked("v0", { accepts })],
    record: recorded({ compromised }),
  });
  return diagnose(examination, 3).map(({ what }) => what);
}

const leaked = [{ ...print("v0"), reportedBy: "ann", at: 1 }];

test("of what came back to life it is said that it has leaked", () => {
  expect(told({ accepts: true, compromised: leaked })).toEqual([
    expect.stringContaining("the login holds a value that has leaked: was the target restored"),
    expect.stringContaining("by what was v0, which has leaked, and nobody should be using it"),
  ]);
});

test("of what has not leaked it is not said", () => {
  expect(told({ accepts: true, compromised: [] })).toEqual([
    expect.stringContaining("the login holds another value: was the target restored"),
    expect.stringContaining("by what was v0, and nobody should be using it"),
  ]);
});

test("nor of a login that lets nobody in", () => {
  expect(told({ accepts: false, compromised: leaked })).toEqual([
    expect.stringContaining("the login holds another value: was the target restored"),
  ]);
});

const candidate = [tried("v1", "current", "refused"), tried("v2", "pending")];

test("a login that holds a candidate is said to, where nobody goes on with it", () => {
  const lostJournal = seen({ ...lost, tried: candidate, marks: [marked("v2")] });
  expect(diagnose(lostJournal, 3)[1]?.what).toBe(
    "the target refuses current: the login holds the candidate of a rotation that nobody goes on with",
  );
});

test("one that holds another value than the candidate's does not", () => {
  const lostJournal = seen({ ...lost, tried: candidate, marks: [marked("v0")] });
  expect(diagnose(lostJournal, 3)[1]?.what).toContain("the login holds another value");
});

test.each(["set", "test"] as const)(
  "a rotation of one password whose candidate is gone from the store explains nothing in %s",
  (phase) => {
    const state = { phase, rotation, attempts: 0, notBefore: 0 };
    const stopped = (versions: Examination["versions"]) =>
      diagnose(
        seen({
          overlap: "cutover",
          versions,
          tried: [tried("v1", "current", "refused")],
          record: recorded({ state }),
        }),
        3,
      ).map(({ ailment }) => ailment);
    expect(stopped([stored("v1", "current")])).toEqual(["current-refused"]);
    expect(stopped([stored("v2", "pending"), stored("v1", "current")])).toEqual([]);
  },
);
