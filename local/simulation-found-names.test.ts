import { describe, expect, test } from "vitest";
import { acceptReports } from "../core/accept-reports.ts";
import { adopt } from "../core/adopt.ts";
import { diagnose } from "../core/diagnose.ts";
import { KeyturnError } from "../core/errors.ts";
import { examine } from "../core/examine.ts";
import { request, versionMark } from "../core/operate.ts";
import type { Ports } from "../core/ports.ts";
import { reconcile } from "../core/reconcile.ts";
import { repair } from "../core/repair.ts";
import { Secret } from "../core/secret.ts";
import { memoryJournal } from "./memory.ts";
import { memoryPorts } from "./memory-ports.ts";
import { modelTarget } from "./model-target.ts";
import { loginOf } from "./simulation-end.ts";

/** What the simulation has found of logins that go by several versions, each by its name. */
const ref = "app/db";

async function actions(ports: Ports): Promise<readonly string[]> {
  const seen: string[] = [];
  for await (const { action } of ports.audit.read(ref)) seen.push(action);
  return seen;
}

/** Two agents: one follows, the other says what it is told to. */
function fleet(ports: Ports) {
  let sequence = 0;
  return async (agent: string, inUse: readonly string[], held: readonly string[] = []) => {
    sequence += 1;
    const holds = held.map((version) => ({ id: `on ${version}`, version, since: 0 }));
    const report = { ref, agent, fleet: "agents", sequence, adopted: inUse.at(-1), inUse: [...inUse], holds };
    return (await acceptReports(ports, [report])).refusedHolds;
  };
}

test.each(["bothLive", "cutover"] as const)(
  "%s: an agent that still names a value by the version before a rollback is waited for",
  async (overlap) => {
    const target = modelTarget();
    const { ports, clock } = memoryPorts(target[overlap]);
    const say = fleet(ports);
    const work = async () => (await reconcile(ref, ports, { worker: "worker" })).record;
    const ask = async (kind: "rotate" | "rollback") => {
      await request(ref, ports, kind === "rotate" ? { kind, by: "ann" } : { kind, by: "ann", insist: false });
      return (await work()).current?.version ?? "";
    };
    /** The grace is long over; everybody says what they use, as often as it takes. */
    const pass = async (follower: string, other: readonly string[]) => {
      for (let turn = 0; turn < 4; turn += 1) {
        clock.advance(20_000);
        await say("follower", [follower]);
        await say("other", other);
        await work();
      }
      return work();
    };
    const first = await ask("rotate");
    await ask("rotate");
    const back = await ask("rollback");
    expect((await pass(back, [first])).state.phase).toBe("idle");
    const login = loginOf((await ports.store.read(ref, { version: first }))?.value.reveal() ?? "{}");
    const newest = await ask("rotate");
    expect((await pass(newest, [first])).state.phase).toBe("grace");
    if (overlap === "bothLive") expect(target.accepts(login.username, login.password)).toBe(true);
    expect((await pass(newest, [newest])).state.phase).toBe("idle");
    expect(target.accepts(login.username, login.password)).toBe(false);
    expect(await say("other", [newest], [first, back, newest])).toEqual([`on ${first}`, `on ${back}`]);
  },
);

test.each(["bothLive", "cutover"] as const)(
  "%s: a leak of what an import has stored in other words is one of current, and never cuts it before its successor is out",
  async (overlap) => {
    const target = modelTarget();
    const { ports } = memoryPorts(target[overlap]);
    target.meddle("app_a", "of old");
    const worded = (words: string) =>
      new Secret(`{"username":"app_a","password":"of old","words":"${words}"}`);
    const first = await adopt(ref, ports, worded("hers"), "ann");
    await adopt(ref, ports, worded("his"), "bob");
    const version = await versionMark(ref, ports, first.version);
    await request(ref, ports, { kind: "emergency", by: "ann", version, cutFirst: false });
    const { record } = await reconcile(ref, ports, { worker: "worker" });
    const current = await ports.store.read(ref, "current");
    const { username, password } = loginOf(current?.value.reveal() ?? "{}");
    expect([target.accepts(username, password), target.accepts("app_a", "of old")]).toEqual([true, false]);
    const done = (await actions(ports)).filter((action) => /done|paid|failed/.test(action));
    expect(done).toEqual([
      ...["create.done", "set.done", "test.done", "finish.done", "announce.done", "debt.paid"],
    ]);
    expect(record).toMatchObject({
      state: { phase: "idle" },
      debts: [],
      compromised: [{ refusedAt: expect.any(Number) }],
    });
  },
);

test("a leak of what was current before an import that has not ended is one of current", async () => {
  const target = modelTarget();
  const { ports } = memoryPorts(target.bothLive);
  target.meddle("app_a", "of old");
  const worded = (words: string) => new Secret(`{"username":"app_a","password":"of old","words":"${words}"}`);
  const first = await adopt(ref, ports, worded("hers"), "ann");
  const ending: Ports = {
    ...ports,
    journal: { ...ports.journal, remember: () => Promise.reject(new Error("the process has ended")) },
  };
  await expect(adopt(ref, ending, worded("his"), "bob")).rejects.toThrow("has ended");
  const version = await versionMark(ref, ports, first.version);
  await request(ref, ports, { kind: "emergency", by: "ann", version, cutFirst: false });
  await reconcile(ref, ports, { worker: "worker" });
  const done = await actions(ports);
  expect(done.indexOf("finish.done")).toBeGreaterThan(0);
  expect(done.indexOf("debt.paid")).toBeGreaterThan(done.indexOf("finish.done"));
  expect(done).not.toContain("retire.failed");
});

describe("a login that goes by two versions", () => {
  const worded = (words: string) => new Secret(`{"username":"app_a","password":"of old","words":"${words}"}`);
  const imported = async () => {
    const target = modelTarget();
    const { ports, clock } = memoryPorts(target.bothLive);
    target.meddle("app_a", "of old");
    const first = await adopt(ref, ports, worded("hers"), "ann");
    const work = async () => (await reconcile(ref, ports, { worker: "worker" })).record;
    const doctor = async (its = ports) => {
      const seen = await examine(ref, its);
      const found = diagnose(seen, 3).map(({ ailment }) => ailment);
      await repair(seen, its, "doctor");
      return found;
    };
    return { target, ports, clock, first, work, doctor };
  };

  test("is cut first by either of them", async () => {
    const { target, ports, first, work } = await imported();
    await adopt(ref, ports, worded("his"), "bob");
    target.fail("set", new KeyturnError("unreachable", "the target takes no new login"));
    const version = await versionMark(ref, ports, first.version);
    await request(ref, ports, { kind: "emergency", by: "ann", version, cutFirst: true });
    await work();
    expect(target.accepts("app_a", "of old")).toBe(false);
    expect(await actions(ports)).not.toContain("retire.failed");
  });

  test("gets its successor although the one that was begun first was rejected, and its leak is of the name before", async () => {
    const { target, ports, first, work, clock } = await imported();
    const ending: Ports = {
      ...ports,
      journal: { ...ports.journal, remember: () => Promise.reject(new Error("the process has ended")) },
    };
    await expect(adopt(ref, ending, worded("his"), "bob")).rejects.toThrow("has ended");
    target.fail("set", new KeyturnError("target-rejected", "the target takes no new login"), 1);
    const version = await versionMark(ref, ports, first.version);
    await request(ref, ports, { kind: "emergency", by: "ann", version, cutFirst: true });
    let record = await work();
    for (let turn = 0; turn < 10; turn += 1) {
      clock.advance(60_000);
      record = await work();
    }
    const current = await ports.store.read(ref, "current");
    const { username, password } = loginOf(current?.value.reveal() ?? "{}");
    expect([target.accepts(username, password), target.accepts("app_a", "of old")]).toEqual([true, false]);
    expect(record).toMatchObject({ state: { phase: "idle" }, debts: [] });
  });

  test("is well to the doctor, and stays so", async () => {
    const { ports, doctor, work } = await imported();
    await adopt(ref, ports, worded("his"), "bob");
    expect(await doctor()).toEqual([]);
    expect(await work()).toMatchObject({ state: { phase: "idle" }, debts: [] });
  });

  test("is known again by the doctor where the journal is lost: there is nothing to retire", async () => {
    const { ports, target, doctor, clock } = await imported();
    await adopt(ref, ports, worded("his"), "bob");
    const lost: Ports = { ...ports, journal: memoryJournal() };
    expect(await doctor(lost)).toContain("journal-lost");
    clock.advance(600_000);
    const { record } = await reconcile(ref, lost, { worker: "worker" });
    expect(record).toMatchObject({ state: { phase: "idle" }, debts: [] });
    expect(target.accepts("app_a", "of old")).toBe(true);
    expect(await doctor(lost)).toEqual([]);
  });
});
