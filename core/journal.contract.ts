import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AgentReport } from "./fleet.ts";
import type { Journal } from "./ports.ts";
import { newRecord, type RotationRecord } from "./record.ts";

export interface OpenedJournal {
  readonly journal: Journal;
  close(): Promise<void>;
  /** Opens the same data anew. */
  reopen?(): Promise<OpenedJournal>;
}

const ref = "app/db";

function recordOf(reference: string, changes: Partial<RotationRecord> = {}): RotationRecord {
  return { ...newRecord(reference), ...changes };
}

/** Uses every part of a record that a journal could lose. */
function fullRecord(): RotationRecord {
  const rotation = {
    id: "v2",
    kind: "rotate",
    urgent: true,
    requestedBy: "ann",
    startedAt: 1.5,
    pending: { version: "v2", fingerprint: "k1:2" },
    previous: { version: "v1", fingerprint: "k1:1" },
  } as const;
  return recordOf(ref, {
    epoch: 3,
    state: { phase: "retire", rotation, since: 4, forced: true, attempts: 1, notBefore: 5 },
    current: { version: "v2", fingerprint: "k1:2", since: 1 },
    debts: [
      {
        version: "v1",
        fingerprint: "k1:1",
        reason: "leaked",
        since: 2,
        cutFirst: true,
        attempts: 0,
        notBefore: 3,
      },
    ],
    compromised: [{ version: "v1", fingerprint: "k1:1", reportedBy: 'ann "x" 😀', at: 2 }],
    wish: { kind: "rollback", requestedBy: "ben", at: 9 },
    lease: { holder: "worker", until: 99 },
    audit: { sequence: 4, hash: "abcd" },
    dueAt: 5,
  });
}

function reportOf(agent: string, sequence: number, changes: Partial<AgentReport> = {}): AgentReport {
  return { ref, agent, fleet: "agents", sequence, inUse: [], holds: [], ...changes };
}

/** Every promise of `Journal`. A journal's own test calls this, and adds only what is peculiar to it. */
export function describeJournal(name: string, open: () => Promise<OpenedJournal>): void {
  let opened: OpenedJournal;
  let journal: Journal;
  const start = async (): Promise<void> => {
    opened = await open();
    journal = opened.journal;
  };
  const again = async (): Promise<void> => {
    if (opened.reopen === undefined) return;
    await opened.close();
    opened = await opened.reopen();
    journal = opened.journal;
  };
  const conflict = { code: "conflict", disposition: "retry" };

  describe(`${name} as a journal of records`, () => {
    beforeEach(start);
    afterEach(() => opened.close());

    test("a record that was never saved is absent", async () => {
      expect(await journal.load(ref)).toBeUndefined();
      expect(await journal.refs()).toEqual([]);
    });

    test.each([
      ["a new one", newRecord(ref)],
      ["one with everything in it", fullRecord()],
    ])("a record is loaded as it was saved: %s", async (_, record) => {
      const revision = await journal.save(record, undefined);
      expect(await journal.load(ref)).toEqual({ record, revision });
      await again();
      expect(await journal.load(ref)).toEqual({ record, revision });
    });

    test("every save gives a new revision, which the next one must name", async () => {
      const first = await journal.save(recordOf(ref, { epoch: 1 }), undefined);
      const second = await journal.save(recordOf(ref, { epoch: 2 }), first);
      expect(second).not.toBe(first);
      await expect(journal.save(recordOf(ref, { epoch: 9 }), first)).rejects.toMatchObject(conflict);
      expect((await journal.load(ref))?.record.epoch).toBe(2);
      await journal.save(recordOf(ref, { epoch: 3 }), second);
      expect((await journal.load(ref))?.record.epoch).toBe(3);
    });

    test.each([
      ["creating what is there", true, undefined],
      ["naming a revision of what is not there", false, 1],
      ["naming a revision that is yet to come", true, 2],
      ["naming revision 0 of what is there", true, 0],
    ])("%s conflicts, and changes nothing", async (_, there, expected) => {
      if (there) await journal.save(recordOf(ref, { epoch: 1 }), undefined);
      await expect(journal.save(recordOf(ref, { epoch: 9 }), expected)).rejects.toMatchObject(conflict);
      expect((await journal.load(ref))?.record.epoch).toBe(there ? 1 : undefined);
    });

    test.each([
      ["create", false],
      ["change", true],
    ])("of many that %s a record at once exactly one wins", async (_, there) => {
      const expected = there ? await journal.save(recordOf(ref), undefined) : undefined;
      const all = await Promise.allSettled(
        Array.from({ length: 8 }, (_none, index) =>
          journal.save(recordOf(ref, { epoch: index + 1 }), expected),
        ),
      );
      const won = all.flatMap((one, index) => (one.status === "fulfilled" ? [index + 1] : []));
      expect(won).toHaveLength(1);
      for (const one of all) if (one.status === "rejected") expect(one.reason).toMatchObject(conflict);
      expect((await journal.load(ref))?.record.epoch).toBe(won[0]);
    });

    test("what a caller does to a record afterwards does not reach the journal", async () => {
      const record = recordOf(ref);
      await journal.save(record, undefined);
      record.debts.push(...fullRecord().debts);
      const loaded = await journal.load(ref);
      loaded?.record.debts.push(...fullRecord().debts);
      expect((await journal.load(ref))?.record.debts).toEqual([]);
    });

    test("refs gives every record, in order", async () => {
      for (const other of ["b/2", "B", "a", "b/1"]) await journal.save(recordOf(other), undefined);
      expect(await journal.refs()).toEqual(["B", "a", "b/1", "b/2"]);
    });
  });

  describe(`${name} as a journal of what is due`, () => {
    beforeEach(start);
    afterEach(() => opened.close());

    test("nothing is due where nothing has a time", async () => {
      expect(await journal.due(1e15, 10)).toEqual([]);
      expect(await journal.nextDueAt()).toBeUndefined();
      await journal.save(recordOf(ref), undefined);
      expect(await journal.due(1e15, 10)).toEqual([]);
      expect(await journal.nextDueAt()).toBeUndefined();
    });

    test.each([
      ["before the first", 99, 10, []],
      ["at the first: not after now is due", 100, 10, ["a"]],
      ["some", 250.5, 10, ["a", "c", "d"]],
      ["all, the earliest first, without those that have no time", 1e15, 10, ["a", "c", "d", "b"]],
      ["no more than the limit, and those are the earliest", 1e15, 2, ["a", "c"]],
    ])("due: %s", async (_, now, limit, expected) => {
      const times = { b: 300, a: 100, d: 250.5, c: 200, never: null };
      for (const [other, dueAt] of Object.entries(times)) {
        await journal.save(recordOf(other, { dueAt }), undefined);
      }
      expect(await journal.due(now, limit)).toEqual(expected);
      expect(await journal.nextDueAt()).toBe(100);
    });

    test("due follows what is saved last", async () => {
      const first = await journal.save(recordOf(ref, { dueAt: 100 }), undefined);
      const second = await journal.save(recordOf(ref, { dueAt: 300 }), first);
      expect(await journal.due(200, 10)).toEqual([]);
      expect(await journal.nextDueAt()).toBe(300);
      await journal.save(recordOf(ref, { dueAt: null }), second);
      expect(await journal.due(400, 10)).toEqual([]);
      expect(await journal.nextDueAt()).toBeUndefined();
    });

    test("a save that conflicts does not move what is due", async () => {
      await journal.save(recordOf(ref, { dueAt: 100 }), undefined);
      await expect(journal.save(recordOf(ref, { dueAt: 999 }), 77)).rejects.toMatchObject(conflict);
      expect(await journal.nextDueAt()).toBe(100);
    });
  });

  describe(`${name} as a journal of agents`, () => {
    beforeEach(start);
    afterEach(() => opened.close());
    const only = async () => (await journal.agents(ref))[0];

    test("nobody reported, nobody is there", async () => {
      expect(await journal.agents(ref)).toEqual([]);
      await journal.report([], 1);
      expect(await journal.agents(ref)).toEqual([]);
    });

    test("a report is kept whole, with the time at which it was seen", async () => {
      const holds = [{ id: "h1", version: "v1", since: 5 }];
      const report = reportOf("a", 1, { adopted: "v2", inUse: ["v1", "v2"], holds, leaving: true });
      await journal.report([report], 100);
      const expected = { ...report, seenAt: 100, adoptedAt: 100, holdSeenAt: { h1: 100 } };
      expect(await only()).toEqual(expected);
      await again();
      expect(await only()).toEqual(expected);
    });

    test.each([
      ["an older sequence", 4],
      ["the same sequence", 5],
    ])("a report with %s is ignored, its time too", async (_, sequence) => {
      await journal.report([reportOf("a", 5, { inUse: ["v2"] })], 100);
      await journal.report([reportOf("a", sequence, { inUse: ["v1"], leaving: true })], 200);
      expect(await only()).toMatchObject({ sequence: 5, inUse: ["v2"], seenAt: 100 });
      expect((await only())?.leaving).not.toBe(true);
    });

    test("of reports in one call, in whatever order, the one with the greatest sequence stays", async () => {
      const reports = [2, 3, 1].map((sequence) => reportOf("a", sequence, { inUse: [`v${sequence}`] }));
      await journal.report(reports, 100);
      expect(await only()).toMatchObject({ sequence: 3, inUse: ["v3"] });
    });

    test("of reports in many calls at once the one with the greatest sequence stays, and no agent is lost", async () => {
      const sequences = [4, 1, 8, 3, 7, 2, 6, 5];
      await Promise.all(
        sequences.map((sequence) =>
          journal.report([reportOf("a", sequence), reportOf(`b${sequence}`, 1)], 100),
        ),
      );
      const states = await journal.agents(ref);
      expect(states).toHaveLength(9);
      expect(states.find((state) => state.agent === "a")?.sequence).toBe(8);
    });

    test("an agent that stops leaving is no longer leaving", async () => {
      await journal.report([reportOf("a", 1, { leaving: true })], 100);
      await journal.report([reportOf("a", 2)], 200);
      expect((await only())?.leaving).not.toBe(true);
    });

    test("adoptedAt is when a version was first named, not when it was last", async () => {
      const steps = [
        [undefined, undefined],
        ["v1", 200],
        ["v1", 200],
        ["v2", 400],
        ["v2", 400],
        [undefined, undefined],
        ["v2", 700],
      ] as const;
      for (const [index, [adopted, expected]] of steps.entries()) {
        const now = (index + 1) * 100;
        await journal.report([reportOf("a", index, adopted === undefined ? {} : { adopted })], now);
        expect((await only())?.adoptedAt).toBe(expected);
      }
    });

    test("holdSeenAt is when a hold was first seen; one that was let go and comes back begins anew", async () => {
      const hold = (id: string) => ({ id, version: "v1", since: 1 });
      const steps = [
        [["x"], { x: 100 }],
        [["x", "y"], { x: 100, y: 200 }],
        [["y"], { y: 200 }],
        [["x", "y"], { x: 400, y: 200 }],
        [[], {}],
      ] as const;
      for (const [index, [ids, expected]] of steps.entries()) {
        await journal.report([reportOf("a", index, { holds: ids.map(hold) })], (index + 1) * 100);
        expect((await only())?.holdSeenAt).toEqual(expected);
      }
    });

    test("agents are told apart by name and by secret", async () => {
      await journal.report([reportOf("a", 5), reportOf("b", 1), { ...reportOf("a", 1), ref: "other" }], 100);
      expect((await journal.agents(ref)).map((state) => state.agent).sort()).toEqual(["a", "b"]);
      expect(await journal.agents("other")).toMatchObject([{ agent: "a", sequence: 1 }]);
    });

    test("forgets whoever was not heard of since, on this secret only, and knows them anew when they come back", async () => {
      await journal.report([reportOf("silent", 9), { ...reportOf("silent", 9), ref: "other" }], 100);
      await journal.report([reportOf("just heard", 1)], 200);
      await journal.forgetAgents(ref, 200);
      await journal.forgetAgents(ref, 200);
      expect((await journal.agents(ref)).map((state) => state.agent)).toEqual(["just heard"]);
      expect(await journal.agents("other")).toHaveLength(1);
      await journal.report([reportOf("silent", 1)], 300);
      expect(await journal.agents(ref)).toHaveLength(2);
    });
  });

  describe(`${name} as a journal of fingerprints`, () => {
    beforeEach(start);
    afterEach(() => opened.close());
    const found = async (...fingerprints: readonly string[]) =>
      (await journal.identify(fingerprints))
        .map((match) => `${match.ref} ${match.version} ${match.field}`)
        .sort();

    test("nobody is identified by what was never remembered", async () => {
      expect(await found()).toEqual([]);
      expect(await found("k1:none")).toEqual([]);
    });

    test("a version is found by any of its fields, twice remembered is once", async () => {
      await journal.remember(ref, "v1", { password: "k1:p", token: "k1:t" });
      await journal.remember(ref, "v1", { password: "k1:p", token: "k1:t" });
      await journal.remember(ref, "v2", {});
      expect(await found("k1:p")).toEqual(["app/db v1 password"]);
      expect(await found("k2:p", "k1:t")).toEqual(["app/db v1 token"]);
      await again();
      expect(await found("k1:p")).toEqual(["app/db v1 password"]);
    });

    test("one value in several versions and secrets is found in all of them", async () => {
      await journal.remember(ref, "v1", { password: "k1:p" });
      await journal.remember(ref, "v3", { password: "k1:p", other: "k1:p" });
      await journal.remember("other", "v1", { key: "k1:p" });
      expect(await found("k1:p")).toEqual([
        "app/db v1 password",
        "app/db v3 other",
        "app/db v3 password",
        "other v1 key",
      ]);
    });
  });
}
