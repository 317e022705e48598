import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { AuditVerifyResult } from "../cli/results/audit.ts";
import type { AuditKeysResult, AuditSignResult } from "../cli/results/audit-roots.ts";
import { Anchor, hashOfLine } from "../core/audit-root.ts";
import { grow } from "../local/audit-tamperings.contract.ts";
import { type LocalStore, openLocal } from "../local/open.ts";
import { expectToFit } from "./command-place.ts";
import { runKeyturn } from "./keyturn-command.ts";

/** The commands of the audit, one after the other, as a person would use them. */
const home = mkdtempSync(join(tmpdir(), "keyturn-audit-"));
const environment = { ...process.env, HOME: home, XDG_CONFIG_HOME: join(home, "config") };
const folder = join(home, ".keyturn");
const list = join(folder, "audit-roots.jsonl");
const anchor = join(home, "anchor.json");
const older = join(home, "older.jsonl");
let local: LocalStore;

beforeAll(async () => {
  local = await openLocal({ path: folder, environment, create: true });
  await grow(local, "app/db", 0, 3);
  writeFileSync(join(home, "keyturn.yaml"), "stores:\n  here: { local: { path: .keyturn } }\n");
});
afterAll(async () => {
  await local.close();
  rmSync(home, { recursive: true, force: true });
});

async function audit<Result = unknown>(code: number, ...args: readonly string[]): Promise<Result> {
  const ended = await runKeyturn(["audit", ...args, "--json"], { environment, directory: home });
  expect({ ...ended, args }).toEqual({ ...ended, args, code });
  expectToFit(`audit ${args[0]}`, ended.stdout);
  return JSON.parse(ended.stdout);
}

test("before the first root there is nothing to show, and nothing wrong", async () => {
  expect(await audit<AuditKeysResult>(0, "keys")).toEqual({ keys: [] });
  expect(await audit(3, "root")).toMatchObject({ error: { code: "request-refused" } });
  expect(await audit(3, "rotate-key")).toMatchObject({ error: { code: "request-refused" } });
  expect(await audit<AuditVerifyResult>(0, "verify")).toMatchObject({
    verified: true,
    roots: [{ lines: 0 }],
  });
});

test("a root is signed once, kept elsewhere, and found again, although the key has changed", async () => {
  expect(await audit<AuditSignResult>(0, "sign")).toMatchObject({
    stores: [{ isNew: true, root: { chains: 1 } }],
  });
  expect(await audit<AuditSignResult>(0, "sign")).toMatchObject({ stores: [{ isNew: false }] });
  copyFileSync(list, older);
  await grow(local, "app/other", 0, 1);
  const { stores } = await audit<AuditSignResult>(0, "sign");
  const root = await audit(0, "root");
  expect(stores).toMatchObject([{ root }]);
  writeFileSync(anchor, JSON.stringify(root));
  await audit(0, "rotate-key");
  const { keys } = await audit<AuditKeysResult>(0, "keys");
  expect(keys.map(({ signs }) => signs)).toEqual([false, true]);
  expect(await audit<AuditVerifyResult>(0, "verify", "--anchor", anchor)).toMatchObject({
    verified: true,
    roots: [{ lines: 4, chains: 2 }],
  });
});

test("an older list is found by the anchor, and by the key that it does not know", async () => {
  const newest = readFileSync(list);
  copyFileSync(older, list);
  expect(await audit(6, "verify", "--anchor", anchor)).toMatchObject({
    roots: [{ fault: { kind: "older" } }],
  });
  expect(await audit(6, "verify")).toMatchObject({ roots: [{ fault: { kind: "another-key" } }] });
  writeFileSync(list, newest);
});

test("a chain that was cut off is named, stays out of the root, and is accepted by a person's word", async () => {
  const chain = join(folder, "audit", "app%2fdb.jsonl");
  const [first] = readFileSync(chain, "utf8").split("\n");
  writeFileSync(chain, `${first}\n`);
  expect(await audit<AuditVerifyResult>(6, "verify")).toMatchObject({
    chains: [{ ref: "app/db", fault: { kind: "cut-off", sequence: 1, root: 2 } }, { ref: "app/other" }],
    roots: [{ store: "here" }],
  });
  expect(await audit(6, "sign")).toMatchObject({ stores: [{ isNew: false, parted: ["app/db"] }] });
  expect(await audit(0, "sign", "--accept", "app/db")).toMatchObject({ stores: [{ accepted: ["app/db"] }] });
  expect(await audit(0, "verify", "--anchor", anchor)).toMatchObject({
    roots: [{ accepted: [{ ref: "app/db" }] }],
  });
});

test.each([
  ["is not there", join(home, "nowhere.json")],
  ["is no root", join(home, "keyturn.yaml")],
  ["was changed", join(home, "changed.json")],
  ["is another installation's", join(home, "foreign.json")],
])("an anchor that %s is wrong input", async (_, path) => {
  const text = readFileSync(anchor, "utf8");
  writeFileSync(join(home, "changed.json"), text.replace(/"chains":\d+/, '"chains":77'));
  const foreign = { ...Anchor.parse(JSON.parse(text)), installation: "another" };
  writeFileSync(join(home, "foreign.json"), JSON.stringify({ ...foreign, hash: hashOfLine(foreign) }));
  expect(await audit(2, "verify", "--anchor", path)).toMatchObject({ error: { code: "input-invalid" } });
});

test("without its key nothing is signed, and what was signed is still verified", async () => {
  rmSync(local.auditKeyFile);
  await grow(local, "app/other", 1, 2);
  expect(await audit(4, "sign")).toMatchObject({ error: { code: "key-missing" } });
  expect(await audit(0, "verify", "--anchor", anchor)).toMatchObject({ verified: true });
});
