import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod/mini";
import type { RotationRecord } from "../core/record.ts";
import { Secret } from "../core/secret.ts";
import type { Told } from "../faults/due.ts";
import { judge } from "../faults/judge.ts";
import { Lane } from "../faults/lane.ts";
import { localPlace } from "../faults/local-place.ts";
import { startServer } from "../faults/postgres.ts";
import type { Subject } from "../faults/subject.ts";
import { subjectsOn } from "../faults/subjects.ts";
import { World } from "../faults/world.ts";
import type { PostgresServer } from "./postgres-server.ts";

/** The judge of `npm run faults` sees whatever is planted here: in the record, in the store, in the audit, at the target, and on the reader's way. */
let server: PostgresServer;
let directory: string;
let lane: Lane;
let subject: Subject;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "keyturn-judge-"));
  server = await startServer();
  lane = await Lane.open({
    place: "local",
    started: await localPlace.start(),
    folder: join(directory, "lane"),
  });
  subject = subjectsOn(server)[0] ?? expect.fail("there are no subjects");
});

afterAll(async () => {
  await lane[Symbol.asyncDispose]();
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
});

const Login = z.object({ username: z.string(), password: z.string() });
const loginOf = (value: string | undefined) => z.parse(Login, JSON.parse(value ?? "{}"));

async function rotated() {
  const world = await World.open(subject, lane);
  const before = (await world.record()).current?.version;
  const old = loginOf(await world.reader.current());
  const first = (await world.rotate()) ?? expect.fail("no rotation began");
  await world.settle(lane.second);
  const told: Told = { before, first, followUp: "retried", phase: "create" };
  return { world, told, old, current: loginOf(await world.reader.current()) };
}

type Rotated = Awaited<ReturnType<typeof rotated>>;
type Plant = (rotated: Rotated) => Promise<unknown>;

async function asSuperuser(sql: string): Promise<void> {
  const superuser = await server.client();
  await superuser.query(sql);
  await superuser.end();
}

/** Changes the record behind everybody's back. */
function inRecord(change: (record: RotationRecord, rotated: Rotated) => Partial<RotationRecord>): Plant {
  return async (made) => {
    const { journal } = made.world.ports;
    const { record, revision } = (await journal.load(made.world.ref)) ?? expect.fail("there is no record");
    await journal.save({ ...record, ...change(record, made) }, revision);
  };
}

test("a rotation that nothing happens to has converged", async () => {
  const { world, told } = await rotated();
  expect(await judge(world, told)).toEqual({ ending: "converged", why: "" });
});

const debt = {
  version: "owed",
  fingerprint: "k1:owed",
  reason: "retired" as const,
  since: 0,
  cutFirst: false,
  attempts: 0,
  notBefore: 0,
};
const halted = { phase: "halted" as const, from: "idle" as const, code: "defect", reason: "planted", at: 0 };

const inTheRecord: readonly (readonly [string, Plant, RegExp])[] = [
  ["is not at rest", inRecord(() => ({ state: halted })), /it is in halted/],
  ["owes something", inRecord(() => ({ debts: [debt] })), /something is owed/],
  [
    "is still leased",
    inRecord(() => ({ lease: { holder: "somebody", until: 1 } })),
    /it is still somebody's lease/,
  ],
  [
    "has something to tell",
    async (made) => {
      const entries = await Array.fromAsync(made.world.ports.audit.read(made.world.ref));
      await inRecord(({ outbox }) => ({ outbox: { ...outbox, entries: entries.slice(-1) } }))(made);
    },
    /something is still to be told/,
  ],
  [
    "differs from the store",
    inRecord(({ current }) => ({ current: current && { ...current, version: "another" } })),
    /the record and the store differ/,
  ],
  [
    "does not follow from its audit",
    inRecord(({ audit }) => ({ audit: { ...audit, hash: "0".repeat(audit.hash.length) } })),
    /the audit's chain is broken/,
  ],
  [
    "has a leak that nobody has told of",
    inRecord(() => ({
      compromised: [{ version: "x", fingerprint: "k1:x", reportedBy: "somebody", at: 0, refusedAt: 1 }],
    })),
    /the leak is not in the record/,
  ],
];

const elsewhere: readonly (readonly [string, Plant, RegExp])[] = [
  [
    "left the old value accepted",
    ({ old }) => asSuperuser(`ALTER ROLE ${old.username} LOGIN PASSWORD '${old.password}'`),
    /is accepted that should be refused/,
  ],
  [
    "left a role",
    ({ old }) => asSuperuser(`CREATE ROLE ${old.username}_clone`),
    /the role \S+_clone was left behind/,
  ],
  [
    "left a login that may log in",
    ({ old }) => asSuperuser(`ALTER ROLE ${old.username} LOGIN`),
    /the role \S+ may log in/,
  ],
  [
    "left a candidate",
    ({ world }) =>
      world.ports.store.savePending(world.ref, "left", new Secret('{"username":"a","password":"b"}')),
    /a candidate is pending/,
  ],
];

describe("stuck is a rotation that", () => {
  test.each([...inTheRecord, ...elsewhere])("%s", async (_, plant, why) => {
    const made = await rotated();
    await plant(made);
    expect(await judge(made.world, made.told)).toEqual({ ending: "stuck", why: expect.stringMatching(why) });
  });

  test("left a session, and the lock that it holds", async () => {
    const { world, told, current } = await rotated();
    const session = await server.client(current);
    await session.query("SELECT pg_advisory_lock(1)");
    const { ending, why } = await judge(world, told);
    await session.end();
    expect(ending).toBe("stuck");
    expect(why).toMatch(/a session of \S+ is left, with 1 locks/);
  });

  test("was asked for another version, or whose cancelled one is current", async () => {
    const { world, told } = await rotated();
    expect((await judge(world, { ...told, first: "another" })).why).toMatch(/than was asked for/);
    const cancelled = { ...told, followUp: "cancelled", answer: "began", second: "another" } as const;
    const { why } = await judge(world, cancelled);
    expect(why).toMatch(/what was cancelled is current/);
    expect(why).toMatch(/what was cancelled was not taken back/);
  });

  test("knows of a leak, and has no proof that it is refused", async () => {
    const made = await rotated();
    const { before = "" } = made.told;
    await inRecord(() => ({ compromised: [{ version: before, reportedBy: "somebody", at: 0 }] }))(made);
    const leaked = { version: before, cutFirst: false };
    const { ending, why } = await judge(made.world, { ...made.told, followUp: "emergency", leaked });
    expect(ending).toBe("stuck");
    expect(why).toMatch(/the leak is not proven refused/);
    expect(why).not.toMatch(/the leak is not in the record|what was current/);
  });

  test("knows nothing of a leak", async () => {
    const { world, told } = await rotated();
    const leaked = { version: told.before ?? "", cutFirst: false };
    expect((await judge(world, { ...told, leaked })).why).toMatch(/the leak is not in the record/);
  });
});

describe("lost is a rotation that", () => {
  test("left a current that does not work", async () => {
    const { world, told, current } = await rotated();
    await asSuperuser(`ALTER ROLE ${current.username} PASSWORD 'another-one'`);
    const { ending, why } = await judge(world, told);
    expect(ending).toBe("lost");
    expect(why).toMatch(/no credential works at the end; current is not accepted/);
  });

  test("left a reader without one for a moment, unless that was asked for", async () => {
    const { world, told, current } = await rotated();
    await asSuperuser(`ALTER ROLE ${current.username} NOLOGIN`);
    await world.reader.look("on the way");
    await asSuperuser(`ALTER ROLE ${current.username} LOGIN`);
    const { ending, why } = await judge(world, told);
    expect(ending).toBe("lost");
    expect(why).toMatch(/^no credential works on the way;/);
    const asked = await judge(world, { ...told, leaked: { version: told.first, cutFirst: true } });
    expect(asked.why).not.toMatch(/no credential works/);
    const other = await judge(world, { ...told, leaked: { version: told.before ?? "", cutFirst: true } });
    expect(other.why).toMatch(/no credential works/);
  });

  test("has brought a leaked value back", async () => {
    const { world, told } = await rotated();
    const leaked = { version: told.first, cutFirst: false };
    const { ending, why } = await judge(world, { ...told, leaked });
    expect(ending).toBe("lost");
    expect(why).toMatch(/a compromised value is current/);
  });
});
