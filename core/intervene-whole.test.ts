import { describe, expect, test } from "vitest";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import type { FleetView } from "./fleet.ts";
import { heldUntil, type Intervention, intervene, objectionTo } from "./intervene.ts";
import { type Debt, newRecord, type Rotation, type RotationRecord, type State } from "./record.ts";
import { enterRetire } from "./transition.ts";

const now = Date.UTC(2026, 0, 1, 12);
const around = { policy: defaultTestPolicy, overlap: "both-live" as const, now, newId: "new" };
const mark = (version: string) => ({ version, fingerprint: `print of ${version}` });
const rotation: Rotation = {
  id: "v2",
  kind: "rotate",
  urgent: false,
  requestedBy: "schedule",
  startedAt: 0,
  pending: mark("v2"),
  previous: mark("v1"),
};
const tries = { attempts: 0, notBefore: 0 };
const seen = { refusals: 0, adopted: true, laggardsNamed: false };
const idle: State = { phase: "idle" };
const set: State = { phase: "set", rotation, ...tries };
const grace: State = { phase: "grace", rotation, since: 0, confirmAt: now + 10, ...seen, ...tries };
const retiring: State = { phase: "retire", rotation, since: 0, forced: false, ...tries };
const forced: State = { ...retiring, forced: true };
const halted: State = { phase: "halted", from: "grace", code: "internal", reason: "a defect", at: 0 };

const recordIn = (state: State, changes: Partial<RotationRecord> = {}): RotationRecord => ({
  ...newRecord("app/db"),
  epoch: 7,
  current: { ...mark("v2"), since: 0 },
  state,
  ...changes,
});
const debt = (version: string, notBefore: number): Debt => ({
  ...mark(version),
  reason: "retired",
  since: 0,
  cutFirst: false,
  attempts: 3,
  notBefore,
});
const hold = (by: string, until = now + 5_000) => ({ by, reason: `${by}'s report`, at: 3, until });
const holds = [hold("ann"), hold("bob", now + 9_000), hold("old", now)];
const paused = { by: "bob", reason: "audit week", at: 3 };

const pause = { kind: "pause", by: "eve", reason: "a migration" } as const;
const keep = { kind: "hold", by: "eve", reason: "long report", until: now + 60_000 } as const;
const release = (whose: string | undefined) => ({ kind: "release", by: "eve", whose }) as const;
const retire = { kind: "retire", by: "eve", insist: false } as const;
const insists = { ...retire, insist: true } as const;

describe("what changes nothing, and why", () => {
  test.each<readonly [string, RotationRecord, Intervention, string]>([
    ["nothing", recordIn(idle, { paused }), pause, "it is paused already, by bob: audit week"],
    ["refused", recordIn(forced), keep, "the old credential is being cut off already"],
    ["nothing", recordIn(grace), release("ann"), "nobody holds it"],
    ["nothing", recordIn(grace), release(undefined), "nobody holds it"],
    ["nothing", recordIn(grace, { holds }), release("eve"), "it is held by ann, bob only"],
    ["refused", recordIn(grace, { paused }), retire, "it is paused by bob: resume it first"],
    ["refused", recordIn(set), insists, "in set there is no old credential to retire yet"],
    ["nothing", recordIn(idle), retire, "nothing is owed"],
    ["nothing", recordIn(halted), insists, "nothing is owed"],
  ])("%s: %#", (kind, record, asked, why) => {
    const transition = { record, notes: [], events: [] };
    expect(intervene(record, asked, around)).toEqual({ answer: kind, why, transition });
  });
});

describe("what begins", () => {
  const until = "2026-01-01T12:01:00.000Z";
  const eves = { by: "eve", reason: "long report", at: now, until: now + 60_000 };
  const held = { action: "held", detail: `until ${until}: long report`, actor: "eve" };
  const requested = { action: "retire.requested", detail: "v0, v1", actor: "eve" };
  const owing = { debts: [debt("v0", now + 99), debt("v1", now - 99)] };
  const due = { debts: [debt("v0", now), debt("v1", now - 99)] };

  test.each<readonly [string, State, Partial<RotationRecord>, Intervention, object, object, string]>([
    [
      "a pause",
      idle,
      {},
      pause,
      { paused: { by: "eve", reason: "a migration", at: now } },
      { action: "paused", detail: "a migration", actor: "eve" },
      "nothing begins by itself now",
    ],
    [
      "a hold of what is in grace, beside those that last",
      grace,
      { holds: [...holds, hold("eve")] },
      keep,
      { holds: [...holds.slice(0, 2), eves] },
      held,
      `the old credential is kept alive until ${until}`,
    ],
    [
      "a hold of what is retired",
      retiring,
      {},
      keep,
      { holds: [eves] },
      held,
      `the old credential is kept alive until ${until}`,
    ],
    [
      "a hold to come",
      idle,
      {},
      keep,
      { holds: [eves] },
      held,
      `the next grace is kept alive until ${until}`,
    ],
    [
      "the release of one",
      grace,
      { holds },
      release("bob"),
      { holds: [hold("ann")] },
      { action: "released", detail: "the hold of bob", actor: "eve" },
      "released: the hold of bob",
    ],
    [
      "the release of all",
      grace,
      { holds },
      release(undefined),
      { holds: [] },
      { action: "released", detail: "the hold of ann, bob", actor: "eve" },
      "released: the hold of ann, bob",
    ],
    ["the payment of what is owed", idle, owing, retire, due, requested, "tried now: v0, v1"],
    ["the payment of what is owed, halted", halted, owing, retire, due, requested, "tried now: v0, v1"],
    [
      "the payment of what is retired",
      retiring,
      { ...owing, holds },
      retire,
      due,
      requested,
      "tried now: v0, v1",
    ],
    [
      "the end of all waiting for a retire",
      retiring,
      { ...owing, holds },
      insists,
      { ...due, holds: [], state: forced },
      requested,
      "tried now: v0, v1",
    ],
  ])("%s", (_, state, given, asked, changes, note, why) => {
    const record = recordIn(state, given);
    const transition = { record: { ...record, ...changes }, notes: [note], events: [] };
    expect(intervene(record, asked, around)).toEqual({ answer: "began", why, transition });
  });

  test.each([
    ["asked for", retire, false, "asked for by eve"],
    ["insisted on", insists, true, "eve insists"],
  ] as const)("the end of a grace, %s", (_, asked, isForced, why) => {
    const record = recordIn(grace, { holds });
    const released = isForced ? { ...record, holds: [] } : record;
    expect(intervene(record, asked, around)).toEqual({
      answer: "began",
      why: "the grace ends, and the old credential is retired",
      transition: enterRetire(released, rotation, { forced: isForced, why }, around),
    });
  });
});

describe("what speaks against the end of a grace", () => {
  const released: FleetView = { live: 1, adopted: 1, laggards: [], holders: [], gone: [] };
  const lagging: FleetView = { ...released, laggards: ["a", "b"] };
  const silent: FleetView = { ...released, live: 0, adopted: 0 };

  test.each<readonly [string, RotationRecord, FleetView, string | undefined]>([
    [
      "holds that last",
      recordIn(grace, { holds }),
      released,
      "held by ann (ann's report), bob (bob's report)",
    ],
    [
      "a hold for the next one",
      recordIn(set, { holds: [hold("ann")] }),
      silent,
      "held by ann (ann's report)",
    ],
    ["laggards", recordIn(grace), lagging, "still on the old version: a, b"],
    ["laggards, in retire", recordIn(retiring), lagging, "still on the old version: a, b"],
    ["silence", recordIn(grace), silent, "no agent has reported that it uses the new version"],
    ["silence, in retire", recordIn(retiring), silent, "no agent has reported that it uses the new version"],
    ["nothing", recordIn(grace), released, undefined],
    ["nothing, once it is forced", recordIn(forced, { holds }), lagging, undefined],
    ["nothing, before there is one", recordIn(set), lagging, undefined],
  ])("%s", (_, record, fleet, objection) => {
    expect(objectionTo(record, fleet, now)).toBe(objection);
  });

  test("of several holds the last one ends it", () => {
    expect(heldUntil(recordIn(grace, { holds }), now)).toBe(now + 9_000);
  });
});
