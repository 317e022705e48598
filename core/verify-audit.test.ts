import { expect, test } from "vitest";
import { memoryAuditLog, memoryJournal } from "../local/memory.ts";
import { memoryAuditRoots } from "../local/memory-audit.ts";
import type { AuditEntry } from "./audit.ts";
import { sampleChain } from "./audit-log.contract.ts";
import { signerOf } from "./audit-roots.contract.ts";
import { newRecord, type RotationRecord } from "./record.ts";
import { RootsList } from "./roots-list.ts";
import { verifyAudit } from "./verify-audit.ts";

const installation = "mine";
const signer = signerOf(1);
const ends = (chain: readonly AuditEntry[]) => {
  const { ref = "", sequence = 0, hash = "" } = chain.at(-1) ?? {};
  return { ref, sequence, hash };
};

/** An audit with these chains, a journal with these records, and a root over these ends. */
async function auditOf(
  chains: readonly (readonly AuditEntry[])[],
  records: readonly RotationRecord[] = [],
  signed: readonly ReturnType<typeof ends>[] = [],
) {
  const [audit, journal, list] = [memoryAuditLog(), memoryJournal(), new RootsList(installation)];
  for (const entry of chains.flat()) await audit.append(entry);
  for (const record of records) await journal.save(record, undefined);
  const lines = [await list.introduce(signer.publicKey, signer, 5)];
  if (signed.length > 0) lines.push(await list.sign({ changed: [...signed], accepted: [] }, signer, 5));
  return { audit, journal, roots: memoryAuditRoots(lines) };
}
const recordAt = (chain: readonly AuditEntry[], unsent: readonly AuditEntry[] = []): RotationRecord => {
  const { ref, sequence, hash } = ends([...chain, ...unsent]);
  const outbox = { entries: [...unsent], events: [], attempts: 0 };
  return { ...newRecord(ref), audit: { sequence, hash }, outbox };
};
const [one, two] = [sampleChain("app/one", 3), sampleChain("app/two", 2)];

test("every chain that there is, or that journal or roots know of, is told by its name", async () => {
  const four = sampleChain("app/four", 1);
  const ports = await auditOf([two, one], [newRecord("app/three")], [ends(one), ends(four)]);
  expect(await verifyAudit(ports, { installation, publicKeys: [signer.publicKey] })).toEqual({
    chains: [
      { ref: "app/four", entries: 0, fault: { kind: "cut-off", sequence: 0, root: 2 } },
      { ref: "app/one", entries: 3, fault: undefined },
      { ref: "app/three", entries: 0, fault: undefined },
      { ref: "app/two", entries: 2, fault: undefined },
    ],
    roots: expect.objectContaining({ lines: 2, fault: undefined }),
  });
});

test("what is known of the roots from elsewhere counts", async () => {
  const ports = await auditOf([one], [], [ends(one)]);
  const { chains, roots } = await verifyAudit(ports, { installation, publicKeys: ["another"] });
  expect(roots.fault).toEqual({ kind: "another-key", number: 2 });
  expect(chains).toEqual([{ ref: "app/one", entries: 3, fault: undefined }]);
});

test.each<[string, RotationRecord, readonly AuditEntry[], object | undefined]>([
  ["a chain is as long as the journal knows", recordAt(one), one, undefined],
  ["a chain lacks its end", recordAt(one), one.slice(0, 2), { kind: "cut-off", sequence: 2 }],
  ["an entry behind its end was put in", recordAt(one.slice(0, 2)), one, { kind: "unknown", sequence: 3 }],
  [
    "two entries behind its end were put in",
    recordAt(one.slice(0, 1)),
    one,
    { kind: "unknown", sequence: 2 },
  ],
  ["what waits is not in it yet", recordAt(one.slice(0, 1), one.slice(1)), one.slice(0, 1), undefined],
  ["what waits is in it already", recordAt(one.slice(0, 1), one.slice(1)), one, undefined],
  [
    "what was written before what waits is missing",
    recordAt(one.slice(0, 2), one.slice(2)),
    one.slice(0, 1),
    { kind: "cut-off", sequence: 1 },
  ],
  ["nothing of it was written yet", recordAt([], one), [], undefined],
  [
    "it is another one than the one behind which the rest waits",
    recordAt(one.slice(0, 2), one.slice(2)),
    sampleChain("app/one", 1).map((entry) => ({ ...entry, hash: "x" })),
    { kind: "changed", sequence: 1 },
  ],
])("the journal tells that %s", async (_, record, chain, fault) => {
  const { chains } = await verifyAudit(await auditOf([chain], [record]), { installation });
  expect(chains).toEqual([expect.objectContaining({ ref: "app/one", fault })]);
});

test("a root tells that a chain is another one, before the journal tells that it is too short", async () => {
  const signed = { ...ends(one.slice(0, 2)), hash: "x" };
  const ports = await auditOf([one.slice(0, 2)], [recordAt(one)], [signed]);
  expect((await verifyAudit(ports, { installation })).chains).toEqual([
    { ref: "app/one", entries: 2, fault: { kind: "replaced", sequence: 2, root: 2 } },
  ]);
});
