import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { memoryAuditLog } from "../local/memory.ts";
import { memoryAuditRoots } from "../local/memory-audit.ts";
import { type AuditEntry, seal } from "./audit.ts";
import { sampleChain } from "./audit-log.contract.ts";
import { keyIdOf, type RootsLine } from "./audit-root.ts";
import { signerOf } from "./audit-roots.contract.ts";
import { AuditWitness } from "./audit-witness.ts";
import { KeyturnError } from "./errors.ts";
import type { AuditKeys, AuditRoots } from "./ports.ts";
import { RootsList } from "./roots-list.ts";

const installation = "mine";
const signers = [1, 2, 3].map(signerOf);
const first = signerOf(1).publicKey;
const second = signerOf(2).publicKey;

/** Keys of which the first is there, and each next one is the second. */
function memoryKeys(): AuditKeys & { readonly settled: string[] } {
  let held = first;
  const settled: string[] = [];
  return {
    settled,
    async signer(publicKey = held) {
      const signer = signers.find((one) => one.publicKey === publicKey);
      if (signer === undefined || publicKey !== held) throw new KeyturnError("key-missing", "no such key");
      return signer;
    },
    next: async () => signerOf(2),
    async settle(publicKey) {
      settled.push(publicKey);
      held = publicKey;
    },
    publicKeys: async () => [held],
  };
}

/** An audit whose chains may be exchanged, its roots, and a witness over them. */
function world(changes: { readonly roots?: AuditRoots; readonly keys?: AuditKeys } = {}) {
  const log = memoryAuditLog();
  const replaced = new Map<string, readonly AuditEntry[] | KeyturnError>();
  const read: string[] = [];
  const listReads: number[] = [];
  const audit = {
    refs: log.refs,
    async *read(ref: string) {
      read.push(ref);
      const other = replaced.get(ref);
      if (other instanceof KeyturnError) throw other;
      yield* other ?? log.read(ref);
    },
    async end(ref: string) {
      const other = replaced.get(ref);
      if (other instanceof KeyturnError) throw other;
      const { sequence = 0, hash = "" } = other?.at(-1) ?? (other === undefined ? await log.end(ref) : {});
      return { sequence, hash };
    },
  };
  const kept = changes.roots ?? memoryAuditRoots();
  const roots: AuditRoots = {
    ...kept,
    read: () => {
      listReads.push(1);
      return kept.read();
    },
  };
  const keys = memoryKeys();
  let now = 100;
  const ports = { installation, audit, roots, keys: changes.keys ?? keys, clock: { now: () => (now += 1) } };
  return {
    ports,
    roots,
    keys,
    read,
    listReads,
    witness: new AuditWitness(ports),
    replace: (ref: string, chain: readonly AuditEntry[] | KeyturnError) => replaced.set(ref, chain),
    grow: async (ref: string, from: number, to: number) => {
      for (const entry of sampleChain(ref, to).slice(from)) await log.append(entry);
    },
    lines: () => Array.fromAsync(kept.read()),
  };
}
type World = ReturnType<typeof world>;

const endOf = (ref: string, length: number) => ({
  ref,
  sequence: length,
  hash: sampleChain(ref, length).at(-1)?.hash ?? "",
});
const nothing = { parted: [], accepted: [] };

async function signedOnce(changes: Parameters<typeof world>[0] = {}): Promise<World> {
  const one = world(changes);
  await one.grow("app/a", 0, 3);
  await one.grow("app/b", 0, 1);
  await one.witness.sign();
  return one;
}

/** Each line as the rules for the list want it. */
async function expectSound({ lines }: World): Promise<void> {
  const list = new RootsList(installation);
  for (const line of await lines()) expect(list.add(line)).toBeUndefined();
}

describe("a signature", () => {
  test("introduces the key, and then says where each chain ends", async () => {
    const one = world();
    await one.grow("app/a", 0, 3);
    await one.grow("app/b", 0, 1);
    const signed = await one.witness.sign();
    const [key, root, ...more] = await one.lines();
    expect(key).toMatchObject({ kind: "key", number: 1, at: 101, installation, publicKey: first });
    expect(root).toMatchObject({ kind: "root", number: 2, at: 102, installation, chains: 2, accepted: [] });
    expect(root).toMatchObject({ changed: [endOf("app/a", 3), endOf("app/b", 1)] });
    expect(more).toEqual([]);
    expect(signed).toEqual({ root, isNew: true, ...nothing });
    await expectSound(one);
  });

  test("is not made where nothing has changed, and costs no chain to read", async () => {
    const one = await signedOnce();
    const [, root] = await one.lines();
    expect(one.read.splice(0)).toEqual(["app/a", "app/b"]);
    expect(await one.witness.sign()).toEqual({ root, isNew: false, ...nothing });
    expect(one.read).toEqual([]);
    // Its own lines it knows.
    expect(one.listReads).toEqual([]);
    await one.grow("app/b", 1, 2);
    expect(await one.witness.sign()).toMatchObject({ isNew: true, root: { changed: [endOf("app/b", 2)] } });
    expect(one.read).toEqual(["app/b"]);
  });

  test("of nothing is none, but there is a key", async () => {
    const one = world();
    for (const _ of [1, 2]) {
      expect(await one.witness.sign()).toEqual({ root: undefined, isNew: false, ...nothing });
    }
    expect(await one.lines()).toMatchObject([{ kind: "key", number: 1 }]);
  });

  test("looks at many chains at once, and not at all of them", async () => {
    const refs = Array.from({ length: 60 }, (_, at) => `app/${String(at).padStart(2, "0")}`);
    const one = world();
    for (const ref of refs) await one.grow(ref, 0, 1);
    let [under, most] = [0, 0];
    const end = async (ref: string) => {
      under += 1;
      most = Math.max(most, under);
      await sleep(1);
      under -= 1;
      return one.ports.audit.end(ref);
    };
    const witness = new AuditWitness({ ...one.ports, audit: { ...one.ports.audit, end } });
    const { root } = await witness.sign();
    expect(root?.changed).toEqual(refs.map((ref) => endOf(ref, 1)));
    expect(most).toBe(20);
  });

  test("goes on from a list that another witness has written", async () => {
    const one = await signedOnce();
    const [, root] = await one.lines();
    const another = new AuditWitness(one.ports);
    expect(await another.sign()).toEqual({ root, isNew: false, ...nothing });
    await one.grow("app/a", 3, 4);
    await another.sign();
    await one.grow("app/a", 4, 5);
    expect(await one.witness.sign()).toMatchObject({ isNew: true, root: { number: 4 } });
    expect(one.listReads).toHaveLength(2);
    await expectSound(one);
  });

  test("comes after the one that is being made", async () => {
    const one = await signedOnce();
    await one.grow("app/a", 3, 4);
    const both = await Promise.all([one.witness.sign(), one.witness.sign()]);
    expect(both.map(({ isNew }) => isNew)).toEqual([true, false]);
    expect(await one.lines()).toHaveLength(3);
  });

  test("is made after one that failed", async () => {
    const one = await signedOnce();
    const outage = new KeyturnError("audit-unavailable", "no disk");
    one.replace("app/a", outage);
    const [failed, next] = [one.witness.sign(), one.witness.rotateKey()];
    await expect(failed).rejects.toBe(outage);
    expect(await next).toMatchObject({ publicKey: second });
  });
});

describe("a chain that is not what was signed", () => {
  const forged = (chain: readonly AuditEntry[]): readonly AuditEntry[] => {
    const made: AuditEntry[] = [];
    for (const { ref, at, actor, action, epoch } of chain) {
      const end = made.at(-1) ?? { sequence: 0, hash: "" };
      made.push(seal({ ref, at, actor, action, epoch, detail: "forged" }, end));
    }
    return made;
  };
  const whole = sampleChain("app/a", 4);

  test.each<[string, readonly AuditEntry[] | KeyturnError, readonly string[]]>([
    ["is another one of the same length", forged(whole.slice(0, 3)), ["app/a"]],
    ["is another one and longer", forged(whole), ["app/a"]],
    ["is shorter", whole.slice(0, 2), ["app/a"]],
    ["is gone", [], ["app/a"]],
    ["is wrong in itself", whole.map((entry) => ({ ...entry, detail: "x" })), []],
    [
      "has not the end that it seems to have",
      [...whole.slice(0, 3), ...whole.slice(2, 3)].map((entry, at) =>
        at === 3 ? { ...entry, sequence: 4 } : entry,
      ),
      [],
    ],
    ["cannot be read", new KeyturnError("data-broken", "line 2"), []],
  ])("stays out where it %s, and the others get in", async (_, chain, acceptable) => {
    const one = await signedOnce();
    one.replace("app/a", chain);
    await one.grow("app/b", 1, 2);
    expect(await one.witness.sign(["app/b"])).toMatchObject({
      isNew: true,
      parted: ["app/a"],
      accepted: [],
      root: { changed: [endOf("app/b", 2)], accepted: [] },
    });
    const signed = await one.witness.sign(["app/a"]);
    expect(signed).toMatchObject({ isNew: acceptable.length > 0, accepted: acceptable });
    expect(signed.parted).toEqual(acceptable.length > 0 ? [] : ["app/a"]);
    expect(signed.root?.accepted).toEqual(acceptable);
    // What was accepted is what the roots say from now on.
    expect(await one.witness.sign()).toMatchObject({ isNew: false, parted: signed.parted, accepted: [] });
    await expectSound(one);
  });

  test("is found although nobody knows its name any more", async () => {
    const one = await signedOnce();
    const audit = {
      ...one.ports.audit,
      refs: async () => ["app/b"],
      end: async () => ({ sequence: 0, hash: "" }),
    };
    const witness = new AuditWitness({ ...one.ports, audit });
    expect(await witness.sign()).toMatchObject({ parted: ["app/b", "app/a"] });
  });

  test("stays out while its end is not the one that was looked at", async () => {
    const one = world();
    await one.grow("app/a", 0, 2);
    const audit = { ...one.ports.audit, end: async () => ({ sequence: 2, hash: "x" }) };
    expect(await new AuditWitness({ ...one.ports, audit }).sign()).toMatchObject({ parted: ["app/a"] });
  });

  test("is none where the log is out of reach: nothing is signed, and nobody tries again", async () => {
    const one = await signedOnce();
    const outage = new KeyturnError("audit-unavailable", "no disk");
    const tried: string[] = [];
    const end = async (ref: string) => {
      tried.push(ref);
      throw outage;
    };
    const witness = new AuditWitness({ ...one.ports, audit: { ...one.ports.audit, end } });
    await expect(witness.sign()).rejects.toBe(outage);
    expect(tried).toEqual(["app/a", "app/b"]);
    expect(await one.lines()).toHaveLength(2);
  });

  test("is not looked for any more, of very many, once the log is out of reach", async () => {
    const one = world();
    for (let at = 0; at < 60; at += 1) await one.grow(`app/${at}`, 0, 1);
    const outage = new KeyturnError("audit-unavailable", "no disk");
    let tried = 0;
    const end = async () => {
      tried += 1;
      await sleep(1);
      throw outage;
    };
    const witness = new AuditWitness({ ...one.ports, audit: { ...one.ports.audit, end } });
    await expect(witness.sign()).rejects.toBe(outage);
    expect(tried).toBe(20);
  });

  test("is none where there is no entry yet", async () => {
    const one = world();
    const audit = { ...one.ports.audit, refs: async () => ["app/a"] };
    const signed = await new AuditWitness({ ...one.ports, audit }).sign();
    expect(signed).toEqual({ root: undefined, isNew: false, ...nothing });
  });
});

describe("the key", () => {
  test("is replaced: the one before signs the next, which signs from then on", async () => {
    const one = await signedOnce();
    expect(await one.witness.rotateKey()).toEqual({ keyId: keyIdOf(second), publicKey: second });
    expect(one.keys.settled).toEqual([second]);
    expect((await one.lines())[2]).toMatchObject({
      kind: "key",
      number: 3,
      at: 103,
      publicKey: second,
      keyId: keyIdOf(first),
    });
    await one.grow("app/a", 3, 4);
    expect(await one.witness.sign()).toMatchObject({ root: { keyId: keyIdOf(second) } });
    await expectSound(one);
  });

  test("is not replaced before anything was signed", async () => {
    const one = world();
    await expect(one.witness.rotateKey()).rejects.toMatchObject({
      code: "request-refused",
      message: "nothing has been signed yet: `keyturn audit sign` makes the first key",
    });
    expect(await one.lines()).toEqual([]);
  });

  test("that is missing is told, and no other takes its place", async () => {
    const one = await signedOnce();
    await one.keys.settle(second);
    await expect(one.witness.sign()).rejects.toMatchObject({ code: "key-missing" });
    await expect(one.witness.rotateKey()).rejects.toMatchObject({ code: "key-missing" });
  });

  test("that another has replaced meanwhile is looked for again in the list", async () => {
    const one = await signedOnce();
    const other = new AuditWitness(one.ports);
    let asked = 0;
    const keys: AuditKeys = {
      ...one.keys,
      signer: async (publicKey) => {
        asked += 1;
        if (asked === 1) await other.rotateKey();
        return one.keys.signer(publicKey);
      },
    };
    const witness = new AuditWitness({ ...one.ports, keys });
    await one.grow("app/a", 3, 4);
    expect(await witness.sign()).toMatchObject({ isNew: true, root: { number: 4, keyId: keyIdOf(second) } });
    await expectSound(one);
  });
});

describe("others that sign at the same time", () => {
  /** A list on which another is so often faster. */
  function contested(times: number) {
    const kept = memoryAuditRoots();
    const tries: RootsLine[] = [];
    const roots: AuditRoots = {
      ...kept,
      append: async (line) => {
        if (line.kind === "root") tries.push(line);
        if (line.kind === "root" && tries.length <= times) throw new KeyturnError("conflict", "too late");
        await kept.append(line);
      },
    };
    return { roots, tries };
  }

  test("are waited for: whoever was too late looks again", async () => {
    const { roots, tries } = contested(19);
    const one = await signedOnce({ roots });
    expect(tries).toHaveLength(20);
    expect(await one.lines()).toHaveLength(2);
    // After each of them the list was read again: what could not be written was forgotten.
    expect(one.listReads).toHaveLength(19);
    await expectSound(one);
  });

  test("are not waited for without end", async () => {
    const { roots, tries } = contested(20);
    const one = world({ roots });
    await one.grow("app/a", 0, 1);
    await expect(one.witness.sign()).rejects.toMatchObject({ code: "conflict", message: "too late" });
    expect(tries).toHaveLength(20);
  });

  test("with a missing key are told that the list has gone on", async () => {
    const missing = new KeyturnError("key-missing", "no such key");
    let reads = 0;
    const one = await signedOnce();
    const { end } = one.roots;
    const roots: AuditRoots = {
      ...one.roots,
      // Whenever it is asked, the list has gone on.
      end: async () => {
        reads += 1;
        return { ...(await end()), hash: `${reads}` };
      },
    };
    const keys = { ...one.keys, signer: () => Promise.reject(missing) };
    await expect(new AuditWitness({ ...one.ports, roots, keys }).sign()).rejects.toMatchObject({
      code: "conflict",
      message: "the list of audit roots has gone on to another key",
      cause: missing,
    });
    expect(reads).toBe(40);
  });
});

describe("a list is not written on", () => {
  const broken = { code: "data-broken" };

  test("that does not verify", async () => {
    const [key, root] = await (await signedOnce()).lines();
    if (key === undefined || root === undefined) throw new Error("nothing was signed");
    const one = world({ roots: memoryAuditRoots([key, { ...root, at: 5 }]) });
    const message = "line 2 of the list of audit roots is changed";
    await expect(one.witness.sign()).rejects.toMatchObject({ ...broken, message });
    await expect(one.witness.list()).rejects.toMatchObject({ ...broken, message });
  });

  test.each([
    ["has become an older one", (lines: readonly RootsLine[]) => lines.slice(0, 2)],
    ["is another one", (_: readonly RootsLine[], another: readonly RootsLine[]) => another],
  ])("that %s while somebody watched", async (_, become) => {
    const one = await signedOnce();
    await one.grow("app/a", 3, 4);
    await one.witness.sign();
    const other = await signedOnce();
    const others = memoryAuditRoots(become(await one.lines(), await other.lines()));
    let roots = one.roots;
    const moving: AuditRoots = {
      append: (line) => roots.append(line),
      end: () => roots.end(),
      read: () => roots.read(),
    };
    const witness = new AuditWitness({ ...one.ports, roots: moving });
    expect(await witness.list()).toMatchObject({ number: 3 });
    roots = others;
    for (const __ of [1, 2]) {
      const message = "the list of audit roots has lost its line 3";
      await expect(witness.sign()).rejects.toMatchObject({ ...broken, message });
    }
  });

  test("that lost what this witness itself has just written", async () => {
    const kept = memoryAuditRoots();
    let roots = kept;
    const moving: AuditRoots = {
      append: (line) => roots.append(line),
      end: () => roots.end(),
      read: () => roots.read(),
    };
    const one = await signedOnce({ roots: moving });
    roots = memoryAuditRoots((await one.lines()).slice(0, 1));
    await expect(one.witness.sign()).rejects.toMatchObject(broken);
  });
});
