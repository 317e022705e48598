import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type AuditEntry, seal, verifyChain } from "./audit.ts";
import type { AuditLog } from "./ports.ts";

export interface OpenedAudit {
  readonly audit: AuditLog;
  close(): Promise<void>;
  /** Opens the same data anew. */
  reopen?(): Promise<OpenedAudit>;
}

/** A whole chain for a secret, with words that are hard to keep. */
export function sampleChain(ref: string, length: number): readonly AuditEntry[] {
  const chain: AuditEntry[] = [];
  for (let at = 1; at <= length; at += 1) {
    const end = chain.at(-1) ?? { sequence: 0, hash: "" };
    const version = at % 2 === 0 ? { version: `v${at}` } : {};
    const detail = `line "${at}"\n\u2028 ünusual 😀`;
    chain.push(seal({ ref, at, actor: "worker", action: "set.done", epoch: at, detail, ...version }, end));
  }
  return chain;
}

export async function readAll(audit: AuditLog, ref: string): Promise<readonly AuditEntry[]> {
  return Array.fromAsync(audit.read(ref));
}

/** Every promise of `AuditLog`. A log's own test calls this, and adds only what is peculiar to it. */
export function describeAuditLog(name: string, open: () => Promise<OpenedAudit>): void {
  describe(`${name} as an audit log`, () => {
    const ref = "app/db";
    const chain = sampleChain(ref, 5);
    const conflict = { code: "conflict", disposition: "retry" };
    let opened: OpenedAudit;
    let audit: AuditLog;
    beforeEach(async () => {
      opened = await open();
      audit = opened.audit;
    });
    afterEach(() => opened.close());

    const append = async (...entries: readonly AuditEntry[]): Promise<void> => {
      for (const entry of entries) await audit.append(entry);
    };

    test("before the first entry there is no chain", async () => {
      expect(await readAll(audit, ref)).toEqual([]);
      expect(await audit.refs()).toEqual([]);
      expect(await audit.end(ref)).toEqual({ sequence: 0, hash: "" });
    });

    test("knows where each chain ends, after every entry", async () => {
      for (const entry of chain) {
        await append(entry);
        expect(await audit.end(ref)).toEqual({ sequence: entry.sequence, hash: entry.hash });
      }
      expect(await audit.end("another")).toEqual({ sequence: 0, hash: "" });
    });

    test("reads the chain in order, exactly as it was appended, and it verifies", async () => {
      await append(...chain);
      expect(await readAll(audit, ref)).toEqual(chain);
      expect(await verifyChain(ref, audit.read(ref), chain[4])).toEqual({ length: 5, fault: undefined });
    });

    test.each([
      ["the last one", 4],
      ["one in the middle", 2],
      ["the first one", 0],
    ])("the same entry again is done: %s", async (_, index) => {
      await append(...chain, ...chain.slice(index, index + 1));
      expect(await readAll(audit, ref)).toEqual(chain);
    });

    test.each([
      ["the last sequence", 4],
      ["a sequence in the middle", 2],
      ["the first sequence", 0],
    ])("another entry at %s conflicts, and nothing changes", async (_, index) => {
      await append(...chain);
      const others = sampleChain("app/db", 5).slice(index, index + 1);
      const end = chain[index - 1] ?? { sequence: 0, hash: "" };
      for (const other of others) {
        await expect(audit.append(seal({ ...other, actor: "someone else" }, end))).rejects.toMatchObject(
          conflict,
        );
      }
      expect(others).toHaveLength(1);
      expect(await readAll(audit, ref)).toEqual(chain);
    });

    test.each([
      ["in an empty chain", 0, 1],
      ["after the end", 2, 3],
      ["far after the end", 1, 4],
    ])("an entry that leaves a gap conflicts: %s", async (_, length, index) => {
      await append(...chain.slice(0, length));
      const [late] = chain.slice(index, index + 1);
      await expect(append(...(late === undefined ? [] : [late]))).rejects.toMatchObject(conflict);
      expect(await readAll(audit, ref)).toEqual(chain.slice(0, length));
    });

    test("the same entry appended many times at once is there once", async () => {
      const [first, ...rest] = chain;
      if (first === undefined) throw new Error("the sample is empty");
      await Promise.all(Array.from({ length: 8 }, () => audit.append(first)));
      await append(...rest);
      expect(await readAll(audit, ref)).toEqual(chain);
    });

    test("of different entries at one sequence at once exactly one wins", async () => {
      const rivals = Array.from({ length: 8 }, (_, index) =>
        seal(
          { ref, at: index, actor: `worker ${index}`, action: "set.done", epoch: 1, detail: "" },
          { sequence: 0, hash: "" },
        ),
      );
      const all = await Promise.allSettled(rivals.map((entry) => audit.append(entry)));
      const won = rivals.filter((_, index) => all[index]?.status === "fulfilled");
      expect(won).toHaveLength(1);
      for (const one of all) if (one.status === "rejected") expect(one.reason).toMatchObject(conflict);
      expect(await readAll(audit, ref)).toEqual(won);
    });

    test("each secret has a chain of its own, whatever its name is made of", async () => {
      const names = ["a/b", "a%2Fb", "../../etc/x", "A/B", "ü 😀", "a"];
      for (const other of names) await append(...sampleChain(other, 2));
      expect(await audit.refs()).toEqual([...names].sort());
      for (const other of names) expect(await readAll(audit, other)).toEqual(sampleChain(other, 2));
    });

    test("the next who opens it reads the same, and goes on from there", async () => {
      if (opened.reopen === undefined) return;
      await append(...chain.slice(0, 3));
      await opened.close();
      opened = await opened.reopen();
      audit = opened.audit;
      expect(await readAll(audit, ref)).toEqual(chain.slice(0, 3));
      await append(...chain.slice(2));
      expect(await readAll(audit, ref)).toEqual(chain);
    });
  });
}
