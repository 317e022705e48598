import {
  chmodSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { seal } from "../core/audit.ts";
import { AuditWitness } from "../core/audit-witness.ts";
import { newRecord } from "../core/record.ts";
import { verifyAudit } from "../core/verify-audit.ts";
import { grow, witnessOf } from "./audit-tamperings.contract.ts";
import { filesIn, temporaryFolder, temporaryStore } from "./folder.contract.ts";
import { type LocalStore, openLocal } from "./open.ts";

async function verdictOn({ audit, journal, auditRoots: roots, auditKeys, installation }: LocalStore) {
  const publicKeys = await auditKeys.publicKeys();
  const { chains, roots: list } = await verifyAudit({ audit, journal, roots }, { installation, publicKeys });
  const faults = chains.flatMap(({ ref, fault }) => (fault === undefined ? [] : [{ ref, ...fault }]));
  return { faults, list };
}

const fine = { faults: [], list: { fault: undefined } };

/** A store with two chains, signed once. */
async function signedOnce() {
  const { local, options } = await temporaryStore();
  await grow(local, "app/db", 0, 3);
  await grow(local, "app/other", 0, 1);
  const witness = witnessOf(local);
  await witness.sign();
  const chain = join(options.path, "audit", "app%2fdb.jsonl");
  return { local, options, witness, chain, list: join(options.path, "audit-roots.jsonl") };
}

describe("a root", () => {
  test("is signed where something has changed, and only there", async () => {
    const { local, witness } = await signedOnce();
    expect(await witness.sign()).toMatchObject({ isNew: false, root: { number: 2, chains: 2 } });
    await grow(local, "app/db", 3, 4);
    expect(await witness.sign()).toMatchObject({
      isNew: true,
      root: { number: 3, chains: 2, changed: [{ ref: "app/db", sequence: 4 }] },
    });
    expect(await witnessOf(local).sign()).toMatchObject({ isNew: false, root: { number: 3 } });
    expect(await verdictOn(local)).toMatchObject(fine);
  });

  test("of nothing is not signed, and the key is introduced once", async () => {
    const { local } = await temporaryStore();
    expect(await witnessOf(local).sign()).toMatchObject({ isNew: false, root: undefined });
    expect(await witnessOf(local).sign()).toMatchObject({ isNew: false, root: undefined });
    expect((await verdictOn(local)).list).toMatchObject({ lines: 1, fault: undefined });
  });

  test("is signed and verified although the clock went back", async () => {
    const home = temporaryFolder();
    let now = Date.UTC(2026, 0, 2);
    const clock = { now: () => now, sleep: async () => undefined };
    const local = await openLocal({
      path: join(home, "data"),
      environment: { HOME: home },
      create: true,
      clock,
    });
    for (const length of [1, 2, 3]) {
      await grow(local, "app/db", length - 1, length);
      await witnessOf(local).sign();
      now -= 86_400_000;
    }
    expect(await verdictOn(local)).toMatchObject({ faults: [], list: { lines: 4, fault: undefined } });
    await local.close();
  });

  test("holds no value and no private key, and neither does what is printed", async () => {
    const { local, options } = await signedOnce();
    const [seed = "none"] = /^[A-Za-z0-9+/]{43}=$/m.exec(readFileSync(local.auditKeyFile, "utf8")) ?? [];
    const hex = Buffer.from(seed, "base64").toString("hex");
    expect(hex).toHaveLength(64);
    const signer = await local.auditKeys.signer(undefined);
    const shown = inspect([signer, local], { depth: 9, showHidden: true }) + JSON.stringify(signer);
    for (const file of filesIn(options.path)) {
      expect(file.bytes.includes(seed) || file.bytes.includes(hex)).toBe(false);
      expect(file.mode & 0o077).toBe(0);
    }
    expect(shown).not.toContain(seed);
    expect(shown).not.toContain(hex);
  });
});

describe("several that sign at once", () => {
  test("write one list, in which every line follows the one before", async () => {
    const { local, options } = await temporaryStore();
    const others = await Promise.all([1, 2, 3].map(() => openLocal(options)));
    const sign = async (one: LocalStore, name: number): Promise<void> => {
      const witness = witnessOf(one);
      for (let length = 1; length <= 4; length += 1) {
        await grow(one, `app/${name}`, length - 1, length);
        await witness.sign();
      }
    };
    await Promise.all(others.map(sign));
    expect(await verdictOn(local)).toMatchObject(fine);
    const { root } = await witnessOf(local).sign();
    expect(root).toMatchObject({ chains: 3 });
    for (const one of others) await one.close();
  });

  test("by one witness: one after another, and it still knows what it has written", async () => {
    const { local, witness } = await signedOnce();
    for (const length of [4, 5, 6]) {
      const signing = [witness.sign(), witness.sign(), witness.sign()];
      await grow(local, "app/db", length - 1, length);
      await Promise.all([...signing, witness.sign()]);
    }
    expect(await witness.sign()).toMatchObject({ isNew: false, root: { number: 5 } });
    expect(await verdictOn(local)).toMatchObject({ faults: [], list: { lines: 5, fault: undefined } });
  });

  test("and give it new keys meanwhile", async () => {
    const { local, options } = await signedOnce();
    const others = await Promise.all([1, 2].map(() => openLocal(options)));
    await Promise.all(others.map((one) => witnessOf(one).rotateKey()));
    const { list } = await verdictOn(local);
    expect(list.fault).toBeUndefined();
    expect(list.keys.length).toBeGreaterThan(1);
    await grow(local, "app/db", 3, 4);
    expect(await witnessOf(local).sign()).toMatchObject({ isNew: true });
    expect(existsSync(`${local.auditKeyFile}.next`)).toBe(false);
    for (const one of others) await one.close();
  });
});

describe("the key", () => {
  test("is apart from the data, for its owner only, and made by the first signature", async () => {
    const { local, options } = await temporaryStore();
    expect(existsSync(local.auditKeyFile)).toBe(false);
    await witnessOf(local).sign();
    expect(statSync(local.auditKeyFile).mode & 0o777).toBe(0o600);
    expect(relative(options.path, local.auditKeyFile)).toMatch(/^\.\./);
  });

  test("is beside the store's key where that was named", async () => {
    const key = join(temporaryFolder(), "store.key");
    const { local } = await temporaryStore({ key });
    expect(local.auditKeyFile).toBe(join(dirname(key), "store.audit.key"));
  });

  test("is replaced: the old one signs the new one, and its private part is gone", async () => {
    const { local, witness } = await signedOnce();
    const before = readFileSync(local.auditKeyFile, "utf8");
    const { publicKey } = await witness.rotateKey();
    expect(await local.auditKeys.publicKeys()).toEqual([publicKey]);
    expect(filesIn(dirname(local.auditKeyFile)).some(({ bytes }) => bytes.equals(Buffer.from(before)))).toBe(
      false,
    );
    await grow(local, "app/db", 3, 4);
    await witness.sign();
    const { faults, list } = await verdictOn(local);
    expect({ faults, list }).toMatchObject(fine);
    expect(list.keys).toHaveLength(2);
    expect(list.keys[1]).toMatchObject({ publicKey, number: 3 });
  });

  test("is not replaced before anything was signed", async () => {
    const { local } = await temporaryStore();
    await expect(witnessOf(local).rotateKey()).rejects.toMatchObject({ code: "request-refused" });
    expect(existsSync(local.auditKeyFile)).toBe(false);
  });

  test.each([
    ["is gone", (file: string) => rmSync(file)],
    ["is another one", (file: string) => writeFileSync(file, `${Buffer.alloc(32, 7).toString("base64")}\n`)],
    ["may be read by others", (file: string) => chmodSync(file, 0o644)],
    ["is no key", (file: string) => writeFileSync(file, "canary-no-key\n")],
  ])("that %s is missing: nothing is signed, and no other takes its place", async (_, spoil) => {
    const { local, list } = await signedOnce();
    const before = readFileSync(list, "utf8");
    await grow(local, "app/db", 3, 4);
    spoil(local.auditKeyFile);
    for (const work of [witnessOf(local).sign(), witnessOf(local).rotateKey()]) {
      await expect(work).rejects.toMatchObject({
        code: "key-missing",
        message: expect.not.stringContaining("canary"),
      });
    }
    expect(readFileSync(list, "utf8")).toBe(before);
  });
});

describe("whoever was killed", () => {
  test("after the key was made leaves a key that the next one uses", async () => {
    const { local } = await temporaryStore();
    const { publicKey } = await local.auditKeys.signer(undefined);
    await grow(local, "app/db", 0, 1);
    await witnessOf(local).sign();
    expect((await verdictOn(local)).list.keys).toMatchObject([{ publicKey }]);
  });

  test("after the next key was made: the old one goes on, and the next rotation uses it", async () => {
    const { local, witness } = await signedOnce();
    const { publicKey } = await local.auditKeys.next();
    await grow(local, "app/db", 3, 4);
    expect(await witnessOf(local).sign()).toMatchObject({ isNew: true });
    expect(await witness.rotateKey()).toMatchObject({ publicKey });
    expect(await verdictOn(local)).toMatchObject(fine);
  });

  test("after the list went on to the next key: it takes its place", async () => {
    const { local, witness } = await signedOnce();
    const old = readFileSync(local.auditKeyFile, "utf8");
    const { publicKey } = await witness.rotateKey();
    renameSync(local.auditKeyFile, `${local.auditKeyFile}.next`);
    writeFileSync(local.auditKeyFile, old, { mode: 0o600 });
    await grow(local, "app/db", 3, 4);
    expect(await witnessOf(local).sign()).toMatchObject({ isNew: true });
    expect(await local.auditKeys.publicKeys()).toEqual([publicKey]);
    expect(await verdictOn(local)).toMatchObject(fine);
  });

  test.each([1, 40, 200])(
    "in the middle of a root, %i bytes before its end: it never was",
    async (missing) => {
      const { local, list } = await signedOnce();
      const { size } = statSync(list);
      truncateSync(list, size - missing);
      expect((await verdictOn(local)).list).toMatchObject({ lines: missing === 1 ? 2 : 1, fault: undefined });
      await grow(local, "app/db", 3, 4);
      expect(await witnessOf(local).sign()).toMatchObject({ isNew: true, root: { chains: 2 } });
      expect(await verdictOn(local)).toMatchObject(fine);
    },
  );
});

describe("a chain that is not what was signed", () => {
  test("stays out of the root, which goes on saying what it said; the others get in", async () => {
    const { local, witness, chain } = await signedOnce();
    const lines = readFileSync(chain, "utf8").split("\n");
    writeFileSync(chain, `${lines.slice(0, 2).join("\n")}\n`);
    await grow(local, "app/other", 1, 2);
    expect(await witness.sign()).toMatchObject({
      isNew: true,
      parted: ["app/db"],
      root: { changed: [{ ref: "app/other" }] },
    });
    // Grown past the place again, it is still another chain.
    const { sequence, hash } = await local.audit.end("app/db");
    let end = { sequence, hash };
    for (const at of [3, 4, 5]) {
      const entry = seal({ ref: "app/db", at, actor: "x", action: "forged", epoch: 1, detail: "" }, end);
      await local.audit.append(entry);
      end = entry;
    }
    expect(await witness.sign()).toMatchObject({ isNew: false, parted: ["app/db"] });
    expect((await verdictOn(local)).faults).toEqual([
      { ref: "app/db", kind: "replaced", sequence: 3, root: 2 },
    ]);

    expect(await witness.sign(["app/db"])).toMatchObject({ isNew: true, parted: [], accepted: ["app/db"] });
    const { faults, list } = await verdictOn(local);
    expect({ faults, list }).toMatchObject(fine);
    expect(list.accepted).toMatchObject([{ ref: "app/db", root: 4 }]);
    await grow(local, "app/other", 2, 3);
    expect(await witness.sign(["app/db"])).toMatchObject({ parted: [], accepted: [] });
  });

  test.each([
    ["gone", (file: string) => rmSync(file)],
    ["unreadable", (file: string) => writeFileSync(file, "{}\n")],
    [
      "wrong in the middle",
      (file: string) => writeFileSync(file, readFileSync(file, "utf8").replace("worker", "x")),
    ],
  ])("is named when it is %s", async (what, spoil) => {
    const { local, witness, chain } = await signedOnce();
    await grow(local, "app/db", 3, 4);
    spoil(chain);
    expect(await witness.sign()).toMatchObject({ isNew: false, parted: ["app/db"] });
    expect((await verdictOn(local)).faults).toHaveLength(1);
    // A person may say that it is lost, but not that what is wrong in itself is right.
    const accepted = await witness.sign(["app/db"]);
    expect(accepted.parted).toEqual(what === "gone" ? [] : ["app/db"]);
  });

  test("that never was signed is found by the journal, which knows its end", async () => {
    const { local } = await temporaryStore();
    await grow(local, "app/db", 0, 3);
    const { sequence, hash } = await local.audit.end("app/db");
    await local.journal.save({ ...newRecord("app/db"), audit: { sequence: sequence + 1, hash } }, undefined);
    expect((await verdictOn(local)).faults).toEqual([{ ref: "app/db", kind: "cut-off", sequence: 3 }]);
  });
});

describe("an entry behind the end that the journal knows", () => {
  const forged = { ref: "app/db", at: 9, actor: "nobody", action: "put", epoch: 1, detail: "forged" };

  /** A chain that the journal knows to its end. */
  async function known() {
    const { local, witness } = await signedOnce();
    const end = await local.audit.end("app/db");
    const revision = await local.journal.save({ ...newRecord("app/db"), audit: end }, undefined);
    expect(await verdictOn(local)).toMatchObject(fine);
    return { local, witness, end, revision };
  }

  test("was put in by somebody, and goes on being named when it has been signed", async () => {
    const { local, witness, end } = await known();
    await local.audit.append(seal(forged, end));
    const faults = [{ ref: "app/db", kind: "unknown", sequence: 4 }];
    expect((await verdictOn(local)).faults).toEqual(faults);
    await witness.sign();
    expect((await verdictOn(local)).faults).toEqual(faults);
  });

  test("is Keyturn's own where the journal learns of it while the chain is read", async () => {
    const { local, end, revision } = await known();
    const { audit, journal, auditRoots: roots, installation } = local;
    const entry = seal(forged, end);
    const meanwhile = async function* () {
      await journal.save({ ...newRecord("app/db"), audit: { sequence: 4, hash: entry.hash } }, revision);
      await audit.append(entry);
      yield* audit.read("app/db");
    };
    const busy = {
      refs: () => audit.refs(),
      read: (ref: string) => (ref === "app/db" ? meanwhile() : audit.read(ref)),
    };
    const { chains } = await verifyAudit({ audit: busy, journal, roots }, { installation });
    expect(chains).toMatchObject([
      { ref: "app/db", entries: 4, fault: undefined },
      { ref: "app/other", fault: undefined },
    ]);
  });
});

test("a look costs what has changed: only chains that have grown are read, and the list only if others wrote", async () => {
  const { local } = await temporaryStore();
  const refs = Array.from({ length: 40 }, (_, at) => `app/${at}`);
  for (const ref of refs) await grow(local, ref, 0, 2);
  const read: string[] = [];
  const noted = <Lines>(what: string, lines: Lines): Lines => {
    read.push(what);
    return lines;
  };
  const { installation, clock, auditKeys: keys, auditRoots, audit } = local;
  const witness = new AuditWitness({
    installation,
    clock,
    keys,
    audit: { refs: audit.refs, end: audit.end, read: (ref) => noted(ref, audit.read(ref)) },
    roots: {
      append: auditRoots.append,
      end: auditRoots.end,
      read: () => noted("the list", auditRoots.read()),
    },
  });
  await witness.sign();
  expect(read.splice(0).toSorted()).toEqual(refs.toSorted());
  await witness.sign();
  expect(read).toEqual([]);
  await grow(local, "app/7", 2, 3);
  await grow(local, "app/new", 0, 1);
  const { root } = await witness.sign();
  expect(read.toSorted()).toEqual(["app/7", "app/new"]);
  expect(JSON.stringify(root).length).toBeLessThan(1_500);
});

test("a list that became an older one while somebody watched is not written on", async () => {
  const { local, witness, list } = await signedOnce();
  const older = readFileSync(list);
  await grow(local, "app/db", 3, 4);
  await witness.sign();
  writeFileSync(list, older);
  await grow(local, "app/db", 4, 5);
  for (const _ of [1, 2]) await expect(witness.sign()).rejects.toMatchObject({ code: "data-broken" });
  expect(readFileSync(list)).toEqual(older);
});

test("a list that does not verify is not written on", async () => {
  const { local, list } = await signedOnce();
  writeFileSync(list, readFileSync(list, "utf8").replace(/"chains":2/, '"chains":3'));
  const before = readFileSync(list, "utf8");
  await grow(local, "app/db", 3, 4);
  await expect(witnessOf(local).sign()).rejects.toMatchObject({ code: "data-broken" });
  expect(readFileSync(list, "utf8")).toBe(before);
});
