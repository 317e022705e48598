import { beforeAll, describe, expect, test } from "vitest";
import type { Phase } from "../core/record.ts";
import { parts } from "../local/gate.ts";
import { simulateMany } from "../local/simulate-many.ts";
import type { Simulated } from "../local/simulate-worker.ts";
import { addUp, endings, haltedIn, mayHalt, turns } from "../local/simulated-endings.ts";
import { metWhere } from "../local/simulated-people.ts";
import { type Asked, everyRequest } from "../local/simulated-requests.ts";

const seeds = 2_000;
const overlaps = ["both-live", "cutover"] as const;
const phases = [
  "idle",
  "create",
  "set",
  "test",
  "finish",
  "announce",
  "grace",
  "retire",
  "undo",
  "halted",
] as const satisfies readonly Phase[];

/** A leak is reported by a version that the store still reads; in these phases it mostly has none that could be meant. */
const absent: Readonly<Partial<Record<Asked, Readonly<Partial<Record<Phase, string>>>>>> = {
  "leak pending": {
    announce: "the candidate is current",
    grace: "the candidate is current",
    retire: "the candidate is current",
  },
};
/** As before, but where the debt of an old version is still unpaid when the next rotation begins. */
const seldom: Readonly<Partial<Record<Asked, readonly Phase[]>>> = {
  "leak pending": ["idle"],
  "leak previous": ["idle", "create", "set", "test", "undo", "halted"],
};

const meetings = overlaps.flatMap((overlap) =>
  everyRequest.flatMap((kind) =>
    phases.map((phase) => [overlap, kind, phase, absent[kind]?.[phase] ?? ""] as const),
  ),
);
const noMeeting = meetings.filter(([, , , why]) => why !== "");
const everyMeeting = meetings.filter(
  ([, kind, phase, why]) => why === "" && seldom[kind]?.includes(phase) !== true,
);

describe(`${seeds} worlds, each from its seed`, () => {
  let totals: Readonly<Record<string, number>> = {};

  beforeAll(async () => {
    const found: Simulated[] = [];
    await simulateMany({ first: 1, seeds }, (one) => {
      found.push(one);
      return one.broken.length > 0;
    });
    const broken = found.flatMap((one) => one.broken);
    expect(broken, "SEED=… SIMULATIONS=1 npm run simulate tells the story of one").toEqual([]);
    totals = addUp(found.map(({ counts }) => counts));
  }, 600_000);

  // What never happens proves nothing.
  test.each(["dies at", "freezes at", "thaws at", "fails", "reply lost", "is rejected", "is broken"])(
    "a worker %s a call in enough of them",
    (fault) => expect(totals[fault]).toBeGreaterThan(seeds / 4),
  );

  test.each(everyMeeting)(
    "%s secrets: somebody asks in the middle of it: %s in %s",
    (overlap, kind, phase) => {
      expect(totals[metWhere(overlap, kind, phase)]).toBeGreaterThan(seeds / 1_000);
    },
  );

  test.each(noMeeting)("%s secrets: nobody can ask: %s in %s, for %s", (overlap, kind, phase) => {
    expect(totals[metWhere(overlap, kind, phase)]).toBeUndefined();
  });

  test.each(everyRequest)("somebody asks on a machine that is as bad as a worker's, too: %s", (kind) => {
    const met = phases.flatMap((phase) =>
      overlaps.map((overlap) => totals[metWhere(overlap, kind, phase)] ?? 0),
    );
    const all = totals[`asks ${kind}`] ?? 0;
    expect(all - met.reduce((sum, one) => sum + one, 0)).toBeGreaterThan(seeds / 10);
  });

  test.each(mayHalt)("a rotation halts in %s", (phase) => {
    expect(totals[haltedIn(phase)]).toBeGreaterThan(seeds / 500);
  });

  test("a rotation whose value a stranger has changed brings the old one back by itself", () => {
    expect(totals["current is changed by a stranger"]).toBeGreaterThan(seeds / 20);
    expect(totals["rolls back by itself"]).toBeGreaterThan(seeds / 1_000);
  });

  test.each(parts)("for a stretch of time nobody reaches the %s", (part) => {
    expect(totals[`the ${part} is out of reach for a while`]).toBeGreaterThan(seeds / 20);
    expect(totals[`fails while the ${part} is out of reach`]).toBeGreaterThan(seeds / 8);
  });

  test.each([
    "an agent takes a hold",
    "an agent ends its hold",
    "a hold is refused",
    "an agent reads pending",
  ])("%s", (what) => expect(totals[what]).toBeGreaterThan(seeds / 8));

  test("a person changes an administering login by hand", () => {
    expect(totals["changes the held login"]).toBeGreaterThan(seeds / 40);
  });

  test.each([...endings, ...turns])("it comes to this, too: %s", (what) => {
    const isRare = what === "rolled back" || what === "halted";
    expect(totals[what]).toBeGreaterThan(isRare ? seeds / 50 : seeds / 8);
  });
});
