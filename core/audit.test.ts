import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { AuditEntry, type ChainFault, seal, sealAgain, type UnsealedEntry, verifyChain } from "./audit.ts";
import { sampleChain } from "./audit-log.contract.ts";
import { KeyturnError } from "./errors.ts";

const ref = "app/db";
const chain = sampleChain(ref, 5);
const [one, two, three, four, five] = chain;
const end = { sequence: five?.sequence ?? 0, hash: five?.hash ?? "" };
const start = { sequence: 0, hash: "" };

/** Only so that the tables below need not say that the sample has five entries. */
function of(...entries: readonly (AuditEntry | undefined)[]): readonly AuditEntry[] {
  return entries.filter((entry) => entry !== undefined);
}

async function* stream(entries: readonly AuditEntry[]): AsyncGenerator<AuditEntry> {
  yield* entries;
}

/** What a forger does who knows the format but may not touch the journal: every hash is right again. */
function resealed(entries: readonly UnsealedEntry[]): readonly AuditEntry[] {
  const done: AuditEntry[] = [];
  for (const { ref: name, at, actor, action, epoch, version, detail } of entries) {
    done.push(seal({ ref: name, at, actor, action, epoch, version, detail }, done.at(-1) ?? start));
  }
  return done;
}

const fields: Partial<AuditEntry>[] = [
  { at: 99 },
  { actor: "someone else" },
  { action: "set.failed" },
  { epoch: 99 },
  { version: "v99" },
  { detail: "other words" },
  { hash: "0".repeat(64) },
];

describe("verifyChain", () => {
  test.each([
    ["an empty chain", [], undefined, 0],
    ["an empty chain that should be empty", [], start, 0],
    ["a whole chain", chain, end, 5],
    ["a whole chain whose end nobody knows", chain, undefined, 5],
    ["a chain that is ahead of what the reader knows", chain, three, 5],
    ["a chain of which nothing is known yet", chain, start, 5],
  ] as const)("finds no fault in %s", async (_, entries, known, length) => {
    expect(await verifyChain(ref, stream(entries), known)).toEqual({ length, fault: undefined });
  });

  test.each(fields.map((field) => [Object.keys(field).join(), field] as const))(
    "finds an entry whose %s was changed",
    async (_, field) => {
      const forged = chain.map((entry) => (entry.sequence === 3 ? { ...entry, ...field } : entry));
      expect((await verifyChain(ref, stream(forged), end)).fault).toEqual({ kind: "changed", sequence: 3 });
    },
  );

  test("finds a version that was taken out of an entry", async () => {
    const forged = chain.map((entry) => (entry.sequence === 2 ? { ...entry, version: undefined } : entry));
    expect((await verifyChain(ref, stream(forged), end)).fault).toEqual({ kind: "changed", sequence: 2 });
  });

  const cases: Readonly<Record<string, readonly [readonly AuditEntry[], ChainFault]>> = {
    "the first was removed": [of(two, three, four, five), { kind: "gap", sequence: 2 }],
    "one in the middle was removed": [of(one, two, four, five), { kind: "gap", sequence: 4 }],
    "two were exchanged": [of(one, three, two, four, five), { kind: "gap", sequence: 3 }],
    "one stands twice": [of(one, two, two, three, four, five), { kind: "gap", sequence: 2 }],
    "one was put in between": [
      of(one, two && seal({ ...two, detail: "put in" }, one ?? start), two, three, four, five),
      { kind: "gap", sequence: 2 },
    ],
    "one was replaced by another that follows its predecessor": [
      of(one, two && seal({ ...two, detail: "replaced" }, one ?? start), three, four, five),
      { kind: "unlinked", sequence: 3 },
    ],
    "the first is not the first": [
      of(one && seal({ ...one }, { sequence: 0, hash: "abc" }), two),
      { kind: "unlinked", sequence: 1 },
    ],
    "one is of another secret": [
      of(one, ...sampleChain("other", 5).slice(1)),
      { kind: "foreign", sequence: 2 },
    ],
    "all were removed": [[], { kind: "cut-off", sequence: 0 }],
    "the last was cut off": [of(one, two, three, four), { kind: "cut-off", sequence: 4 }],
    "all after the first were cut off": [of(one), { kind: "cut-off", sequence: 1 }],
    "all was written anew, every hash right": [
      resealed(chain.map((entry) => ({ ...entry, detail: "forged" }))),
      { kind: "changed", sequence: 5 },
    ],
    "the last was written anew": [
      of(one, two, three, four, five && seal({ ...five, detail: "forged" }, four ?? start)),
      { kind: "changed", sequence: 5 },
    ],
  };

  test.each(Object.entries(cases))("finds that %s", async (_, [forged, fault]) => {
    expect((await verifyChain(ref, stream(forged), end)).fault).toEqual(fault);
  });

  test("gives the first fault, and how far the chain was whole", async () => {
    const forged = chain.map((entry) => (entry.sequence >= 3 ? { ...entry, actor: "forger" } : entry));
    expect(await verifyChain(ref, stream(forged), end)).toEqual({
      length: 2,
      fault: { kind: "changed", sequence: 3 },
    });
  });

  test("without what the journal knows, an end that was cut off cannot be seen", async () => {
    expect((await verifyChain(ref, stream(of(one, two)), undefined)).fault).toBeUndefined();
  });
});

test("finds that the end is missing also where the journal has lost its hash", async () => {
  const known = { sequence: 3, hash: "" };
  expect((await verifyChain(ref, stream(of(one, two)), known)).fault).toEqual({
    kind: "cut-off",
    sequence: 2,
  });
});

describe("sealAgain", () => {
  test("puts entries behind another end, one after the other, and says the same with them", () => {
    const [again, last, ...more] = sealAgain(of(three, four), { sequence: 7, hash: "elsewhere" });
    const words = { ...three, sequence: 8, previousHash: "elsewhere", hash: again?.hash };
    expect(again).toEqual(words);
    expect(last).toEqual({ ...four, sequence: 9, previousHash: again?.hash, hash: last?.hash });
    expect(more).toEqual([]);
  });

  test("makes a chain that verifies", async () => {
    const whole = [...of(one, two), ...sealAgain(of(four, five), two ?? start)];
    const last = { sequence: 4, hash: whole.at(-1)?.hash ?? "" };
    expect(await verifyChain(ref, stream(whole), last)).toEqual({ length: 4, fault: undefined });
    expect(sealAgain([], end)).toEqual([]);
  });
});

describe("an entry is read", () => {
  test("as it was written", () => {
    expect(chain.map((entry) => AuditEntry.parse({ ...entry, value: "canary" }))).toEqual(chain);
  });

  test.each(Object.keys(two ?? {}).filter((field) => field !== "version"))("not without its %s", (field) => {
    expect(AuditEntry.safeParse({ ...two, [field]: undefined }).success).toBe(false);
  });
});

describe("seal", () => {
  test("hashes what the schema says, in its order: anybody can verify it without Keyturn", () => {
    const sealed = seal(
      { ref, at: 5, actor: "ann", action: "set.done", epoch: 2, detail: 'a "b"' },
      { sequence: 7, hash: "before" },
    );
    const text = '["app/db",8,5,"ann","set.done",2,null,"a \\"b\\"","before"]';
    expect(sealed).toEqual({
      ref,
      sequence: 8,
      at: 5,
      actor: "ann",
      action: "set.done",
      epoch: 2,
      detail: 'a "b"',
      previousHash: "before",
      hash: createHash("sha256").update(text).digest("hex"),
    });
  });

  test("the sample verifies after a trip through JSON", async () => {
    const stored: readonly AuditEntry[] = JSON.parse(JSON.stringify(chain));
    expect((await verifyChain(ref, stream(stored), end)).fault).toBeUndefined();
  });
});

test("a line that cannot be read is a fault of the chain; an outage is not", async () => {
  const reading = (code: "data-broken" | "audit-unavailable") =>
    (async function* (): AsyncGenerator<AuditEntry> {
      yield* [];
      throw new KeyturnError(code, "because");
    })();
  const broken = await verifyChain("app/db", reading("data-broken"), undefined);
  expect(broken).toEqual({ length: 0, fault: { kind: "unreadable", sequence: 1 } });
  await expect(verifyChain("app/db", reading("audit-unavailable"), undefined)).rejects.toThrow("because");
});
