import { expect, test } from "vitest";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import { foreignCandidate } from "./foreign-candidate.ts";
import { newRecord, type Rotation, type RotationRecord } from "./record.ts";

const now = 50;
const around = { policy: defaultTestPolicy, overlap: "cutover", now, newId: "new" } as const;
const rotation: Rotation = {
  id: "v2",
  kind: "rotate",
  urgent: false,
  requestedBy: "ann",
  startedAt: 1,
  previous: { version: "v1", fingerprint: "one" },
};
const before: RotationRecord = {
  ...newRecord("app/db"),
  epoch: 7,
  state: { phase: "create", rotation, attempts: 2, notBefore: 3 },
  current: { version: "v1", fingerprint: "one", since: 0 },
};

test("a candidate of nobody's is owed before it is put aside", () => {
  expect(foreignCandidate(before, rotation, { version: "v9", fingerprint: "nine" }, around)).toEqual({
    record: {
      ...before,
      epoch: 8,
      debts: [
        {
          version: "v9",
          fingerprint: "nine",
          reason: "foreign",
          since: now,
          cutFirst: false,
          attempts: 0,
          notBefore: now,
        },
      ],
    },
    notes: [
      { action: "debt.recorded", detail: "a candidate of another rotation was pending", version: "v9" },
    ],
    events: [],
  });
});

test("one with the current value is nothing to be refused: it is only recorded", () => {
  expect(foreignCandidate(before, rotation, { version: "v9", fingerprint: "one" }, around)).toEqual({
    record: {
      ...before,
      state: { phase: "create", rotation: { ...rotation, aside: ["v9"] }, attempts: 0, notBefore: now },
    },
    notes: [
      {
        action: "candidate.found",
        detail: "another candidate with the current value was pending",
        version: "v9",
      },
    ],
    events: [],
  });
});

test("what was to be put aside before stays so", () => {
  const { record } = foreignCandidate(
    before,
    { ...rotation, aside: ["v0"] },
    { version: "v9", fingerprint: "one" },
    around,
  );
  expect(record.state).toMatchObject({ rotation: { aside: ["v0", "v9"] } });
});

test("before anything is current every other candidate is owed", () => {
  const { record } = foreignCandidate(
    { ...before, current: undefined },
    rotation,
    { version: "v9", fingerprint: "one" },
    around,
  );
  expect(record.debts).toHaveLength(1);
});
