import { readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { sampleChain } from "../core/audit-log.contract.ts";
import { newRecord } from "../core/record.ts";
import { Secret } from "../core/secret.ts";
import { chanceFrom } from "./chance.ts";
import { filesIn, temporaryStore } from "./folder.contract.ts";
import { type LocalOptions, openLocal } from "./open.ts";
import { damagedParts } from "./renew.ts";

/** Disks rot, copies end half-way. Whatever is damaged is told, or changes nothing that is read; nothing is written because of it. */
const value = "canary-of-the-damaged-store";
const parts = ["secrets.db", "journal.db", "events.db", "tokens.db", "audit.db", "audit/a%2fb.jsonl"];
const flipsEach = Number(process.env.DAMAGES ?? 16);

/** A store in which every part holds something, closed. */
async function used(): Promise<LocalOptions> {
  const { local, options } = await temporaryStore();
  await local.store.savePending("a/b", "v1", new Secret(value));
  await local.store.promote("a/b", "v1", undefined);
  await local.journal.save(newRecord("a/b"), undefined);
  await local.journal.remember("a/b", "v1", { password: local.fingerprinter.fingerprint(value) });
  for (const entry of sampleChain("a/b", 8)) await local.audit.append(entry);
  await local.tokens.enrol({ principal: "host", fleets: ["agents"] });
  await local.close();
  return options;
}

/** Reads all that there is. */
async function readAll(options: LocalOptions): Promise<string> {
  const local = await openLocal(options);
  try {
    const stored = await local.store.read("a/b", "current");
    if (stored?.value.reveal() !== value) throw new Error("another value was read");
    return JSON.stringify([
      // When it was saved is told to people, and decides nothing.
      (await local.store.versions("a/b")).map((version) => ({ ...version, createdAt: undefined })),
      await local.journal.load("a/b"),
      await local.journal.refs(),
      await local.journal.due(Date.now(), 10),
      await local.journal.agents("a/b"),
      await local.journal.identify(local.fingerprinter.candidates(value)),
      await local.bus.readEvents(0, 100),
      await local.tokens.list(),
      await local.audit.refs(),
      await Array.fromAsync(local.audit.read("a/b")),
    ]);
  } finally {
    await local.close();
  }
}

/** The databases and the chains, by name. */
const bytesOf = (folder: string): ReadonlyMap<string, string> =>
  new Map(
    filesIn(folder)
      .filter(({ path }) => /\.(db|jsonl)$/.test(path))
      .map(({ path, bytes }) => [path, bytes.toString("base64")]),
  );

/** What was read of a damaged store is an error that says so; or it is as it was, for what rotations go by, unless a look at the whole says that it is not. */
async function isTold(options: LocalOptions, name: string, at: number, asSaved: string): Promise<boolean> {
  const read: unknown = await readAll(options).catch((error: unknown) => error);
  if (typeof read !== "string") {
    expect({ at, thrown: read }).toEqual({ at, thrown: expect.objectContaining(told) });
    return true;
  }
  if (read !== asSaved && /^(secrets|journal)/.test(name)) await expectDamaged(options.path, name);
  return false;
}

const told = { code: expect.stringMatching(/^(data-broken|key-missing|schema-newer|input-invalid)$/) };

describe.each(parts)("%s", (name) => {
  test("a bit that is turned over is told as damage, or is in nobody's way", async () => {
    const options = await used();
    const path = join(options.path, name);
    const whole = readFileSync(path);
    const meant = [...whole.keys()].filter((index) => whole[index] !== 0);
    const before = bytesOf(options.path);
    const asSaved = await readAll(options);
    const chance = chanceFrom(name.length);
    let found = 0;
    for (let flip = 0; flip < flipsEach; flip += 1) {
      // The first ones in the header, where what is read first is; the others where something is written.
      const at = flip < 8 ? flip * 12 : chance.pick(meant);
      const bytes = Buffer.from(whole);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(chance.next() * 8));
      for (const suffix of ["-wal", "-shm"]) rmSync(`${path}${suffix}`, { force: true });
      writeFileSync(path, bytes);
      found += (await isTold(options, name, at, asSaved)) ? 1 : 0;
    }
    expect(found).toBeGreaterThan(0);
    writeFileSync(path, whole);
    expect(bytesOf(options.path)).toEqual(before);
    await readAll(options);
  });
});

describe.each(parts.filter((name) => name.endsWith(".db")))("%s", (name) => {
  test("where it was cut in half, or its pages do not agree, a look at the whole of it says so", async () => {
    const options = await used();
    const path = join(options.path, name);
    const whole = readFileSync(path);
    expect(await damagedParts(options.path)).toEqual([]);

    truncateSync(path, whole.length / 2);
    await expectDamaged(options.path, name);
    // The last page, which nobody may have read yet.
    writeFileSync(path, Buffer.from(whole).fill(0xff, whole.length - 4096));
    await expectDamaged(options.path, name);

    writeFileSync(path, whole);
    expect(await damagedParts(options.path)).toEqual([]);
  });
});

/** Damaged secrets stop everything else, for only a backup brings them back; of the rest it is a finding. */
async function expectDamaged(folder: string, name: string): Promise<void> {
  for (const suffix of ["-wal", "-shm"]) rmSync(join(folder, `${name}${suffix}`), { force: true });
  const found = await damagedParts(folder).catch((thrown: unknown) => thrown);
  const problem = expect.stringContaining(name);
  expect(found).toMatchObject(
    name === "secrets.db"
      ? { code: "data-broken", message: problem }
      : [{ name: expect.stringContaining(name), problem }],
  );
}
