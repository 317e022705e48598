import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Case, type Course, cases } from "../faults/cases.ts";
import { Lane } from "../faults/lane.ts";
import { localPlace } from "../faults/local-place.ts";
import { startServer } from "../faults/postgres.ts";
import { dryPass, run } from "../faults/run.ts";
import { listed, subjectsOn } from "../faults/subjects.ts";
import type { PostgresServer } from "./postgres-server.ts";

/** That `npm run faults` numbers every kind of call, and that each of its faults strikes where it is meant to. */
let server: PostgresServer;
let directory: string;
let lane: Lane;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "keyturn-faults-run-"));
  server = await startServer();
  lane = await Lane.open({
    place: "local",
    started: await localPlace.start(),
    folder: join(directory, "lane"),
  });
});

afterAll(async () => {
  await lane[Symbol.asyncDispose]();
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
});

function named(name: string) {
  return subjectsOn(server).find((subject) => subject.name === name) ?? expect.fail(name);
}

async function kinds(name: string, course: Course): Promise<Record<string, readonly string[]>> {
  const byPhase: Record<string, string[]> = {};
  for (const { phase, what } of await dryPass(course, named(name), lane)) {
    byPhase[phase] ??= [];
    if (byPhase[phase]?.includes(what) === false) byPhase[phase].push(what);
  }
  for (const list of Object.values(byPhase)) list.sort();
  return byPhase;
}

const journal = ["audit.append", "journal.load", "journal.save"];
const statements = ["pg.connect", "pg.query DO", "pg.query SELECT"];

/** One connection is shared by create and set, and by grace and what it ends with. */
const rotation: Readonly<Record<string, readonly string[]>> = {
  create: [
    ...journal,
    "journal.remember",
    "store.read",
    "store.savePending",
    "pg.connect",
    "pg.query SELECT",
  ],
  set: [...journal, "store.read", "pg.query DO"],
  test: [...journal, "store.read", "pg.connect", "pg.query SELECT", "pg.end"],
  finish: [...journal, "store.promote"],
  announce: [...journal, "bus.publish"],
  grace: [...journal, "journal.agents", "pg.end"],
  retire: [...journal, "journal.agents", "store.read", "store.disable", ...statements],
  idle: [...journal, "bus.publish", "pg.end"],
};
const undo: Readonly<Record<string, readonly string[]>> = {
  undo: [...journal, "bus.publish", "store.read", "store.disable", "store.discardPending", ...statements],
  idle: [...journal, "pg.end"],
};

test.each(listed)("every kind of call of each step is numbered: $name", async ({ name, overlap }) => {
  // Two logins have two sets of rights, which are compared. One login is asked for once more after it was taken back.
  const isPair = overlap === "both-live";
  const { test: tries = [], ...others } = rotation;
  const own = { ...others, test: isPair ? [...tries, "pg.query WITH"] : tries };
  expect(await kinds(name, "rotation")).toEqual(sorted(own));
  const { undo: taken = [], ...rest } = undo;
  expect(await kinds(name, "undo")).toEqual(sorted({ ...rest, undo: isPair ? taken : [...taken, "pg.end"] }));
});

test.each(["rollback", "emergency", "cut first"] as const)(
  "every step of a course is numbered: %s",
  async (course) => {
    const found = await kinds("two logins that take turns", course);
    const steps = ["create", "set", "test", "finish", "announce", "retire", "idle"];
    expect(Object.keys(found)).toEqual(expect.arrayContaining(steps));
    for (const step of ["set", "test", "retire"]) {
      expect(
        found[step]?.filter((what) => what.startsWith("pg.query")),
        step,
      ).not.toEqual([]);
    }
  },
);

function sorted(kinds: Readonly<Record<string, readonly string[]>>): Record<string, readonly string[]> {
  return Object.fromEntries(Object.entries(kinds).map(([step, list]) => [step, [...list].sort()]));
}

function caseOf(course: Course, fault: Case["fault"], followUp: Case["followUp"]): Case {
  const found = cases.find(
    (one) => one.course === course && one.fault === fault && one.followUp === followUp,
  );
  return found ?? expect.fail("there is no such case");
}

describe("a fault", () => {
  test.each([
    ["killed", "retried", "converged"],
    ["killed amid", "retried", "converged"],
    ["failed", "retried", "converged"],
    ["reply lost", "retried", "converged"],
    ["stopped", "superseded", "undone"],
  ] as const)(
    "that is %s strikes at the call that it is meant for, and a reader looks at every call from then on",
    async (fault, followUp, ending) => {
      const subject = named("two logins that take turns");
      const boundaries = await dryPass("rotation", subject, lane);
      const number = boundaries.findIndex(({ what }) => what === "pg.query DO") + 1;
      expect(number).toBeGreaterThan(10);
      const before = await lane.first();
      const came = await run(caseOf("rotation", fault, followUp), number, { subject, lane });
      expect(came).toMatchObject({ what: "pg.query DO", ending, why: "" });
      expect(came?.looks).toBeGreaterThan(boundaries.length - number);
      expect((await lane.first()) === before).toBe(!fault.startsWith("killed"));
    },
  );

  test.each([
    ["undo", "undone"],
    ["rollback", "converged"],
    ["cut first", "converged"],
  ] as const)(
    "that stops a worker in %s lets another one overtake it before it goes on",
    async (course, ending) => {
      const subject = named("two logins that take turns");
      const boundaries = await dryPass(course, subject, lane);
      const number = boundaries.findIndex(({ what }) => what === "pg.query DO") + 1;
      const came = await run(caseOf(course, "stopped", "overtaken"), number, { subject, lane });
      expect(came).toMatchObject({ what: "pg.query DO", ending, why: "" });
      expect(came?.looks).toBeGreaterThan(boundaries.length - number);
    },
  );

  test("strikes one of several calls that are under way at once", async () => {
    const subject = named("two logins that take turns");
    const boundaries = await dryPass("rotation", subject, lane);
    // The secret, what is pending and the administering login are read together.
    const number = boundaries.findIndex(({ what }) => what === "store.read") + 2;
    const came = await run(caseOf("rotation", "failed", "retried"), number, { subject, lane });
    expect(came).toMatchObject({ what: "store.read", ending: "converged", why: "" });
  });

  test("behind the end of a rotation never strikes", async () => {
    const subject = named("two logins that take turns");
    expect(await run(caseOf("rotation", "killed", "retried"), 1_000, { subject, lane })).toBeUndefined();
  });
});
