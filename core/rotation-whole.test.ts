import { describe, expect, test } from "vitest";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import type { Outcome } from "./outcome.ts";
import {
  type Compromised,
  type Debt,
  newRecord,
  type Rotation,
  type RotationRecord,
  type State,
  type VersionMark,
} from "./record.ts";
import { next } from "./rotation.ts";

const now = 1_000_000;
const around = { policy: defaultTestPolicy, overlap: "both-live" as const, now, newId: "v3" };
const mark = (version: string): VersionMark => ({ version, fingerprint: `print of ${version}` });
const rotation: Rotation = {
  id: "v2",
  kind: "rotate",
  urgent: false,
  requestedBy: "ann",
  startedAt: 70,
  pending: mark("v2"),
  previous: mark("v1"),
};
const tries = { attempts: 0, notBefore: now };
const fresh = { since: now, confirmAt: now + 10_000, refusals: 0, adopted: false, laggardsNamed: false };
const v1 = { ...mark("v1"), since: 5 };
const v2 = { ...mark("v2"), since: 9 };

const at = (
  phase: "create" | "set" | "test" | "finish" | "announce",
  changes: Partial<Rotation> = {},
  attempts = 0,
): State => ({ phase, rotation: { ...rotation, ...changes }, attempts, notBefore: 3 });
const ready = (
  phase: "create" | "set" | "test" | "finish" | "announce",
  changes: Partial<Rotation> = {},
): State => ({
  phase,
  rotation: { ...rotation, ...changes },
  ...tries,
});
const undo = (changes: Partial<Rotation> = {}): State => ({
  phase: "undo",
  rotation: { ...rotation, ...changes },
  reason: "because",
  ...tries,
});
const grace = (refusals: number, changes: Partial<Rotation> = {}): State => ({
  phase: "grace",
  rotation: { ...rotation, ...changes },
  ...fresh,
  refusals,
  ...tries,
});
const debtOf = (version: string, reason: Debt["reason"]): Debt => ({
  ...mark(version),
  reason,
  since: now,
  cutFirst: false,
  ...tries,
});
const leaked = (version: string): Compromised => ({ ...mark(version), reportedBy: "ann", at: 0 });

const outage = { result: "failed", code: "unreachable", disposition: "retry", message: "because" } as const;
const conflict = { ...outage, code: "conflict" } as const;
const rejected = { ...outage, code: "login-refused", disposition: "reject" } as const;
const halting = { ...outage, code: "fence-conflict", disposition: "halt" } as const;

const saved = { step: "create", result: "saved", pending: mark("v2"), current: mark("v1") } as const;
const done = (step: "set" | "test" | "finish" | "announce" | "undo"): Outcome => ({ step, result: "done" });
const refusedAgain = { step: "confirm", result: "refused", previousWorks: true } as const;

function failedEvent(outcome: string, step: string, epoch: number, code: string, reason = "because") {
  return { type: "dev.keyturn.rotation.failed.v1", step, data: { epoch, outcome, code, reason } };
}

/** What is under way, what it comes to, and all that becomes of the record, is written and is told. */
interface Row {
  readonly title: string;
  readonly before: Partial<RotationRecord> & { readonly state: State };
  readonly outcome: Outcome;
  readonly overlap?: "cutover";
  readonly changes: Partial<RotationRecord>;
  readonly notes: readonly unknown[];
  readonly events?: readonly unknown[];
}

function check({ before: given, outcome, overlap, changes, notes, events }: Row): void {
  const before: RotationRecord = { ...newRecord("app/db"), epoch: 7, current: v1, ...given };
  const after = next(before, outcome, { ...around, overlap: overlap ?? around.overlap });
  expect(after).toEqual({ record: { ...before, ...changes }, notes, events: events ?? [] });
}

describe("what a step that is done leaves, writes and tells", () => {
  const note = (action: string, detail = "", version = "v2") => ({ action, detail, version });
  const rows: Row[] = [
    {
      title: "create, which has seen to what imports have left",
      before: { state: at("create"), importing: ["v8"] },
      outcome: saved,
      changes: { state: ready("set"), importing: undefined },
      notes: [note("create.done")],
    },
    {
      title: "create of a cutover type: from now on the old value may be refused",
      before: { state: at("create") },
      outcome: saved,
      overlap: "cutover",
      changes: { state: ready("set", { cutSince: now }) },
      notes: [note("create.done")],
    },
    {
      title: "create of a cutover type's first value: there is none that could be refused",
      before: { state: at("create"), current: undefined },
      outcome: { ...saved, current: undefined },
      overlap: "cutover",
      changes: { state: ready("set", { previous: undefined }) },
      notes: [note("create.done")],
    },
    {
      title: "create where the record knows a current value and the store does not",
      before: { state: at("create") },
      outcome: { ...saved, current: undefined },
      changes: { current: undefined, state: ready("set", { previous: undefined }) },
      notes: [note("create.done")],
    },
    {
      title: "create where the store has a current value and the record does not",
      before: { state: at("create"), current: undefined },
      outcome: saved,
      changes: { current: { ...mark("v1"), since: now }, state: ready("set") },
      notes: [note("create.done")],
    },
    {
      title: "create where current was changed in the store",
      before: { state: at("create") },
      outcome: { ...saved, current: mark("v8") },
      changes: { current: { ...mark("v8"), since: now }, state: ready("set", { previous: mark("v8") }) },
      notes: [note("create.done", "current was changed in the store from outside")],
    },
    {
      title: "create that finds a candidate of another rotation",
      before: { state: at("create") },
      outcome: { step: "create", result: "foreign", pending: mark("v9") },
      changes: { epoch: 8, debts: [debtOf("v9", "foreign")] },
      notes: [note("debt.recorded", "a candidate of another rotation was pending", "v9")],
    },
    {
      title: "set",
      before: { state: at("set", { cutSince: now - 40 }, 2) },
      outcome: done("set"),
      changes: { state: ready("test", { cutSince: now - 40 }) },
      notes: [note("set.done")],
    },
    {
      title: "test",
      before: { state: at("test", { cutSince: now - 40 }, 2) },
      outcome: done("test"),
      changes: { state: ready("finish", { cutSince: now - 40 }) },
      notes: [note("test.done")],
    },
    {
      title: "finish, which ends the gap of a cutover type",
      before: { state: at("finish", { cutSince: now - 40 }, 2) },
      outcome: done("finish"),
      changes: { current: { ...mark("v2"), since: now }, state: ready("announce", { cutSince: now - 40 }) },
      notes: [
        note("finish.done", "the old value was refused, and the new one not current, for at most 40 ms"),
      ],
    },
    {
      title: "finish of a candidate that was never recorded as saved",
      before: { state: at("finish", { pending: undefined }) },
      outcome: done("finish"),
      changes: {
        current: { version: "v2", fingerprint: "", since: now },
        state: ready("announce", { pending: undefined }),
      },
      notes: [note("finish.done")],
    },
    {
      title: "announce, to a fleet",
      before: { state: at("announce"), current: v2 },
      outcome: done("announce"),
      changes: { state: { phase: "grace", rotation, ...fresh, ...tries } },
      notes: [note("announce.done"), note("grace.began")],
    },
    {
      title: "announce of a first value",
      before: { state: at("announce", { previous: undefined }), current: v2, urgentAttempts: 2 },
      outcome: done("announce"),
      changes: { state: { phase: "idle" }, urgentAttempts: 0 },
      notes: [note("announce.done"), note("rotation.ended")],
    },
    {
      title: "announce in an emergency",
      before: { state: at("announce", { urgent: true }), current: v2 },
      outcome: done("announce"),
      changes: {
        epoch: 8,
        debts: [debtOf("v1", "retired")],
        state: {
          phase: "retire",
          rotation: { ...rotation, urgent: true },
          since: now,
          forced: true,
          ...tries,
        },
      },
      notes: [note("announce.done"), note("retire.began", "it is compromised", "v1")],
    },
  ];
  test.each(rows)("$title", check);
});

describe("what an undo leaves", () => {
  const note = { action: "undo.done", detail: "", version: "v2" };
  const ended = { state: { phase: "idle" }, scheduleFailures: 1, scheduleNotBefore: now + 5_000 } as const;
  const seen = { refusedAt: now, sessionsEnded: 0, survives: [] };
  const seenLeak = (version: string) => ({ ...leaked(version), ...seen });
  const other = debtOf("v0", "retired");
  const restoring = { kind: "rollback", restores: mark("v1"), previous: mark("v2") } as const;
  const rows: Row[] = [
    {
      title: "the candidate's debt is paid and its leak seen refused, and no other",
      before: {
        state: undo(),
        debts: [other, debtOf("v2", "leaked")],
        compromised: [leaked("v0"), leaked("v2")],
      },
      outcome: done("undo"),
      changes: { ...ended, debts: [other], compromised: [leaked("v0"), seenLeak("v2")], refused: ["v2"] },
      notes: [note],
    },
    {
      title: "a candidate that was never recorded as saved is known by its version",
      before: {
        state: undo({ pending: undefined }),
        debts: [other],
        compromised: [
          { version: "v0", reportedBy: "ann", at: 0 },
          { version: "v2", reportedBy: "ann", at: 0 },
        ],
      },
      outcome: done("undo"),
      changes: {
        ...ended,
        compromised: [
          { version: "v0", reportedBy: "ann", at: 0 },
          { version: "v2", reportedBy: "ann", at: 0, ...seen },
        ],
      },
      notes: [note],
    },
    {
      title: "after many that were undone the schedule waits six hours, and no longer",
      before: { state: undo(), scheduleFailures: 30 },
      outcome: done("undo"),
      changes: {
        state: { phase: "idle" },
        scheduleFailures: 31,
        scheduleNotBefore: now + 21_600_000,
        refused: ["v2"],
      },
      notes: [note],
    },
    {
      title: "a rollback's old value that has leaked is owed where it was not saved as the candidate",
      before: {
        state: undo({ ...restoring, pending: undefined }),
        current: v2,
        compromised: [leaked("v1")],
      },
      outcome: done("undo"),
      changes: { ...ended, debts: [debtOf("v1", "superseded")] },
      notes: [note],
    },
    {
      title: "a rollback's old value that has leaked is proven refused where it was saved as the candidate",
      before: {
        state: undo({ ...restoring, pending: { version: "v2", fingerprint: mark("v1").fingerprint } }),
        current: { ...mark("v0"), since: 9 },
        compromised: [leaked("v1")],
        sameLogin: [["v2", "v1"]],
      },
      outcome: done("undo"),
      changes: { ...ended, compromised: [seenLeak("v1")], refused: ["v2", "v1"] },
      notes: [note],
    },
    {
      title: "a rollback goes back to the grace that it had ended",
      before: { state: undo({ ...restoring, id: "v3", pending: mark("v3") }), current: v2 },
      outcome: done("undo"),
      changes: { state: { phase: "grace", rotation, ...fresh, ...tries } },
      notes: [
        { ...note, version: "v3" },
        { action: "grace.began", detail: "", version: "v2" },
      ],
    },
    {
      title: "a rollback goes back to its grace though the store has no current value",
      before: { state: undo({ ...restoring, id: "v3" }), current: undefined },
      outcome: done("undo"),
      changes: {
        state: {
          phase: "grace",
          rotation: { ...rotation, id: "v3", pending: undefined },
          ...fresh,
          ...tries,
        },
      },
      notes: [
        { ...note, version: "v3" },
        { action: "grace.began", detail: "", version: "v3" },
      ],
    },
  ];
  test.each(rows)("$title", check);
});

describe("what a failure leaves, writes and tells", () => {
  const tried = (step: string, attempts: number, code: string) => ({
    action: `${step}.failed`,
    detail: `try ${attempts}: ${code}: because`,
    version: "v2",
  });
  const successor: Rotation = {
    id: "v3",
    kind: "rotate",
    urgent: true,
    requestedBy: "emergency",
    startedAt: now,
    previous: mark("v1"),
  };
  const succeeded: Partial<RotationRecord> = {
    epoch: 8,
    state: { phase: "create", rotation: successor, ...tries },
    debts: [debtOf("v2", "superseded")],
    urgentAttempts: 1,
    urgentNotBefore: now + 100,
  };
  const began = { action: "rotate.began", detail: "urgent: current is compromised", version: "v3" };
  const again = (phase: "set" | "finish" | "announce", attempts: number, waitMs: number): State => ({
    phase,
    rotation,
    attempts,
    notBefore: now + waitMs,
  });
  const rows: Row[] = [
    {
      title: "the last of the tries of finish is written, and told",
      before: { state: at("finish", {}, 2) },
      outcome: { step: "finish", ...outage },
      changes: { state: again("finish", 3, 400) },
      notes: [tried("finish", 3, "unreachable")],
      events: [failedEvent("delayed", "delayed/finish/3", 7, "unreachable")],
    },
    {
      title: "announce has its tries too, also where what it announces has leaked",
      before: { state: at("announce"), current: v2, compromised: [leaked("v2")] },
      outcome: { step: "announce", ...outage },
      changes: { state: again("announce", 1, 100) },
      notes: [tried("announce", 1, "unreachable")],
    },
    {
      title: "announce goes on without the bus when its tries are used up",
      before: { state: at("announce", {}, 2), current: v2 },
      outcome: { step: "announce", ...outage },
      changes: { state: { phase: "grace", rotation, ...fresh, ...tries } },
      notes: [
        { action: "announce.failed", detail: "unreachable: because", version: "v2" },
        { action: "grace.began", detail: "", version: "v2" },
      ],
    },
    {
      title: "a successor's finish waits an outage out",
      before: { state: at("finish"), compromised: [leaked("v1")] },
      outcome: { step: "finish", ...outage },
      changes: { state: again("finish", 1, 100) },
      notes: [tried("finish", 1, "unreachable")],
    },
    {
      title: "a successor's set waits a conflict out",
      before: { state: at("set"), compromised: [leaked("v1")] },
      outcome: { step: "set", ...conflict },
      changes: { state: again("set", 1, 100) },
      notes: [tried("set", 1, "conflict")],
    },
    {
      title: "a successor's finish that meets a conflict has a successor",
      before: { state: at("finish"), compromised: [leaked("v1")] },
      outcome: { step: "finish", ...conflict },
      changes: succeeded,
      notes: [tried("finish", 1, "conflict"), began],
      events: [failedEvent("delayed", "delayed/v2", 7, "conflict")],
    },
    {
      title: "a successor's finish that is rejected has a successor: the store may have promoted it",
      before: { state: at("finish"), compromised: [leaked("v1")] },
      outcome: { step: "finish", ...rejected },
      changes: succeeded,
      notes: [tried("finish", 1, "login-refused"), began],
      events: [failedEvent("delayed", "delayed/v2", 7, "login-refused")],
    },
    {
      title: "a successor that would need a person has a successor",
      before: { state: at("set", {}, 1), compromised: [leaked("v1")] },
      outcome: { step: "set", ...halting },
      changes: succeeded,
      notes: [tried("set", 2, "fence-conflict"), began],
      events: [failedEvent("delayed", "delayed/v2", 7, "fence-conflict")],
    },
    {
      title: "an undo that would need a person calls one, also where current has leaked",
      before: { state: undo(), compromised: [leaked("v1")] },
      outcome: { step: "undo", ...halting },
      changes: {
        state: {
          phase: "halted",
          rotation,
          from: "undo",
          code: "fence-conflict",
          reason: "because",
          at: now,
        },
      },
      notes: [{ action: "halted", detail: "in undo: fence-conflict: because" }],
      events: [failedEvent("halted", "halted/undo", 7, "fence-conflict")],
    },
  ];
  test.each(rows)("$title", check);
});

describe("what a new credential that is refused in grace leaves", () => {
  const rows: Row[] = [
    {
      title: "a count",
      before: { state: grace(1), current: v2 },
      outcome: refusedAgain,
      changes: { state: grace(2) },
      notes: [{ action: "confirm.refused", detail: "2 times in a row", version: "v2" }],
    },
    {
      title: "a rollback by itself",
      before: { state: grace(2), current: v2 },
      outcome: refusedAgain,
      changes: {
        epoch: 8,
        state: {
          phase: "create",
          rotation: {
            id: "v3",
            kind: "rollback",
            urgent: false,
            restores: mark("v1"),
            requestedBy: "keyturn",
            startedAt: now,
            previous: mark("v2"),
          },
          ...tries,
        },
      },
      notes: [{ action: "rollback.began", detail: "requested by keyturn", version: "v3" }],
    },
    {
      title: "a person called, where there is no old one to go back to",
      before: { state: grace(2, { previous: undefined }), current: v2 },
      outcome: refusedAgain,
      changes: {
        state: {
          phase: "halted",
          rotation: { ...rotation, previous: undefined },
          from: "grace",
          code: "current-broken",
          reason: "the target refuses the new credential in grace",
          at: now,
        },
      },
      notes: [
        {
          action: "halted",
          detail: "in grace: current-broken: the target refuses the new credential in grace",
        },
      ],
      events: [
        failedEvent(
          "halted",
          "halted/grace",
          7,
          "current-broken",
          "the target refuses the new credential in grace",
        ),
      ],
    },
  ];
  test.each(rows)("$title", check);
});
