import { describe, expect, test } from "vitest";
import { memoryAuditLog, memoryJournal, memorySecretStore } from "../local/memory.ts";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import type { Ailment } from "./ailment.ts";
import { verifyChain } from "./audit.ts";
import { diagnose } from "./diagnose.ts";
import { KeyturnError } from "./errors.ts";
import { examine } from "./examine.ts";
import { identify } from "./identify.ts";
import { LeakedText } from "./leaked.ts";
import { request, versionMark } from "./operate.ts";
import type { Ports } from "./ports.ts";
import { reconcile } from "./reconcile.ts";
import type { RotationRecord } from "./record.ts";
import { repair } from "./repair.ts";
import { Secret } from "./secret.ts";

const ref = "app/db";
type Overlap = "both-live" | "cutover";

/** A secret whose ports and target can be taken apart. */
async function world(overlap: Overlap) {
  const target = modelTarget();
  const rotator = overlap === "both-live" ? target.bothLive : target.cutover;
  const memory = memoryPorts(rotator);
  let ports: Ports = memory.ports;
  const { clock } = memory;
  const step = () => reconcile(ref, ports, { worker: "worker" });
  const until = async (phase: string): Promise<RotationRecord> => {
    for (let turn = 0; turn < 200; turn += 1) {
      const { until: wakeAt, record } = await step();
      if (record.state.phase === phase || wakeAt === undefined) return record;
      clock.advance(Math.max(1, wakeAt - clock.now()));
    }
    throw new Error(`never reached ${phase}`);
  };
  const rotate = async (phase = "idle"): Promise<RotationRecord> => {
    await request(ref, ports, { kind: "rotate", by: "ann" });
    return until(phase);
  };
  const record = async () => (await ports.journal.load(ref))?.record;
  const accepts = async (version: string): Promise<boolean> => {
    const stored = await memory.ports.store.read(ref, { version });
    const { username = "", password = "" } = JSON.parse(stored?.value.reveal() ?? "{}");
    return target.accepts(username, password);
  };
  const current = async () => (await ports.store.read(ref, "current"))?.version ?? "none";
  return {
    target,
    bus: memory.bus,
    clock,
    until,
    rotate,
    step,
    record,
    accepts,
    current,
    ports: () => ports,
    swap: (changed: Partial<Ports>) => {
      ports = { ...ports, ...changed };
    },
    loginOf: async (version: string): Promise<{ username: string; password: string }> =>
      JSON.parse((await ports.store.read(ref, { version }))?.value.reveal() ?? "{}"),
    ailments: async (): Promise<readonly Ailment[]> =>
      diagnose(await examine(ref, ports), 3).map(({ ailment }) => ailment),
    fix: async () => repair(await examine(ref, ports), ports, "doctor"),
    /** A journal that has this record and nothing else. */
    journalWith: async (old: RotationRecord | undefined) => {
      const journal = memoryJournal();
      if (old !== undefined) await journal.save(old, undefined);
      ports = { ...ports, journal };
    },
  };
}
type World = Awaited<ReturnType<typeof world>>;

/** Whatever was wrong: one value works, it is current, the record is at rest, and the next rotation goes through. */
async function expectWhole(one: World): Promise<void> {
  const settled = await one.until("idle");
  expect(settled.state.phase).toBe("idle");
  expect(settled.debts).toEqual([]);
  expect(await one.accepts(await one.current())).toBe(true);
  expect(await one.ailments()).toEqual([]);
  const before = await one.current();
  const old = await one.loginOf(before);
  const after = await one.rotate();
  expect(after.state.phase).toBe("idle");
  expect(await one.current()).not.toBe(before);
  expect(await one.accepts(await one.current())).toBe(true);
  expect(one.target.accepts(old.username, old.password)).toBe(false);
}

describe.each<Overlap>(["both-live", "cutover"])("%s", (overlap) => {
  test("nothing is said of a healthy secret, in any state of a rotation", async () => {
    const one = await world(overlap);
    await one.rotate();
    for (const phase of ["grace", "idle"]) {
      await one.rotate(phase);
      expect(await one.ailments(), phase).toEqual([]);
      await one.until("idle");
    }
    await request(ref, one.ports(), { kind: "rotate", by: "ann" });
    const seen = new Set<string>();
    const ports = one.ports();
    const journal: typeof ports.journal = {
      ...ports.journal,
      save: async (record, revision) => {
        const saved = await ports.journal.save(record, revision);
        seen.add(record.state.phase);
        expect(diagnose(await examine(ref, ports), 3), record.state.phase).toEqual([]);
        return saved;
      },
    };
    one.swap({ journal });
    await one.until("idle");
    expect([...seen]).toEqual(
      expect.arrayContaining(["set", "test", "finish", "announce", "grace", "retire"]),
    );
  });

  test.each(["idle", "grace"])(
    "a journal that was lost in %s is made anew, and nothing with it is lost",
    async (phase) => {
      const one = await world(overlap);
      await one.rotate();
      const before = await one.rotate(phase);
      await one.journalWith(undefined);
      expect(await one.ailments()).toEqual(["journal-lost"]);
      const fixed = await one.fix();
      expect(fixed?.epoch).toBeGreaterThan(before.epoch);
      expect(fixed?.state.phase).toBe(overlap === "both-live" ? phase : "idle");
      const { password } = await one.loginOf(await one.current());
      expect(await identify(one.ports(), new LeakedText(new Secret(password)))).toMatchObject([
        { version: await one.current() },
      ]);
      await expectWhole(one);
    },
  );

  test("a journal that was lost between set and finish leaves no live orphan, and readers a value that works", async () => {
    const one = await world(overlap);
    await one.rotate();
    one.target.fail("test", new KeyturnError("unreachable", "cut off"));
    await one.rotate("test");
    one.target.fail("test", undefined);
    await one.journalWith(undefined);
    expect(await one.ailments()).toContain("journal-lost");
    await one.fix();
    await expectWhole(one);
  });

  test.each([1, 2, 3])("a journal from a backup, %i rotations old, is put right", async (rotations) => {
    const one = await world(overlap);
    await one.rotate();
    const old = await one.record();
    for (let turn = 0; turn < rotations; turn += 1) await one.rotate();
    await one.journalWith(old);
    expect(await one.ailments()).toContain("epoch-behind");
    await one.fix();
    await expectWhole(one);
  });

  test("a journal from a backup does not forget what has leaked since", async () => {
    const one = await world(overlap);
    await one.rotate();
    const old = await one.record();
    const leaked = await one.current();
    const version = await versionMark(ref, one.ports(), "current");
    await request(ref, one.ports(), { kind: "emergency", by: "ann", version, cutFirst: false });
    await one.until("idle");
    await one.journalWith(old);
    await one.fix();
    expect((await one.record())?.compromised.map((entry) => entry.version)).toEqual([leaked]);
    await expectWhole(one);
  });

  test("a store from a backup, without current, gets a successor", async () => {
    const one = await world(overlap);
    await one.rotate();
    const kept = await one.ports().store.read(ref, "current");
    await one.rotate();
    const lost = await one.loginOf(await one.current());
    const store = memorySecretStore(one.clock);
    if (kept === undefined) throw new Error("no current");
    await store.savePending(ref, kept.version, kept.value);
    await store.promote(ref, kept.version, undefined);
    one.swap({ store });
    expect(await one.ailments()).toContain("store-behind");
    await one.fix();
    await one.until("idle");
    expect(one.target.accepts(lost.username, lost.password)).toBe(false);
    const { username, password } = await one.loginOf(await one.current());
    expect(one.target.accepts(username, password)).toBe(true);
  });

  test("a target from a backup accepts current again, and what was retired since stays refused", async () => {
    const one = await world(overlap);
    await one.rotate();
    await one.rotate();
    const restore = one.target.backup();
    const stale = await one.loginOf(await one.current());
    await one.rotate();
    const current = await one.current();
    restore();
    expect(await one.accepts(current)).toBe(false);
    expect(await one.ailments()).toContain("current-refused");
    await one.fix();
    // Nobody can read it any more, and the target's own mark is what tells of it.
    await one.until("idle");
    expect(one.target.accepts(stale.username, stale.password)).toBe(false);
    await expectWhole(one);
    expect(one.target.accepts(stale.username, stale.password)).toBe(false);
  });

  test.each([
    ["changed", "by somebody else"],
    ["dropped", undefined],
  ])(
    "a login that was %s behind Keyturn's back gets its value again, which the agents have",
    async (_how, password) => {
      const one = await world(overlap);
      await one.rotate();
      const { username, password: theirs } = await one.loginOf(await one.current());
      one.target.meddle(username, password);
      expect(await one.ailments()).toEqual(["current-refused"]);
      await one.fix();
      await one.until("grace");
      expect(one.target.accepts(username, theirs)).toBe(true);
      await expectWhole(one);
    },
  );

  test("a candidate that nobody knows is owed, refused and put aside", async () => {
    const one = await world(overlap);
    await one.rotate();
    await one
      .ports()
      .store.savePending(ref, "stranger", new Secret('{"username":"app_x","password":"strange"}'));
    expect(await one.ailments()).toEqual(["foreign-pending"]);
    await one.fix();
    await one.until("idle");
    expect(await one.ports().store.read(ref, "pending")).toBeUndefined();
    await expectWhole(one);
  });

  test("an audit that was cut off goes on behind what is left, and says what is missing", async () => {
    const one = await world(overlap);
    await one.rotate();
    const audit = memoryAuditLog();
    const kept = (await Array.fromAsync(one.ports().audit.read(ref))).slice(0, 3);
    for (const entry of kept) await audit.append(entry);
    one.swap({ audit });
    expect(await one.ailments()).toEqual(["audit-broken"]);
    await one.fix();
    await expectWhole(one);
    const record = await one.record();
    const chain = await Array.fromAsync(audit.read(ref));
    expect(chain.slice(0, 3)).toEqual(kept);
    expect(chain[3]).toMatchObject({ action: "repaired", sequence: 4 });
    expect(chain[3]?.detail).toContain("cut-off at entry 3");
    expect((await verifyChain(ref, audit.read(ref), record?.audit)).fault).toBeUndefined();
  });

  test("while the target cannot be asked, nothing is repaired by what it might have said", async () => {
    const one = await world(overlap);
    await one.rotate();
    await one.journalWith(undefined);
    one.target.fail("refused", new KeyturnError("unreachable", "cut off"));
    expect(await one.ailments()).toEqual(["journal-lost", "unreachable"]);
    expect(await one.fix()).toBeUndefined();
    expect(await one.record()).toBeUndefined();
    one.target.fail("refused", undefined);
    await one.fix();
    await expectWhole(one);
  });

  test("a current that is older than many versions is found", async () => {
    const one = await world(overlap);
    await one.rotate();
    const { store } = one.ports();
    for (let other = 0; other < 12; other += 1) {
      await store.savePending(ref, `v${other}`, new Secret(`{"username":"app_x","password":"p${other}"}`));
      await store.discardPending(ref, `v${other}`);
    }
    expect(await one.ailments()).toEqual([]);
  });

  test("a journal from a backup that was worked with before anybody looked goes on behind the audit", async () => {
    const one = await world(overlap);
    await one.rotate();
    const old = await one.rotate("grace");
    await one.until("idle");
    const kept = (await Array.fromAsync(one.ports().audit.read(ref))).length;
    one.clock.advance(5_000);
    await one.journalWith(old);
    for (let turn = 0; turn < 20; turn += 1) {
      one.clock.advance(5_000);
      await one.step();
    }
    expect(await one.ailments()).toEqual(["epoch-behind"]);
    const { outbox } = (await one.record()) ?? {};
    await one.fix();
    await expectWhole(one);
    const chain = await Array.fromAsync(one.ports().audit.read(ref));
    // What it did meanwhile is in the chain, too.
    expect(chain.slice(kept, kept + (outbox?.entries.length ?? 0)).map(({ action }) => action)).toEqual(
      outbox?.entries.map(({ action }) => action),
    );
    expect(
      (await verifyChain(ref, one.ports().audit.read(ref), (await one.record())?.audit)).fault,
    ).toBeUndefined();
  });

  test("a value that was to be set again, and cannot, leaves no rotation that never ends", async () => {
    const one = await world(overlap);
    await one.rotate();
    const { username } = await one.loginOf(await one.current());
    one.target.meddle(username, "changed");
    one.target.fail("test", new KeyturnError("access-differs", "the probe failed"));
    await one.fix();
    expect((await one.until("idle")).state.phase).toBe("idle");
    one.target.fail("test", undefined);
    await expectWhole(one);
  });

  test("a leak of a value that is being set again gets a successor, not the same value", async () => {
    const one = await world(overlap);
    await one.rotate();
    const leaked = await one.loginOf(await one.current());
    one.target.meddle(leaked.username, "changed");
    await one.fix();
    const version = await versionMark(ref, one.ports(), "current");
    await request(ref, one.ports(), { kind: "emergency", by: "ann", version, cutFirst: false });
    await one.until("idle");
    expect(one.target.accepts(leaked.username, leaked.password)).toBe(false);
    const published = one.bus.events.filter(({ type }) => type === "dev.keyturn.secret.rotated.v1");
    expect(published).toHaveLength(2);
    await expectWhole(one);
  });

  test("what has leaked is known by its value when the journal is lost, whatever its version", async () => {
    const one = await world(overlap);
    await one.rotate();
    await one.rotate("grace");
    await request(ref, one.ports(), { kind: "rollback", by: "ann", insist: false });
    await one.until("grace");
    const leaked = await one.loginOf(await one.current());
    const version = await versionMark(ref, one.ports(), "current");
    one.target.fail("set", new KeyturnError("unreachable", "cut off"));
    await request(ref, one.ports(), { kind: "emergency", by: "ann", version, cutFirst: false });
    await one.step();
    await one.journalWith(undefined);
    one.target.fail("set", undefined);
    await one.fix();
    expect((await one.record())?.compromised).toMatchObject([{ fingerprint: version.fingerprint }]);
    await one.until("idle");
    expect(one.target.accepts(leaked.username, leaked.password)).toBe(false);
    await expectWhole(one);
  });

  test("who moves the record meanwhile is not overwritten", async () => {
    const one = await world(overlap);
    await one.rotate();
    const { username } = await one.loginOf(await one.current());
    one.target.meddle(username, "changed");
    const seen = await examine(ref, one.ports());
    await request(ref, one.ports(), { kind: "pause", by: "bob", reason: "look" });
    await expect(repair(seen, one.ports(), "doctor")).rejects.toMatchObject({ code: "conflict" });
  });

  test("a second look finds nothing to mend", async () => {
    const one = await world(overlap);
    await one.rotate();
    await one.journalWith(undefined);
    await one.fix();
    await one.until("idle");
    expect(await one.fix()).toBeUndefined();
  });
});

describe("both-live alone", () => {
  test("a cut that comes before its successor is no ailment", async () => {
    const one = await world("both-live");
    await one.rotate();
    const version = await versionMark(ref, one.ports(), "current");
    one.target.fail("set", new KeyturnError("unreachable", "cut off"));
    await request(ref, one.ports(), { kind: "emergency", by: "ann", version, cutFirst: true });
    await one.step();
    expect(await one.accepts(version.version)).toBe(false);
    expect(await one.ailments()).toEqual([]);
  });

  test("in grace, the old value is cut only after current is good again", async () => {
    const one = await world("both-live");
    await one.rotate();
    const old = await one.loginOf(await one.current());
    await one.rotate("grace");
    const { username, password } = await one.loginOf(await one.current());
    one.target.meddle(username, undefined);
    await one.fix();
    await one.until("grace");
    expect(one.target.accepts(username, password)).toBe(true);
    expect(one.target.accepts(old.username, old.password)).toBe(true);
    await one.until("idle");
    expect(one.target.accepts(old.username, old.password)).toBe(false);
    await expectWhole(one);
  });

  test("what was cut on purpose, past the journal, is never let in again", async () => {
    const one = await world("both-live");
    await one.rotate();
    const leaked = await one.current();
    const { username, password } = await one.loginOf(leaked);
    const [seen] = (await examine(ref, one.ports())).marks ?? [];
    const fence = {
      installation: "test",
      ref,
      rotationId: "direct",
      epoch: 99,
      fingerprint: seen?.fingerprint ?? "",
    };
    const { clock, random, log } = one.ports();
    const context = {
      config: { owner: "app" },
      admin: undefined,
      fence,
      clock,
      random,
      log,
      signal: new AbortController().signal,
      defer: () => undefined,
    };
    await one.target.bothLive.retire(new Secret(JSON.stringify({ username, password })), context);
    expect(await one.ailments()).toEqual(["epoch-behind", "current-refused"]);
    await one.fix();
    await one.until("idle");
    expect(one.target.accepts(username, password)).toBe(false);
    expect((await one.record())?.compromised).toMatchObject([{ version: leaked }]);
    await expectWhole(one);
  });

  test("an older version that works again is owed again, as leaked if it had leaked", async () => {
    const one = await world("both-live");
    await one.rotate();
    const old = await one.loginOf(await one.current());
    const version = await one.current();
    await one.rotate("grace");
    const { store } = one.ports();
    // It is not disabled yet, and nobody waits for it any more.
    const record = await one.record();
    if (record === undefined) throw new Error("no record");
    await one.journalWith({ ...record, state: { phase: "idle" } });
    expect(await one.ailments()).toEqual(["revived"]);
    await one.fix();
    expect((await one.record())?.debts).toMatchObject([{ version, reason: "retired" }]);
    await one.until("idle");
    expect(one.target.accepts(old.username, old.password)).toBe(false);
    expect(await store.read(ref, { version })).toBeUndefined();
  });

  test("another installation's mark is named, and left to a person", async () => {
    const one = await world("both-live");
    await one.rotate();
    one.swap({ installation: "another" });
    const found = diagnose(await examine(ref, one.ports()), 3);
    expect(found.map(({ ailment }) => ailment)).toContain("other-installation");
    expect(found.every(({ fix }) => fix === undefined)).toBe(true);
    expect(await one.fix()).toBeUndefined();
  });
});
