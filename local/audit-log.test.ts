import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { seal, verifyChain } from "../core/audit.ts";
import { describeAuditLog, readAll, sampleChain } from "../core/audit-log.contract.ts";
import { openAuditLog } from "./audit-log.ts";
import { temporaryFolder } from "./folder.contract.ts";

async function openAt(folder: string) {
  const audit = await openAuditLog(folder, true);
  return { audit, close: async () => audit[Symbol.dispose](), reopen: () => openAt(folder) };
}

describeAuditLog("local", () => openAt(join(temporaryFolder(), "audit")));

const ref = "app/db";
const chain = sampleChain(ref, 4);
const [one, two, three, four] = chain.map((entry) => `${JSON.stringify(entry)}\n`);

/** A log whose file was left like this. */
async function left(...lines: readonly (string | undefined)[]) {
  const folder = join(temporaryFolder(), "audit");
  const opened = await openAt(folder);
  const file = join(folder, "app%2fdb.jsonl");
  writeFileSync(file, lines.join(""));
  const append = async (index: number) => {
    for (const entry of chain.slice(index, index + 1)) await opened.audit.append(entry);
  };
  return { ...opened, file, append };
}

describe("a writer that was killed in the middle of a line", () => {
  const half = three?.slice(0, 40);
  test.each([
    ["the line is half there", half],
    ["the disk gave zeros", "\0".repeat(300)],
    ["the disk gave more zeros than the next line has characters", "\0".repeat(5_000)],
    ["only a brace is there", "{"],
    ["there is a whole line that does not follow", four?.trimEnd()],
  ])("%s: readers see what was acknowledged, and the next append repairs it", async (_, torn) => {
    const { audit, close, append, file } = await left(one, two, torn);
    expect(await readAll(audit, ref)).toEqual(chain.slice(0, 2));
    expect(await audit.end(ref)).toEqual({ sequence: 2, hash: chain[1]?.hash });
    await append(2);
    await append(3);
    expect(readFileSync(file, "utf8")).toBe([one, two, three, four].join(""));
    await close();
  });

  test("the very first line", async () => {
    const { audit, close, append } = await left(one?.slice(0, 10));
    expect(await readAll(audit, ref)).toEqual([]);
    await append(0);
    expect(await readAll(audit, ref)).toEqual(chain.slice(0, 1));
    await close();
  });

  test("a line that only lacks its end is an entry, and is not lost", async () => {
    const { audit, close, append, file } = await left(one, two, three?.trimEnd());
    expect(await readAll(audit, ref)).toEqual(chain.slice(0, 3));
    expect(await audit.end(ref)).toEqual({ sequence: 3, hash: chain[2]?.hash });
    await append(3);
    expect(readFileSync(file, "utf8")).toBe([one, two, three, four].join(""));
    await close();
  });
});

describe("what was tampered with is found", () => {
  const broken = { code: "data-broken", message: expect.stringMatching(/line 2 of .*app%2fdb\.jsonl/) };
  test.each([
    ["torn", `${two?.slice(0, 30)}\n`],
    ["empty", "\n"],
    ["no entry", '{"an":"other"}\n'],
  ])("a line in the middle that is %s", async (_, line) => {
    const { audit, close } = await left(one, line, three);
    await expect(readAll(audit, ref)).rejects.toMatchObject(broken);
    await close();
  });

  test("a changed word", async () => {
    const { audit, close } = await left(one, two?.replace("worker", "nobody"), three);
    expect((await verifyChain(ref, audit.read(ref), undefined)).fault).toEqual({
      kind: "changed",
      sequence: 2,
    });
    await close();
  });

  test("a last line that is broken keeps everybody from writing behind it", async () => {
    const { close, append, file } = await left(one, "{}\n");
    await expect(append(1)).rejects.toMatchObject({ code: "data-broken" });
    expect(readFileSync(file, "utf8")).toBe(`${one}{}\n`);
    await close();
  });

  test("a chain that was cut off conflicts with the next entry", async () => {
    const { close, append, file, audit } = await left(one, two, three);
    truncateSync(file, Buffer.byteLength(one ?? ""));
    await expect(append(3)).rejects.toMatchObject({ code: "conflict" });
    expect((await verifyChain(ref, audit.read(ref), chain[2])).fault).toEqual({
      kind: "cut-off",
      sequence: 1,
    });
    await close();
  });

  test("an entry that does not follow the last one is not written behind it", async () => {
    const { close, append } = await left(one, two?.replace(/"hash":"../, '"hash":"00'));
    await expect(append(2)).rejects.toMatchObject({ code: "conflict" });
    await close();
  });
});

test("lines may be longer than what is read at once", async () => {
  const { audit, close } = await openAt(join(temporaryFolder(), "audit"));
  const words = {
    ref: "long",
    at: 1,
    actor: "worker",
    action: "set.done",
    epoch: 1,
    detail: "x".repeat(200_000),
  };
  const first = seal(words, { sequence: 0, hash: "" });
  const second = seal(words, first);
  for (const entry of [first, second]) await audit.append(entry);
  expect(await readAll(audit, "long")).toEqual([first, second]);
  await close();
});

test("a name may be as long as the manifest allows, in capitals too, and foreign files are no chains", async () => {
  const folder = join(temporaryFolder(), "audit");
  const { audit, close } = await openAt(folder);
  const names = ["A/".repeat(99), "x".repeat(200), "x".repeat(201)].map((name) => name.replace(/\/$/, ""));
  for (const name of names) for (const entry of sampleChain(name, 2)) await audit.append(entry);
  for (const name of ["notes.txt", "%.jsonl", "Upper.jsonl"]) appendFileSync(join(folder, name), "mine");
  expect(await audit.refs()).toEqual([...names].sort());
  for (const name of names) expect(await readAll(audit, name)).toEqual(sampleChain(name, 2));
  await close();
});

test("a folder that is gone is not an audit without entries", async () => {
  const folder = join(temporaryFolder(), "audit");
  await expect(openAuditLog(folder, false)).rejects.toMatchObject({ code: "data-broken" });
  expect(existsSync(folder)).toBe(false);
});

test("a disk that does not take a line is an outage of the audit", async () => {
  const folder = join(temporaryFolder(), "audit");
  const { close, audit } = await openAt(folder);
  // A folder stands where the file should be.
  mkdirSync(join(folder, "app%2fdb.jsonl"));
  const [entry] = chain;
  if (entry === undefined) throw new Error("the sample is empty");
  await expect(audit.append(entry)).rejects.toMatchObject({
    code: "audit-unavailable",
    disposition: "retry",
  });
  expect(readdirSync(folder)).toHaveLength(1);
  await close();
});
