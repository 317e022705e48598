import { expect, test } from "vitest";
import { memoryJournal, steppedClock } from "../local/memory.ts";
import { acceptReports } from "./accept-reports.ts";
import type { AgentReport } from "./fleet.ts";
import { newRecord, type RotationRecord } from "./record.ts";

const tries = { attempts: 0, notBefore: 0 };
const mark = (version: string) => ({ version, fingerprint: `print of ${version}` });
const rotation = {
  id: "v2",
  kind: "rotate",
  urgent: false,
  requestedBy: "ann",
  startedAt: 0,
  previous: mark("v1"),
} as const;
const debt = { ...mark("v1"), reason: "retired", since: 0, cutFirst: false, ...tries } as const;

const report = (ref: string, ...versions: readonly string[]): AgentReport => ({
  ref,
  agent: "host/a",
  fleet: "agents",
  sequence: 1,
  adopted: "v2",
  inUse: [],
  holds: versions.map((version) => ({ id: `${ref} ${version}`, version, since: 0 })),
});

async function journalWith(...records: readonly RotationRecord[]) {
  const journal = memoryJournal();
  for (const record of records) await journal.save(record, undefined);
  const loads: string[] = [];
  return {
    loads,
    journal: {
      ...journal,
      load: (ref: string) => {
        loads.push(ref);
        return journal.load(ref);
      },
    },
  };
}
const clock = steppedClock(500);

test.each<readonly [string, Partial<RotationRecord>, readonly string[]]>([
  ["at rest every one is granted", {}, []],
  [
    "in grace every one is granted",
    {
      state: {
        phase: "grace",
        rotation,
        since: 0,
        confirmAt: 0,
        refusals: 0,
        adopted: false,
        laggardsNamed: false,
        ...tries,
      },
    },
    [],
  ],
  [
    "of what is being retired none is",
    { state: { phase: "retire", rotation, since: 0, forced: false, ...tries } },
    ["app/db v1"],
  ],
  [
    "in the retire of a first version every one is granted",
    {
      state: {
        phase: "retire",
        rotation: { ...rotation, previous: undefined },
        since: 0,
        forced: false,
        ...tries,
      },
    },
    [],
  ],
  [
    "of what is being retired by another name none is",
    {
      state: {
        phase: "retire",
        rotation: { ...rotation, id: "v4", previous: mark("v3") },
        since: 0,
        forced: false,
        ...tries,
      },
      sameLogin: [["v3", "v1"]],
    },
    ["app/db v1"],
  ],
  [
    "of what is owed by another name none is",
    { debts: [debt], sameLogin: [["v2", "v1"]] },
    ["app/db v1", "app/db v2"],
  ],
  [
    "of what has leaked by another name none is",
    { compromised: [{ ...mark("v9"), reportedBy: "ann", at: 0 }], sameLogin: [["v9", "v1"]] },
    ["app/db v1"],
  ],
  [
    "of what was proven refused none is",
    { current: { ...mark("v2"), since: 0 }, refused: ["v1"] },
    ["app/db v1"],
  ],
  [
    "of what was proven refused, and is current again, every one is granted",
    { current: { ...mark("v1"), since: 0 }, refused: ["v1"] },
    [],
  ],
  ["of what is owed none is", { debts: [debt, { ...debt, ...mark("v9") }] }, ["app/db v1"]],
  [
    "of what has leaked none is",
    {
      compromised: [
        { ...mark("v9"), reportedBy: "ann", at: 0 },
        { ...mark("v2"), reportedBy: "ann", at: 0 },
      ],
    },
    ["app/db v2"],
  ],
])("of holds: %s", async (_, changes, refusedHolds) => {
  const { journal } = await journalWith({ ...newRecord("app/db"), ...changes });
  const accepted = await acceptReports({ journal, clock }, [report("app/db", "v1", "v2")]);
  expect(accepted).toEqual({ refusedHolds });
  expect(await journal.agents("app/db")).toMatchObject([{ agent: "host/a", seenAt: 500 }]);
});

test("a record is read once for all reports on it, and only where there is a hold", async () => {
  const owing = { ...newRecord("app/db"), debts: [debt] };
  const { journal, loads } = await journalWith(owing, { ...newRecord("other/db"), debts: [debt] });
  const reports = [
    report("app/db", "v1"),
    { ...report("app/db", "v1"), agent: "host/b" },
    report("other/db"),
    report("unknown/db", "v1"),
    { ...report("unknown/db", "v1"), agent: "host/b" },
  ];
  expect(await acceptReports({ journal, clock }, reports)).toEqual({
    refusedHolds: ["app/db v1", "app/db v1"],
  });
  expect(loads).toEqual(["app/db", "unknown/db"]);
});
