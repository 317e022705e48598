import { describe, expect, test } from "vitest";
import type { RotationEvent } from "../core/events.ts";
import { newRecord, type RotationRecord } from "../core/record.ts";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import { compare, remindEveryMs, type Sight } from "./compare.ts";
import type { LedgerChange, Told } from "./ledger.ts";

const ref = "billing/db";
const start = Date.UTC(2026, 0, 1);
const hour = 60 * 60_000;
const managed = { tenant: "acme", policy: { ...defaultTestPolicy, cacheTtlMs: 1_000, attemptsMax: 3 } };

function recordWith(changes: Partial<RotationRecord>): RotationRecord {
  return {
    ...newRecord(ref),
    current: { version: "v1", fingerprint: "f1", since: start - hour },
    ...changes,
  };
}

function halted(at: number): RotationRecord["state"] {
  return { phase: "halted", from: "set", code: "superseded", reason: "epoch 9 was seen", at };
}

function debt(changes: Partial<RotationRecord["debts"][number]> = {}): RotationRecord["debts"][number] {
  const usual = { version: "v0", fingerprint: "f0", reason: "retired", since: start } as const;
  return { ...usual, cutFirst: false, attempts: 0, notBefore: start, ...changes };
}

function event<Type extends RotationEvent["type"]>(
  type: Type,
  data: Extract<RotationEvent, { type: Type }>["data"],
  step: string,
): RotationEvent {
  const envelope = {
    specversion: "1.0",
    id: `${ref}/7/${step}`,
    source: "keyturn/test",
    subject: ref,
    time: new Date(start).toISOString(),
    datacontenttype: "application/json",
  };
  return { ...envelope, type, data } as RotationEvent;
}

const undone = (step = "undone/r1") =>
  event(
    "dev.keyturn.rotation.failed.v1",
    { epoch: 7, outcome: "undone", code: "access-differs", reason: "no grant" },
    step,
  );

/** Looks again and again as time goes by, and remembers what was told as the ledger does. */
function observer(channels: readonly string[] = ["oncall"]) {
  let told: readonly Told[] = [];
  return {
    see(record: RotationRecord | undefined, now: number, changes: Partial<Sight> = {}): readonly string[] {
      const change: LedgerChange = compare({
        ref,
        managed,
        record,
        told,
        recipients: () => channels,
        now,
        ...changes,
      });
      const isClosed = (row: Told): boolean =>
        change.closed.some(({ channel, key }) => channel === row.channel && key === row.condition.key);
      const isNew = (row: Told): boolean =>
        change.told.some(
          ({ channel, condition }) => channel === row.channel && condition.key === row.condition.key,
        );
      told = [...told.filter((row) => !isClosed(row) && !isNew(row)), ...change.told];
      return change.tell.map(({ channel, notice }) => `${channel} ${notice.status} ${notice.id}`);
    },
    get open(): readonly string[] {
      return told.map(({ condition }) => condition.key);
    },
  };
}

describe("a halted rotation", () => {
  test("is told at once, every day, and when a person has looked", () => {
    const { see } = observer();
    const record = recordWith({ state: halted(start) });
    const id = `${ref}/halted/${start}`;
    expect(see(record, start)).toEqual([`oncall opened ${id}`]);
    expect(see(record, start + remindEveryMs - 1)).toEqual([]);
    expect(see(record, start + remindEveryMs)).toEqual([`oncall reminder ${id}/reminder/1`]);
    expect(see(record, start + remindEveryMs + 1)).toEqual([]);
    expect(see(record, start + 2 * remindEveryMs)).toEqual([`oncall reminder ${id}/reminder/2`]);
    expect(see(recordWith({}), start + 3 * remindEveryMs)).toEqual([`oncall resolved ${id}/resolved`]);
    expect(see(recordWith({}), start + 9 * remindEveryMs)).toEqual([]);
  });

  test("that was resumed and halted again unseen is over, and a new one", () => {
    const seen = observer();
    seen.see(recordWith({ state: halted(start) }), start);
    expect(seen.see(recordWith({ state: halted(start + hour) }), start + hour)).toEqual([
      `oncall resolved ${ref}/halted/${start}/resolved`,
      `oncall opened ${ref}/halted/${start + hour}`,
    ]);
    expect(seen.open).toEqual([`${ref}/halted`]);
    expect(seen.see(recordWith({}), start + 2 * hour)).toHaveLength(1);
  });

  test("that was resumed before anybody looked is told with its end", () => {
    const { see } = observer();
    const data = { epoch: 7, outcome: "halted", code: "superseded", reason: "epoch 9" } as const;
    const hint = event("dev.keyturn.rotation.failed.v1", data, "halted/set");
    expect(see(recordWith({}), start, { event: hint })).toEqual([
      `oncall opened ${ref}/7/halted/set`,
      `oncall resolved ${ref}/7/halted/set/resolved`,
    ]);
  });

  test("is told once, whether its event or the journal comes first", () => {
    const { see } = observer();
    const record = recordWith({ state: halted(start + 5) });
    const data = { epoch: 7, outcome: "halted", code: "superseded", reason: "epoch 9" } as const;
    const hint = event("dev.keyturn.rotation.failed.v1", data, "halted/set");
    expect(see(record, start, { event: hint })).toHaveLength(1);
    expect(see(record, start + 1, { event: hint })).toEqual([]);
    expect(see(record, start + 2)).toEqual([]);
  });

  test("is told to a channel that came later, and its end to whom it was told", () => {
    const { see } = observer();
    const record = recordWith({ state: halted(start) });
    const id = `${ref}/halted/${start}`;
    see(record, start);
    const both = { recipients: () => ["oncall", "chat"] };
    expect(see(record, start + 1, both)).toEqual([`chat opened ${id}`]);
    expect(see(recordWith({}), start + 2, { recipients: () => [] })).toEqual([
      `oncall resolved ${id}/resolved`,
      `chat resolved ${id}/resolved`,
    ]);
  });

  test("of a secret that left the manifest is over", () => {
    const { see } = observer();
    see(recordWith({ state: halted(start) }), start);
    expect(see(undefined, start + 1, { managed: undefined })).toEqual([
      `oncall resolved ${ref}/halted/${start}/resolved`,
    ]);
  });
});

describe("an unpaid debt", () => {
  test("is told when its tries are used up, and is over when it is paid, not when they begin anew", () => {
    const { see } = observer();
    expect(see(recordWith({ debts: [debt({ attempts: 2 })] }), start)).toEqual([]);
    expect(see(recordWith({ debts: [debt({ attempts: 3 })] }), start + 1)).toEqual([
      `oncall opened ${ref}/debt/v0/${start}`,
    ]);
    expect(see(recordWith({ debts: [debt({ attempts: 0 })] }), start + 2)).toEqual([]);
    expect(see(recordWith({}), start + 3)).toEqual([`oncall resolved ${ref}/debt/v0/${start}/resolved`]);
  });

  test.each([
    ["retired", hour + 1_000],
    ["leaked", 5 * 60_000 + 1_000],
  ] as const)("that is %s and nobody tries to pay is told after a while", (reason, afterMs) => {
    const { see } = observer();
    const record = recordWith({ debts: [debt({ reason })] });
    expect(see(record, start + afterMs)).toEqual([]);
    expect(see(record, start + afterMs + 1)).toEqual([`oncall opened ${ref}/debt/v0/${start}`]);
  });

  test("is told as a debt, and not also as a delay", () => {
    const { see } = observer();
    const data = { epoch: 7, outcome: "delayed", code: "not-proven", reason: "v0 is accepted" } as const;
    const hint = event("dev.keyturn.rotation.failed.v1", data, "delayed/v0/3");
    expect(see(recordWith({ debts: [debt({ attempts: 3 })] }), start, { event: hint })).toEqual([
      `oncall opened ${ref}/debt/v0/${start}`,
    ]);
  });
});

describe("a leak", () => {
  const leak = { version: "v1", fingerprint: "f1", reportedBy: "person:ann", at: start };
  const hint = event("dev.keyturn.secret.revoked.v1", { epoch: 7, version: "v1" }, "revoked");
  const id = `${ref}/revoked/v1/${start}`;

  test("is told while it is cut off, and when it is", () => {
    const { see } = observer();
    expect(see(recordWith({ compromised: [leak] }), start, { event: hint })).toEqual([`oncall opened ${id}`]);
    const cut = recordWith({ compromised: [{ ...leak, refusedAt: start + 400 }] });
    expect(see(cut, start + 500)).toEqual([`oncall resolved ${id}/resolved`]);
  });

  test("that was cut off faster than anybody looked is told with its end", () => {
    const { see } = observer();
    const cut = recordWith({ compromised: [{ ...leak, refusedAt: start + 200, sessionsEnded: 3 }] });
    expect(see(cut, start + 500, { event: hint })).toEqual([
      `oncall opened ${id}`,
      `oncall resolved ${id}/resolved`,
    ]);
    expect(see(cut, start + 600)).toEqual([]);
  });

  test("without an event is found in the journal", () => {
    const { see } = observer();
    expect(see(recordWith({ compromised: [leak] }), start)).toEqual([`oncall opened ${id}`]);
  });

  test("of a version that is in use nowhere is nobody's business any more", () => {
    const { see } = observer();
    const old = { ...leak, version: "v-old", fingerprint: "f-old" };
    expect(see(recordWith({ compromised: [old] }), start)).toEqual([]);
  });
});

describe("what only events say", () => {
  test("a rotation that was undone is told each time, and is over with the next version", () => {
    const { see } = observer();
    const id = `${ref}/7/undone`;
    expect(see(recordWith({}), start, { event: undone() })).toEqual([`oncall opened ${id}/r1`]);
    expect(see(recordWith({}), start, { event: undone() })).toEqual([]);
    expect(see(recordWith({}), start + hour, { event: undone("undone/r2") })).toEqual([
      `oncall opened ${id}/r2`,
    ]);
    const next = recordWith({ current: { version: "v2", fingerprint: "f2", since: start + 2 * hour } });
    expect(see(next, start + 2 * hour)).toEqual([`oncall resolved ${id}/r2/resolved`]);
  });

  test("agents that hold a rotation up are told once, until it has come to its end", () => {
    const { see } = observer();
    const data = { epoch: 7, outcome: "laggards", code: "request-refused", reason: "host-9" } as const;
    const hint = (step: string) => event("dev.keyturn.rotation.failed.v1", data, step);
    const rotation = {
      id: "r1",
      kind: "rotate",
      urgent: false,
      requestedBy: "ann",
      startedAt: start,
    } as const;
    const tries = { attempts: 0, notBefore: start };
    const state = { phase: "retire", rotation, since: start, forced: false, ...tries } as const;
    expect(see(recordWith({ state }), start, { event: hint("laggards/1") })).toHaveLength(1);
    expect(see(recordWith({ state }), start + 1, { event: hint("laggards/2") })).toEqual([]);
    expect(see(recordWith({}), start + 2)).toEqual([`oncall resolved ${ref}/7/laggards/1/resolved`]);
  });

  test("news is told under the event's own id, to those who want it", () => {
    const { see } = observer();
    const data = { epoch: 7, version: "v2", urgent: false };
    const rotated = event("dev.keyturn.secret.rotated.v1", data, "rotated");
    const recipients: Sight["recipients"] = (kind) => (kind === "rotated" ? ["chat"] : []);
    expect(see(recordWith({}), start, { event: rotated, recipients })).toEqual([
      `chat told ${ref}/7/rotated`,
    ]);
  });
});
