import { beforeEach, describe, expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { acceptReports } from "./accept-reports.ts";
import { verifyChain } from "./audit.ts";
import { KeyturnError } from "./errors.ts";
import { identify } from "./identify.ts";
import { LeakedText } from "./leaked.ts";
import { request, versionMark } from "./operate.ts";
import type { Policy, Stage } from "./ports.ts";
import { reconcile } from "./reconcile.ts";
import type { RotationRecord } from "./record.ts";
import { every } from "./schedule.ts";
import { Secret } from "./secret.ts";

const ref = "app/db";

function world(overlap: "both-live" | "cutover", policy: Partial<Policy> = {}) {
  const target = modelTarget();
  const rotator = overlap === "both-live" ? target.bothLive : target.cutover;
  const memory = memoryPorts(rotator, { policy });
  const { ports, clock } = memory;
  let sequence = 0;
  return {
    ...memory,
    target,
    rotate: () => request(ref, ports, { kind: "rotate", by: "tester" }),
    ask: (kind: "cancel" | "rollback", insist = false) => request(ref, ports, { kind, by: "tester", insist }),
    leak: async (which: string, cutFirst = false) =>
      request(ref, ports, {
        kind: "emergency",
        by: "tester",
        version: await versionMark(ref, ports, which),
        cutFirst,
      }),
    work: (worker = "worker") => reconcile(ref, ports, { worker }),
    record: async (): Promise<RotationRecord> => {
      const loaded = await ports.journal.load(ref);
      if (loaded === undefined) throw new Error("no record");
      return loaded.record;
    },
    login: async (which: Stage | { version: string }) => {
      const stored = await ports.store.read(ref, which);
      if (stored === undefined) return undefined;
      const { username, password } = JSON.parse(stored.value.reveal());
      return target.accepts(username, password);
    },
    raw: async (which: Stage): Promise<{ username: string; password: string }> => {
      const stored = await ports.store.read(ref, which);
      return JSON.parse(stored?.value.reveal() ?? "null");
    },
    /** Works on, passing the time that it asks for, until the phase is reached or nothing is left to do. */
    until: async (phase: string, worker = "worker") => {
      for (let turn = 0; turn < 400; turn += 1) {
        const { result, until, record } = await reconcile(ref, ports, { worker });
        if (record.state.phase === phase && result !== "busy") return record;
        if (until === undefined) return record;
        clock.advance(Math.max(1, until - clock.now()));
      }
      throw new Error(`never reached ${phase}`);
    },
    /** The fleet of one agent says what it uses. */
    report: (inUse: string[], adopted?: string, holds: string[] = []) => {
      sequence += 1;
      return acceptReports(ports, [
        {
          ref,
          agent: "host/a",
          fleet: "agents",
          sequence,
          adopted,
          inUse,
          holds: holds.map((version) => ({ id: `hold-${version}`, version, since: 0 })),
        },
      ]);
    },
    fault: async () => {
      const audit = (await ports.journal.load(ref))?.record.audit;
      return (await verifyChain(ref, ports.audit.read(ref), audit)).fault;
    },
  };
}

describe.each(["both-live", "cutover"] as const)("a rotation of a %s type", (overlap) => {
  let it: ReturnType<typeof world>;
  beforeEach(async () => {
    it = world(overlap);
    await it.rotate();
    await it.until("idle");
  });

  test("the first one makes the first credential and leaves nothing owed", async () => {
    const record = await it.record();
    expect(record.state.phase).toBe("idle");
    expect(record.debts).toEqual([]);
    expect(await it.login("current")).toBe(true);
    expect(await it.ports.store.read(ref, "pending")).toBeUndefined();
  });

  test("a second one waits in grace until the fleet has released, then retires and proves it", async () => {
    const first = (await it.record()).current?.version ?? "";
    const old = await it.raw("current");
    await it.report([first], first);
    await it.rotate();
    const grace = await it.until("grace");
    const second = grace.current?.version ?? "";
    expect(second).not.toBe(first);
    expect(await it.login("current")).toBe(true);
    expect(it.target.accepts(old.username, old.password)).toBe(overlap === "both-live");

    for (let beat = 0; beat < 5; beat += 1) {
      it.clock.advance(900);
      await it.report([first, second], second);
      expect((await it.work()).record.state.phase).toBe("grace");
    }
    await it.report([second], second);
    await it.work();
    expect((await it.record()).state.phase).toBe("retire");
    it.clock.advance(1_000);
    await it.report([second], second);
    const done = (await it.work()).record;
    expect(done.state.phase).toBe("idle");
    expect(done.debts).toEqual([]);
    expect(it.target.accepts(old.username, old.password)).toBe(false);
    expect(await it.ports.store.read(ref, { version: first })).toBeUndefined();
    expect(it.bus.events.map((event) => event.type.replace("dev.keyturn.", ""))).toEqual([
      "secret.rotated.v1",
      "secret.rotated.v1",
      "secret.adopted.v1",
      "secret.retired.v1",
    ]);
    expect(await it.fault()).toBeUndefined();
  });

  test("a fleet that reports nothing never counts as adopted: grace runs to its end, and usage must be clear", async () => {
    const { username } = await it.raw("current");
    await it.rotate();
    const started = it.clock.now();
    it.target.setSessions(username, 2);
    const retiring = await it.until("retire");
    expect(it.clock.now() - started).toBeGreaterThanOrEqual(60_000);
    for (let look = 0; look < 5; look += 1) {
      it.clock.advance(1_000);
      expect((await it.work()).record.debts).toHaveLength(1);
    }
    expect(retiring.state.phase).toBe("retire");
    const named = it.bus.events.filter((event) => event.type === "dev.keyturn.rotation.failed.v1");
    expect(named.map((event) => event.data)).toMatchObject([{ outcome: "laggards" }]);
    it.target.setSessions(username, 0);
    expect((await it.until("idle")).debts).toEqual([]);
  });

  test("a hold keeps grace open; one that comes after retire began is refused", async () => {
    const first = (await it.record()).current?.version ?? "";
    await it.report([first], first);
    await it.rotate();
    const second = (await it.until("grace")).current?.version ?? "";
    expect(await it.report([first, second], second, [first])).toEqual({ refusedHolds: [] });
    it.clock.advance(2_000);
    await it.report([first, second], second, [first]);
    expect((await it.work()).record.state.phase).toBe("grace");
    await it.report([second], second);
    await it.work();
    expect((await it.record()).state.phase).toBe("retire");
    expect(await it.report([first, second], second, [first])).toEqual({ refusedHolds: [`hold-${first}`] });
    it.clock.advance(1_000);
    expect((await it.work()).record.state.phase).toBe("retire");
    await it.report([second], second);
    expect((await it.until("idle")).debts).toEqual([]);
  });

  test("a candidate that the target refuses is undone: current untouched, nothing owed, the fleet told why", async () => {
    it.target.fail("test", new KeyturnError("access-differs", "the new login lacks SELECT on orders"), 1);
    const before = await it.raw("current");
    await it.rotate();
    const record = await it.until("idle");
    expect(record.debts).toEqual([]);
    expect(await it.raw("current")).toEqual(before);
    expect(await it.login("current")).toBe(true);
    expect(await it.ports.store.read(ref, "pending")).toBeUndefined();
  });

  test("cancel in the middle takes the candidate back, however often it is asked for", async () => {
    it.target.fail("test", new KeyturnError("unreachable", "no answer"));
    await it.rotate();
    await it.work();
    expect((await it.record()).state.phase).toBe("test");
    const candidate = await it.raw("pending");
    it.target.fail("test", undefined);
    expect((await it.ask("cancel")).answer).toBe("began");
    expect((await it.ask("cancel")).answer).toBe("nothing");
    expect((await it.until("idle")).debts).toEqual([]);
    expect(it.target.accepts(candidate.username, candidate.password)).toBe(false);
    expect(await it.login("current")).toBe(true);
  });

  test("rollback in grace brings the old value back as a new version and retires the new one", async () => {
    const old = await it.raw("current");
    await it.rotate();
    await it.until("grace");
    const bad = await it.raw("current");
    expect((await it.ask("rollback")).answer).toBe("began");
    await it.until("idle");
    expect(await it.raw("current")).toEqual(old);
    expect(await it.login("current")).toBe(true);
    expect(it.target.accepts(bad.username, bad.password)).toBe(false);
    expect((await it.record()).debts).toEqual([]);
  });

  test("a new credential that dies in grace while the old one works is rolled back by itself", async () => {
    const old = await it.raw("current");
    await it.rotate();
    await it.until("grace");
    const { username } = await it.raw("current");
    it.target.meddle(username, "somebody's");
    if (overlap === "cutover") it.target.meddle(username, old.password);
    for (let look = 0; look < 40 && (await it.record()).state.phase === "grace"; look += 1) {
      it.clock.advance(1_000);
      await it.work();
    }
    await it.until("idle");
    expect(await it.raw("current")).toEqual(old);
    expect(await it.login("current")).toBe(true);
  });

  test("an emergency cuts a leaked current without any grace, and reports it once", async () => {
    const leaked = await it.raw("current");
    const version = (await it.record()).current?.version ?? "";
    await it.report([version], version);
    expect((await it.leak("current")).answer).toBe("began");
    expect((await it.leak("current")).answer).toBe("joined");
    const { record } = await it.work();
    expect(record.state.phase).toBe("idle");
    expect(record.debts).toEqual([]);
    expect(it.target.accepts(leaked.username, leaked.password)).toBe(false);
    expect(await it.login("current")).toBe(true);
    expect(record.compromised).toMatchObject([{ version, refusedAt: it.clock.now() }]);
    expect(it.bus.events.filter((event) => event.type === "dev.keyturn.secret.revoked.v1")).toHaveLength(1);
  });

  test("a leaked text is found by its fingerprint, trimmed, and only then", async () => {
    const { password } = await it.raw("current");
    const version = (await it.record()).current?.version ?? "";
    expect(await identify(it.ports, new LeakedText(new Secret(` ${password}\n`)))).toEqual([
      { ref, version, field: "password" },
    ]);
    expect(await identify(it.ports, new LeakedText(new Secret(password.slice(1))))).toEqual([]);
  });

  test("no line of a log, no event and no audit entry holds a value", async () => {
    const { password } = await it.raw("current");
    it.target.fail(
      "set",
      new KeyturnError("target-rejected", `cannot set '${password}' (${encodeURIComponent(password)})`),
    );
    await it.rotate();
    await it.work();
    const entries = [];
    for await (const entry of it.ports.audit.read(ref)) entries.push(entry);
    const all = JSON.stringify([it.lines, it.bus.events, entries, await it.record()]);
    expect(all).toContain("[redacted]");
    expect(all).not.toContain(password);
  });
});

describe("cut first", () => {
  test("refuses the leaked current before its successor exists", async () => {
    const it = world("both-live");
    await it.rotate();
    await it.until("idle");
    const leaked = await it.raw("current");
    it.target.fail("set", new KeyturnError("unreachable", "no answer"));
    await it.leak("current", true);
    await it.work();
    expect(it.target.accepts(leaked.username, leaked.password)).toBe(false);
    it.target.fail("set", undefined);
    await it.until("idle");
    expect(await it.login("current")).toBe(true);
    expect((await it.record()).debts).toEqual([]);
  });
});

test("a schedule waits for its quota, and counts against it once it has begun", async () => {
  const { ports, clock, rotate, until } = world("both-live", { schedule: every(10_000) });
  await rotate();
  await until("idle");
  clock.advance(10_000);
  const opens = clock.now() + 7_000;
  const taken: number[] = [];
  const quota = { opensAt: () => opens, took: (at: number) => void taken.push(at) };
  expect(await reconcile(ref, ports, { worker: "worker", quota })).toMatchObject({ until: opens });
  expect(taken).toEqual([]);
  clock.advance(7_000);
  await reconcile(ref, ports, { worker: "worker", quota });
  expect(taken).toEqual([opens]);
});
