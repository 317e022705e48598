import type pg from "pg";
import { afterAll, beforeAll, test, vi } from "vitest";
import { identifier } from "../rotators/postgres/names.ts";
import {
  codeOf,
  endings,
  loginMessages,
  resultOf,
  type Step,
  type Strike,
  silenceMaxMs,
  strike,
} from "./network-strike.ts";
import { locksLeft, type Subject, sessionsLeft, subjects } from "./network-subjects.ts";
import { type NetworkOptions, type NetworkWorld, openNetwork, type Trace } from "./network-world.ts";
import { type PostgresServer, startPostgres } from "./postgres-server.ts";
import { type Outage, outages } from "./tcp-proxy.ts";

/**
 * One worker carries out a whole rotation on a real PostgreSQL, with one administering session for all that it does at a stretch, and the network
 * fails once at each step: the step ends within its deadline and says why, somebody can log in all the while, nothing stays locked, and when the
 * network is back the rotation comes to its end by itself. network-messages.test.ts goes through the steps message by message.
 */
const stepDeadlineMs = 12_000;
const limits = { connectTimeoutMs: 3_000, lockTimeoutMs: 500, statementTimeoutMs: 1_000 } as const;

vi.setConfig({ maxConcurrency: 24 });

let server: PostgresServer;
let superuser: pg.Client;

beforeAll(async () => {
  server = await startPostgres({ maxConnections: 200 });
  superuser = await server.client();
});

afterAll(async () => {
  await superuser.end();
  await server.stop();
});

/** A secret that was rotated once. */
async function begun({ rotator, target }: Subject, options: NetworkOptions = {}): Promise<NetworkWorld> {
  const policy = { stepDeadlineMs, attemptsMax: 100, ...options.policy };
  const world = await openNetwork(rotator, target, { limits, ...options, policy });
  await world.ask("rotate");
  await world.settle();
  return world;
}

/** Fails the network at the first try of each step that is named, and notes in which order all of them come. */
class Striker {
  readonly struck: Strike[] = [];
  readonly course: Step[] = [];
  readonly #subject: Subject;
  readonly #world: NetworkWorld;

  constructor(subject: Subject, world: NetworkWorld) {
    this.#subject = subject;
    this.#world = world;
  }

  at(steps: readonly Step[], how: { readonly outage: Outage; readonly message: number }): Trace {
    return async (underWay, carryOut) => {
      const { step } = underWay;
      if (this.course.at(-1) !== step) this.course.push(step);
      if (!steps.includes(step) || this.struck.some((one) => one.step === step)) return carryOut();
      const one = await strike(superuser, this.#subject, this.#world, how, underWay, carryOut);
      this.struck.push(one);
      return one.outcome;
    };
  }
}

const atRest = { state: { phase: "idle" }, debts: [] } as const;
const cases = Object.entries(subjects).flatMap(([name, arrange]) =>
  outages.flatMap((outage) =>
    [
      { when: "before each step", message: 0 },
      { when: "at the first message of each step", message: 1 },
    ].map((how) => ({ name, arrange, outage, ...how })),
  ),
);

test.concurrent.for(cases)(
  "$name: the network is $outage $when",
  async ({ arrange, outage, message }, { expect }) => {
    const subject = await arrange(server);
    await using world = await begun(subject);
    const striker = new Striker(subject, world);

    await world.ask("rotate");
    const steps = ["create", "set", "test", "retire"] as const;
    expect(await world.settle(striker.at(steps, { outage, message }))).toMatchObject(atRest);
    expect(striker.course).toEqual(["create", "set", "test", "finish", "announce", "retire"]);

    const kept = await world.current();
    const undoing = striker.at(["undo"], { outage, message });
    await world.ask("rotate");
    const undone = await world.settle(async (step, carryOut) => {
      if (step.step === "test") await world.ask("cancel");
      return undoing(step, carryOut);
    });
    expect(undone).toMatchObject(atRest);
    expect((await world.current())?.reveal() === kept?.reveal()).toBe(true);

    expect(striker.struck.map(({ step }) => step)).toEqual([...steps, "undo"]);
    for (const one of striker.struck) {
      const at = one.at ?? expect.fail("the network did not fail");
      // The session is one for all of these: it was open, and what it said of the step was lost.
      const kept = at.connection === 0 && at.message > loginMessages;
      if (message > 0) expect({ ...one, kept }).toMatchObject({ kept: ["set", "undo"].includes(one.step) });
      const comesTo = outage === "slow" ? endings[one.step] : codeOf(at);
      expect([one.step, resultOf(one)]).toEqual([one.step, comesTo]);
      expect(one).toMatchObject({ locks: [], loggedIn: true });
      expect(one.tookMs).toBeLessThan(stepDeadlineMs);
    }
    expect(await sessionsLeft(superuser, subject, silenceMaxMs(limits))).toEqual([]);
    expect(await locksLeft(superuser, subject)).toEqual([]);
    expect(await world.someLogsIn()).toBe(true);
  },
);

test.for(Object.entries(subjects))(
  "%s: a step whose answers all come in time, and which itself does not, is given up at its deadline",
  async ([, arrange], { expect }) => {
    const deadlineMs = 1_000;
    const subject = await arrange(server);
    await using world = await begun(subject, { policy: { stepDeadlineMs: deadlineMs } });
    const striker = new Striker(subject, world);
    await world.ask("rotate");
    const how = { outage: "slow", message: loginMessages } as const;
    expect(await world.settle(striker.at(["create", "retire"], how))).toMatchObject(atRest);
    for (const { step, outcome, tookMs, locks } of striker.struck) {
      const message = `${step} did not end within ${deadlineMs} ms`;
      expect({ outcome, locks }).toMatchObject({ outcome: { code: "timeout", message }, locks: [] });
      expect(tookMs).toBeLessThan(deadlineMs + 1_000);
    }
    expect(striker.struck.map(({ step }) => step)).toEqual(["create", "retire"]);
    expect(await sessionsLeft(superuser, subject, silenceMaxMs(limits))).toEqual([]);
    expect(await locksLeft(superuser, subject)).toEqual([]);
    expect(await world.someLogsIn()).toBe(true);
  },
);

test.concurrent.for(Object.entries(subjects))(
  "%s: a change that waits for somebody's lock when the network dies gives up, and leaves no lock",
  async ([, arrange], { expect }) => {
    const subject = await arrange(server);
    await using world = await begun(subject);
    await world.ask("rotate");
    expect(await world.step((_, carryOut) => carryOut())).toBe("create");
    const other = await server.client();
    await other.query("BEGIN");
    await other.query(`COMMENT ON ROLE ${identifier(subject.marker)} IS 'somebody is at it'`);
    const striker = new Striker(subject, world);
    const how = { outage: "half-open", message: loginMessages + 1 } as const;
    expect(await world.step(striker.at(["set"], how))).toBe("set");
    expect(striker.struck).toMatchObject([{ outcome: { code: "unreachable" }, locks: [], loggedIn: true }]);
    await other.query("ROLLBACK");
    await other.end();
    expect(await world.settle()).toMatchObject(atRest);
    expect(await sessionsLeft(superuser, subject, silenceMaxMs(limits))).toEqual([]);
    expect(await locksLeft(superuser, subject)).toEqual([]);
    expect(await world.someLogsIn()).toBe(true);
  },
);

test.for(Object.entries(subjects))(
  "%s: the administering session is not ended for its silence while a slow login proves something",
  async ([, arrange], { expect }) => {
    const subject = await arrange(server);
    // Three of the longest statements are over before the login is.
    const patient = { ...limits, connectTimeoutMs: 10_000, statementTimeoutMs: 400 };
    await using world = await begun(subject, { limits: patient, policy: { stepDeadlineMs: 30_000 } });
    const striker = new Striker(subject, world);
    await world.ask("rotate");
    for (const step of ["create", "set"]) expect(await world.step((_, carryOut) => carryOut())).toBe(step);
    await world.ask("cancel");
    const before = world.proxy.connections();
    const slow = striker.at(["undo"], { outage: "slow", message: 0 });
    expect(await world.settle(slow)).toMatchObject(atRest);
    expect(striker.struck.map(resultOf)).toEqual(["done"]);
    // One for the administering login, and one for each login that proves something.
    const proofs = subject.rotator.overlap === "cutover" ? 2 : 1;
    expect(world.proxy.connections() - before).toBe(1 + proofs);
  },
);
