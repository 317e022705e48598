import { expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { acceptReports } from "./accept-reports.ts";
import { request } from "./operate.ts";
import { readOnly } from "./read-only.ts";
import { reconcile } from "./reconcile.ts";
import { newRecord } from "./record.ts";
import { Secret } from "./secret.ts";

const ref = "app/db";

async function world() {
  const { ports } = memoryPorts(modelTarget().bothLive);
  await request(ref, ports, { kind: "rotate", by: "tester" });
  await reconcile(ref, ports, { worker: "worker" });
  await request(ref, ports, { kind: "rotate", by: "tester" });
  const report = {
    ref,
    agent: "host/a",
    fleet: "agents",
    sequence: 1,
    adopted: undefined,
    inUse: [],
    holds: [],
  };
  await acceptReports(ports, [report]);
  return { ports, dry: readOnly(ports) };
}

test("whatever can be read is read as ever", async () => {
  const { ports, dry } = await world();
  const current = await ports.store.read(ref, "current");
  const { password } = JSON.parse(current?.value.reveal() ?? "{}");
  const now = ports.clock.now();
  const fingerprints = ports.fingerprinter.candidates(password);
  const all = async (of: typeof ports) => ({
    lists: [await of.store.list(), await of.store.list("app/"), await of.store.list("other/")],
    versions: await of.store.versions(ref),
    current: await of.store.read(ref, "current"),
    record: await of.journal.load(ref),
    due: [await of.journal.due(now, 9), await of.journal.due(now - 1, 9), await of.journal.due(now, 0)],
    nextDueAt: await of.journal.nextDueAt(),
    refs: await of.journal.refs(),
    agents: await of.journal.agents(ref),
    identified: await of.journal.identify(fingerprints),
    entries: await Array.fromAsync(of.audit.read(ref)),
    end: await of.audit.end(ref),
    chains: await of.audit.refs(),
  });
  const seen = await all(dry);
  expect(seen).toEqual(await all(ports));
  expect(seen).toMatchObject({
    lists: [[ref], [ref], []],
    versions: [{ stage: "current" }],
    current: { ref },
    record: { record: { ref, state: { phase: "create" } } },
    due: [[ref], [], []],
    nextDueAt: now,
    refs: [ref],
    agents: [{ agent: "host/a" }],
    identified: [{ ref, field: "password" }],
    chains: [ref],
  });
  expect(seen.entries.length).toBeGreaterThan(0);
  expect(seen.end.sequence).toBe(seen.entries.length);
});

test("whatever would write is refused, and has not written", async () => {
  const { ports, dry } = await world();
  const before = JSON.stringify([await ports.journal.load(ref), await ports.store.versions(ref)]);
  const [entry] = await Array.fromAsync(ports.audit.read(ref));
  if (entry === undefined) throw new Error("there is no entry");
  const event = { ...entry, specversion: "1.0" };
  const writes: readonly (() => Promise<unknown>)[] = [
    () => dry.store.savePending(ref, "v9", new Secret("{}")),
    () => dry.store.discardPending(ref, "v9"),
    () => dry.store.promote(ref, "v9", undefined),
    () => dry.store.disable(ref, "v9"),
    () => dry.journal.save(newRecord("app/new"), undefined),
    () => dry.journal.report([], 0),
    () => dry.journal.forgetAgents(ref, Number.MAX_VALUE),
    () => dry.journal.remember(ref, "v9", {}),
    () => Reflect.apply(dry.bus.publish, dry.bus, [event]),
    () => dry.audit.append(entry),
  ];
  for (const write of writes) {
    await expect(write()).rejects.toMatchObject({
      code: "internal",
      message: "a dry run tried to write",
    });
  }
  expect(JSON.stringify([await ports.journal.load(ref), await ports.store.versions(ref)])).toBe(before);
  expect(await ports.journal.agents(ref)).toHaveLength(1);
});
