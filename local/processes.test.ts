import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { verifyChain } from "../core/audit.ts";
import { filesIn, temporaryStore } from "./folder.contract.ts";
import { type LocalOptions, type LocalStore, openLocal } from "./open.ts";

const hammer = fileURLToPath(new URL("hammer.contract.ts", import.meta.url));

/** Another process on the same folder, and what it has said so far. */
function start(options: LocalOptions, key: string, task: string, argument: string) {
  const child = spawn(process.execPath, [hammer, options.path, key, task, argument], {
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
  const all = [1, 2].map(() => start(options, key, "count", `${each}`));
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

const verbs = ["saved", "promoted", "audited", "published", "reported", "recorded"] as const;
type Acknowledged = Record<(typeof verbs)[number], number>;

test("processes that are killed at any line lose nothing that they were told is done, and leave nothing half done", async () => {
  const { local, options } = await temporaryStore();
  // Nobody else has the files open: whoever opens them next has to mend them.
  await local.close();
  const none: Acknowledged = { saved: 0, promoted: 0, audited: 0, published: 0, reported: 0, recorded: 0 };
  const acknowledged = new Map(["one", "two", "three"].map((ref) => [ref, { ...none }]));
  for (let round = 0; round < 5; round += 1) {
    await Promise.all(
      [...acknowledged].map(async ([ref, known]) => {
        const out = await killed(start(options, local.keyPlace, "work", ref));
        for (const verb of verbs) known[verb] = Math.max(known[verb], last(out, verb));
      }),
    );
    const reopened = await openLocal(options);
    for (const [ref, known] of acknowledged) await expectWhole(reopened, ref, known);
    await reopened.close();
  }
  for (const { recorded } of acknowledged.values()) expect(recorded).toBeGreaterThan(5);
  expect(filesIn(options.path).filter(({ bytes }) => bytes.includes("canary of"))).toEqual([]);
});

/** Lets it get so far, and no further than the kill takes; gives what it said. */
async function killed({ child, said, opened, closed }: ReturnType<typeof start>): Promise<string> {
  await opened;
  const lines = 10 + Math.random() * 40;
  while (said.out.split("\n").length < lines && child.exitCode === null) await sleep(1);
  child.kill("SIGKILL");
  await closed;
  expect(said.error).toBe("");
  return said.out;
}

async function expectWhole(local: LocalStore, ref: string, acknowledged: Acknowledged): Promise<void> {
  const record = (await local.journal.load(ref))?.record;
  const epoch = record?.epoch ?? 0;
  const atLeast = (found: number, verb: keyof Acknowledged) => {
    expect(found).toBeGreaterThanOrEqual(acknowledged[verb]);
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
