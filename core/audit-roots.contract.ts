import { createPrivateKey, createPublicKey, sign } from "node:crypto";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { AuditSigner, RootsLine } from "./audit-root.ts";
import type { AuditRoots } from "./ports.ts";
import { RootsList } from "./roots-list.ts";

export interface OpenedRoots {
  readonly roots: AuditRoots;
  close(): Promise<void>;
  /** Opens the same data anew. */
  reopen(): Promise<OpenedRoots>;
}

/** Always the same key, so that a test that fails fails again. */
export function signerOf(byte: number): AuditSigner {
  const seed = Buffer.concat([
    Buffer.from("302e020100300506032b657004220420", "hex"),
    Buffer.alloc(32, byte),
  ]);
  const key = createPrivateKey({ key: seed, format: "der", type: "pkcs8" });
  const publicKey = createPublicKey(key)
    .export({ format: "der", type: "spki" })
    .subarray(-32)
    .toString("hex");
  return { publicKey, sign: async (bytes) => sign(null, bytes, key).toString("base64") };
}

/** A key and roots, with names that are hard to keep. */
async function sampleLines(at: number): Promise<readonly RootsLine[]> {
  const signer = signerOf(1);
  const list = new RootsList("sample");
  const lines = [await list.introduce(signer.publicKey, signer, at)];
  for (const sequence of [1, 2, 3]) {
    const changed = [{ ref: 'a "name"\n\u2028 ünusual 😀', sequence, hash: "ab" }];
    lines.push(await list.sign({ changed, accepted: [] }, signer, at));
  }
  return lines;
}

/** Every promise of `AuditRoots`. A list's own test calls this, and adds only what is peculiar to it. */
export function describeAuditRoots(name: string, open: () => Promise<OpenedRoots>): void {
  describe(`${name} as a list of audit roots`, () => {
    let lines: readonly RootsLine[];
    let others: readonly RootsLine[];
    const conflict = { code: "conflict", disposition: "retry" };
    let opened: OpenedRoots;
    let roots: AuditRoots;
    beforeAll(async () => {
      [lines, others] = await Promise.all([sampleLines(1), sampleLines(2)]);
    });
    beforeEach(async () => {
      opened = await open();
      roots = opened.roots;
    });
    afterEach(() => opened.close());

    const append = async (some: readonly RootsLine[]): Promise<void> => {
      for (const line of some) await roots.append(line);
    };
    const all = (): Promise<readonly RootsLine[]> => Array.fromAsync(roots.read());

    test("is empty before the first line", async () => {
      expect(await all()).toEqual([]);
      expect(await roots.end()).toEqual({ number: 0, hash: "" });
    });

    test("gives its lines as they were appended, and knows its end", async () => {
      for (const line of lines) {
        await roots.append(line);
        expect(await roots.end()).toEqual({ number: line.number, hash: line.hash });
      }
      expect(await all()).toEqual(lines);
    });

    test.each([0, 2, 3])("the same line again is done: %i", async (index) => {
      await append([...lines, ...lines.slice(index, index + 1)]);
      expect(await all()).toEqual(lines);
    });

    test.each([0, 2, 3])("another line at a number that is taken conflicts: %i", async (index) => {
      await append(lines);
      await expect(append(others.slice(index, index + 1))).rejects.toMatchObject(conflict);
      expect(await all()).toEqual(lines);
    });

    test.each([
      ["a gap", () => lines.slice(3)],
      ["another list's next line", () => others.slice(2, 3)],
    ])("a line that does not follow conflicts: %s", async (_, next) => {
      await append(lines.slice(0, 2));
      await expect(append(next())).rejects.toMatchObject(conflict);
      expect(await all()).toEqual(lines.slice(0, 2));
    });

    test("of several that append at once one wins", async () => {
      const rivals = await Promise.all([3, 4, 5, 6].map(sampleLines));
      const ended = await Promise.allSettled(rivals.map((rival) => append(rival.slice(0, 1))));
      expect(ended.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
      for (const one of ended) if (one.status === "rejected") expect(one.reason).toMatchObject(conflict);
      expect(await all()).toHaveLength(1);
    });

    test("the next who opens it reads the same, and goes on from there", async () => {
      await append(lines.slice(0, 2));
      await opened.close();
      opened = await opened.reopen();
      roots = opened.roots;
      expect(await roots.end()).toMatchObject({ number: 2 });
      await append(lines.slice(1));
      expect(await all()).toEqual(lines);
    });
  });
}
