import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Anchor } from "../core/audit-root.ts";
import { describeAuditRoots, type OpenedRoots } from "../core/audit-roots.contract.ts";
import { AuditWitness } from "../core/audit-witness.ts";
import { localAuditKeys } from "./audit-keys.ts";
import { openAuditLog } from "./audit-log.ts";
import { openAuditRoots } from "./audit-roots.ts";
import {
  copyOf,
  type SignedFolder,
  signedFolder,
  tamperings,
  verdictOf,
} from "./audit-tamperings.contract.ts";
import { temporaryFolder } from "./folder.contract.ts";

const home = mkdtempSync(join(tmpdir(), "keyturn-signed-"));
let signed: SignedFolder;
beforeAll(async () => {
  signed = await signedFolder(home);
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

async function openAt(folder: string): Promise<OpenedRoots> {
  using audit = await openAuditLog(folder, true);
  void audit;
  const roots = await openAuditRoots(folder);
  return { roots, close: async () => roots[Symbol.dispose](), reopen: () => openAt(folder) };
}

describeAuditRoots("local", () => openAt(join(temporaryFolder(), "audit")));

describe("what is done to the files of an audit is found", () => {
  test.each(tamperings.map((one) => [one.name, one] as const))("%s", async (_, one) => {
    const copy = copyOf(signed);
    one.tamper(copy);
    const { installation, publicKeys, anchor } = copy;
    const known = { installation, publicKeys, ...(one.needsAnchor === true ? { anchor } : {}) };
    const { chains, roots } = await verdictOf(copy.folder, known);
    const faults = chains.flatMap(({ ref, fault }) => (fault === undefined ? [] : [[ref, fault]]));
    const expected = one.chain === undefined ? {} : { [one.of ?? "app/db"]: one.chain };
    expect(Object.fromEntries(faults)).toEqual(expected);
    expect(roots.fault).toEqual(one.roots);
  });
});

describe("who has a key of their own", () => {
  /** Signs the chains of the folder anew, by a key that is not the store's. */
  async function forged(times: number): Promise<SignedFolder> {
    const copy = copyOf(signed);
    const { installation, folder } = copy;
    rmSync(copy.list);
    using audit = await openAuditLog(join(folder, "audit"), false);
    using roots = await openAuditRoots(join(folder, "audit"));
    const keys = localAuditKeys(join(temporaryFolder(), "other.key"), roots, "another's");
    const witness = new AuditWitness({ installation, audit, roots, keys, clock: { now: () => 5 } });
    await witness.sign();
    for (let more = 1; more < times; more += 1) await witness.rotateKey();
    return copy;
  }

  test.each([
    ["as long as the one before", 5, { kind: "diverged", number: 5 }],
    ["shorter", 2, { kind: "older", number: 2 }],
    ["longer", 7, { kind: "diverged", number: 5 }],
  ])("writes a list anew that is %s: the anchor tells", async (_, lines, fault) => {
    const { folder, installation, anchor } = await forged(lines - 1);
    expect((await verdictOf(folder, { installation })).roots).toMatchObject({ lines, fault: undefined });
    expect((await verdictOf(folder, { installation, anchor })).roots.fault).toEqual(fault);
  });

  test("writes a list anew: the machine's key tells", async () => {
    const { folder, installation, publicKeys } = await forged(1);
    const { roots } = await verdictOf(folder, { installation, publicKeys });
    expect(roots.fault).toEqual({ kind: "another-key", number: 2 });
  });
});

test("a list that is gone while the key is there is missing, and one that never was is not", async () => {
  const { folder, installation, publicKeys, list } = copyOf(signed);
  rmSync(list);
  expect((await verdictOf(folder, { installation, publicKeys })).roots.fault).toEqual({
    kind: "missing",
    number: 0,
  });
  expect((await verdictOf(folder, { installation })).roots.fault).toBeUndefined();
});

test("another installation's list is foreign", async () => {
  const { folder } = copyOf(signed);
  expect((await verdictOf(folder, { installation: "another" })).roots.fault).toEqual({
    kind: "foreign",
    number: 1,
  });
});

test("an anchor of any root of the list is found in it", async () => {
  const { folder, installation, list } = copyOf(signed);
  const lines = readFileSync(list, "utf8").trimEnd().split("\n");
  for (const index of [1, 2, 4]) {
    const anchor: Anchor = JSON.parse(lines[index] ?? "");
    expect((await verdictOf(folder, { installation, anchor })).roots.fault).toBeUndefined();
  }
});

test.each([
  ["one bit of any byte of the list", 97],
  ["one bit of any byte of a chain", 53],
])("%s is not changed unseen", async (what, step) => {
  const copy = copyOf(signed);
  const path = what.includes("list") ? copy.list : copy.chain("app/db");
  const bytes = readFileSync(path);
  const { installation } = copy;
  const unseen: number[] = [];
  for (let at = 0; at < bytes.length - 1; at += step) {
    const changed = Buffer.from(bytes);
    changed.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    writeFileSync(path, changed);
    const { chains, roots } = await verdictOf(copy.folder, { installation });
    if (roots.fault === undefined && chains.every(({ fault }) => fault === undefined)) unseen.push(at);
  }
  expect(unseen).toEqual([]);
});
