import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Secret } from "../core/secret.ts";
import { judge } from "../faults/judge.ts";
import { Lane } from "../faults/lane.ts";
import { dryPass, run } from "../faults/run.ts";
import { type Subject, subjects } from "../faults/subjects.ts";
import { World } from "../faults/world.ts";
import { type PostgresServer, startPostgres } from "./postgres-server.ts";

/**
 * Each fault of `npm run faults` strikes, and its judge sees what is planted here: at the target an old value that is accepted, a login, a role and a session
 * too many, and a current that was changed; in the store a candidate; and that another version is current than it should be, or a leaked one. Not
 * planted are a record that is not at rest, owes, is leased or has something to tell, one that differs from the store, or does not know the leak as refused, a
 * broken chain, and a reader that found nothing on the way.
 */
let server: PostgresServer;
let directory: string;
let lane: Lane;
const subject: Subject = subjects[0] ?? expect.fail("there are no subjects");

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "keyturn-judge-"));
  server = await startPostgres();
  lane = await Lane.open(join(directory, "lane"));
});

afterAll(async () => {
  await lane[Symbol.asyncDispose]();
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
});

async function rotated() {
  const world = await World.open(subject, lane, server);
  const old = await world.reader.current();
  const first = await world.rotate();
  await world.settle(lane.second);
  const current = await world.reader.current();
  if (old === undefined || current === undefined) throw new Error("there is nothing to read");
  return { world, first, old, current };
}

type Rotated = Awaited<ReturnType<typeof rotated>>;

async function asSuperuser(sql: string): Promise<void> {
  const superuser = await server.client();
  await superuser.query(sql);
  await superuser.end();
}

test("a rotation that nothing happens to has converged", async () => {
  const { world, first } = await rotated();
  expect(await judge(world, server, { first })).toEqual({ ending: "converged", why: "" });
});

const planted: readonly (readonly [string, (rotated: Rotated) => Promise<unknown>, string, RegExp])[] = [
  [
    "the old value is accepted",
    ({ old }) => asSuperuser(`ALTER ROLE ${old.username} LOGIN PASSWORD '${old.password}'`),
    "stuck",
    /is accepted that should be refused/,
  ],
  [
    "a role is left",
    ({ world }) => asSuperuser(`CREATE ROLE ${world.target.bases[0]}_clone`),
    "stuck",
    /_clone was left behind/,
  ],
  [
    "another role may log in",
    ({ old }) => asSuperuser(`ALTER ROLE ${old.username} LOGIN`),
    "stuck",
    /may log in/,
  ],
  [
    "a candidate is pending",
    ({ world }) =>
      world.ports.store.savePending(world.ref, "left", new Secret('{"username":"a","password":"b"}')),
    "stuck",
    /a candidate is pending/,
  ],
  [
    "current was changed",
    ({ current }) => asSuperuser(`ALTER ROLE ${current.username} PASSWORD 'another-one'`),
    "lost",
    /no credential works at the end/,
  ],
];

describe("of a rotation that", () => {
  test.each(planted)("%s", async (_, plant, ending, why) => {
    const made = await rotated();
    await plant(made);
    expect(await judge(made.world, server, { first: made.first })).toEqual({
      ending,
      why: expect.stringMatching(why),
    });
  });

  test("has a session left, and so perhaps a lock", async () => {
    const { world, first, current } = await rotated();
    const session = await server.client(current);
    const { ending, why } = await judge(world, server, { first });
    await session.end();
    expect({ ending, why }).toEqual({
      ending: "stuck",
      why: expect.stringMatching(/1 sessions of \S+ are left/),
    });
  });

  test("was asked for another version, or whose cancelled one is current", async () => {
    const { world, first } = await rotated();
    expect((await judge(world, server, { first: "another" })).why).toMatch(/than was asked for/);
    expect((await judge(world, server, { first, cancelled: true })).why).toMatch(
      /what was cancelled is current/,
    );
  });

  test("has brought a leaked value back, of which the record knows nothing", async () => {
    const { world, first } = await rotated();
    const leaked = { version: first ?? "" };
    expect(await judge(world, server, { first, leaked })).toEqual({
      ending: "lost",
      why: expect.stringMatching(/a compromised value is current/),
    });
  });
});

describe("a fault", () => {
  test.each(["killed", "failed", "reply lost", "stopped"] as const)(
    "%s strikes at the call that it is meant for, and another process takes its place only where it was killed",
    async (fault) => {
      const boundaries = await dryPass(subject, lane, server);
      const number = boundaries.findIndex(({ what }) => what === "pg.query DO") + 1;
      expect(number).toBeGreaterThan(10);
      const before = await lane.first();
      const followUp = fault === "stopped" ? "superseded" : "retried";
      const one = { fault, followUp, story: "", mayEnd: [] } as const;
      const came = await run(one, number, { subject, lane, server });
      const ending = fault === "stopped" ? "undone" : "converged";
      expect(came).toEqual({ what: "pg.query DO", ending, why: "" });
      expect((await lane.first()) === before).toBe(fault !== "killed");
    },
  );

  test("behind the end of a rotation never strikes", async () => {
    const one = { fault: "killed", followUp: "retried", story: "", mayEnd: [] } as const;
    expect(await run(one, 1_000, { subject, lane, server })).toBeUndefined();
  });
});
