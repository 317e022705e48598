import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { verifyChain } from "../core/audit.ts";
import { filesIn, temporaryStore } from "./folder.contract.ts";
import { type LocalOptions, type LocalStore, openLocal } from "./open.ts";

const hammer = fileURLToPath(new URL("hammer.contract.ts", import.meta.url));

/** Another process on the same folder, and what it has said so far. */
function process(options: LocalOptions, key: string, task: string, argument: string) {
  const child = spawn(globalThis.process.execPath, [hammer, options.path, key, task, argument], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = { out: "", error: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said.out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said.error += text;
  });
  const closed = once(child, "close");
  onTestFinished(() => void child.kill("SIGKILL"));
  return { child, said, closed, opened: opened(child, said) };
}

async function opened(child: ChildProcess, said: { out: string; error: string }): Promise<void> {
  while (!said.out.includes("open\n")) {
    if (child.exitCode !== null) throw new Error(`the process ended: ${said.error}`);
    await sleep(5);
  }
}

/** The last number that the process has acknowledged for a verb; a line that was not ended was not said. */
function last(out: string, verb: string): number {
  const numbers = [...out.matchAll(new RegExp(`^${verb} v?(\\d+)\\n`, "gm"))].map(([, number]) =>
    Number(number),
  );
  return numbers.at(-1) ?? 0;
}

test("several processes that add to one record at once lose no addition", async () => {
  const { local, options } = await temporaryStore();
  const each = 60;
  const key = local.keyPlace;
  const all = [1, 2].map(() => process(options, key, "count", `${each}`));
  for (const { closed, said } of all) {
    await closed;
    expect(said.error).toBe("");
  }
  const loaded = await local.journal.load("counter");
  expect(loaded?.record.epoch).toBe(all.length * each);
  expect(loaded?.revision).toBe(all.length * each);
  const verified = await verifyChain("counter", local.audit.read("counter"), undefined);
  expect(verified).toEqual({ length: all.length * each, fault: undefined });
  const chain = await Array.fromAsync(local.audit.read("counter"));
  expect(new Set(chain.map((entry) => entry.actor)).size).toBe(all.length);
});

test("a process that is killed at any line loses nothing that it was told is done, and leaves nothing half done", async () => {
  const { local, options } = await temporaryStore();
  const acknowledged = { saved: 0, promoted: 0, audited: 0, published: 0, reported: 0, recorded: 0 };
  for (let round = 0; round < 15; round += 1) {
    // A second one goes on working beside it now and then, so that locks are held when the first one dies.
    const names = round % 5 === 0 ? ["app/db", `beside/${round}`] : ["app/db"];
    const all = names.map((name) => process(options, local.keyPlace, "work", name));
    await Promise.all(all.map((one) => one.opened));
    await sleep(Math.random() * 60);
    for (const { child } of all) child.kill("SIGKILL");
    await Promise.all(all.map((one) => one.closed));
    const [first] = all;
    expect(first?.said.error).toBe("");
    for (const verb of ["saved", "promoted", "audited", "published", "reported", "recorded"] as const) {
      acknowledged[verb] = Math.max(acknowledged[verb], last(first?.said.out ?? "", verb));
    }
    const reopened = await openLocal(options);
    await expectWhole(reopened, acknowledged);
    await reopened.close();
  }
  expect(acknowledged.recorded).toBeGreaterThan(15);
  await local.close();
  expect(filesIn(options.path).filter(({ path }) => readFileSync(path).includes("canary of"))).toEqual([]);
});

async function expectWhole(local: LocalStore, acknowledged: Readonly<Record<string, number>>): Promise<void> {
  const ref = "app/db";
  const record = (await local.journal.load(ref))?.record;
  const epoch = record?.epoch ?? 0;
  const atLeast = (found: number, verb: string) => {
    expect(found).toBeGreaterThanOrEqual(acknowledged[verb] ?? 0);
    expect(found).toBeLessThanOrEqual(epoch + 1);
  };
  atLeast(epoch, "recorded");
  const current = await local.store.read(ref, "current");
  const pending = await local.store.read(ref, "pending");
  const number = (version: string | undefined) => Number(version?.slice(1) ?? 0);
  atLeast(number(current?.version), "promoted");
  atLeast(Math.max(number(current?.version), number(pending?.version)), "saved");
  for (let version = 1; version <= number(current?.version); version += 1) {
    const stored = await local.store.read(ref, { version: `v${version}` });
    expect(stored?.value.reveal()).toBe(`canary of ${ref} v${version}`);
  }
  const chain = await verifyChain(ref, local.audit.read(ref), record?.audit);
  expect(chain.fault).toBeUndefined();
  atLeast(chain.length, "audited");
  const { events } = await local.bus.readEvents(0, 100_000);
  const published = events.filter((event) => event.subject === ref).map((event) => event.data.epoch);
  atLeast(Math.max(0, ...published), "published");
  atLeast((await local.journal.agents(ref))[0]?.sequence ?? 0, "reported");
}
