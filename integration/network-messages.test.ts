import type pg from "pg";
import { afterAll, beforeAll, test, vi } from "vitest";
import type { RotationRecord, State } from "../core/record.ts";
import type { Secret } from "../core/secret.ts";
import {
  codeOf,
  deadlineFor,
  endings,
  limitsFor,
  loginMessages,
  type Step,
  type Strike,
  silenceMaxMs,
  strike,
} from "./network-strike.ts";
import { locksLeft, type Subject, sessionsLeft, subjects } from "./network-subjects.ts";
import { type NetworkWorld, openNetwork } from "./network-world.ts";
import { type PostgresServer, startPostgres } from "./postgres-server.ts";
import { type Outage, outages } from "./tcp-proxy.ts";

/**
 * Each step that speaks with a real PostgreSQL is tried again and again: over a network that has failed before it begins, then over one that fails
 * at the first message of the step, at the second, and so on to the farewell. Each time the step ends within its deadline and says why, nothing
 * has moved, nothing is locked, and somebody can log in. Then the rotation comes to its end by itself.
 */
const steps = ["create", "set", "test", "undo", "confirm", "retire"] as const;

/** In which state the record is when each of them comes. Every step has a run of its own, and so begins by connecting. */
const phases = {
  create: ["create"],
  set: ["set"],
  test: ["test"],
  undo: ["test"],
  confirm: ["grace"],
  retire: ["grace", "retire"],
} as const satisfies Record<(typeof steps)[number], readonly State["phase"][]>;

/** How long the server keeps somebody waiting who does not log in. */
const loginMaxMs = 2_000;
/** How often a step is tried until it comes to the message in question, on a machine with much else to do. */
const triesMax = 20;

vi.setConfig({ maxConcurrency: 24, testTimeout: 120_000 });

let server: PostgresServer;
let superuser: pg.Client;

beforeAll(async () => {
  const settings = { authentication_timeout: `${loginMaxMs}ms` };
  server = await startPostgres({ maxConnections: 400, settings });
  superuser = await server.client();
});

afterAll(async () => {
  await superuser.end();
  await server.stop();
});

function open({ rotator, target }: Subject, outage: Outage, step: Step): Promise<NetworkWorld> {
  const long = { graceAtLeastMs: 60_000, graceAtMostMs: 60_000, confirmEveryMs: 20 };
  const policy = {
    stepDeadlineMs: deadlineFor(outage),
    attemptsMax: 1_000,
    ...(step === "confirm" ? long : {}),
  };
  return openNetwork(rotator, target, { policy, limits: limitsFor(outage) });
}

/** A second rotation comes to that step; gives the value of the first. */
async function arrive(world: NetworkWorld, step: (typeof steps)[number]): Promise<Secret | undefined> {
  await world.ask("rotate");
  await world.settle();
  const first = await world.current();
  await world.ask("rotate");
  const comesTo: readonly State["phase"][] = phases[step];
  while (!comesTo.includes((await world.record()).state.phase)) {
    await world.step((_, carryOut) => carryOut());
  }
  if (step === "undo") await world.ask("cancel");
  return first;
}

/** Tries the next step until the network has failed at that message of it; with whether it has come to anything but another try. */
async function meet(subject: Subject, world: NetworkWorld, outage: Outage, message: number): Promise<Met> {
  for (let tries = 1; ; tries++) {
    const met = await tryStep(subject, world, outage, message);
    if (met.at !== undefined || met.outcome.result !== "failed" || tries === triesMax) return met;
  }
}

interface Met extends Strike {
  readonly moved: boolean;
}

async function tryStep(subject: Subject, world: NetworkWorld, outage: Outage, message: number): Promise<Met> {
  let before: RotationRecord | undefined;
  let struck: Strike | undefined;
  await world.step(async (underWay, carryOut) => {
    before = underWay.record;
    struck = await strike(superuser, subject, world, { outage, message }, underWay, carryOut);
    return struck.outcome;
  });
  if (struck === undefined || before === undefined) throw new Error("there was nothing left to be done");
  return { ...struck, moved: courseOf(before) !== courseOf(await world.record()) };
}

function courseOf({ state, epoch, current, debts, compromised, wish }: RotationRecord): string {
  const rotation = "rotation" in state ? state.rotation : undefined;
  const refusals = "refusals" in state ? state.refusals : undefined;
  const owed = debts.map(({ version, fingerprint, reason }) => ({ version, fingerprint, reason }));
  return JSON.stringify([state.phase, rotation, refusals, epoch, current, owed, compromised, wish]);
}

/** The first is who does the work, and every other one proves something: that a value is refused, or accepted again. */
function connectionsOf({ rotator }: Subject, step: Step): readonly number[] {
  if (step === "undo" && rotator.overlap === "cutover") return [1, 2, 3];
  return step === "undo" || step === "retire" ? [1, 2] : [1];
}

const cases = Object.entries(subjects).flatMap(([name, arrange]) =>
  outages.flatMap((outage) => steps.map((step) => ({ name, arrange, outage, step }))),
);

test.concurrent.for(cases)(
  "$name: the network is $outage at each message of $step",
  async ({ arrange, outage, step }, { expect }) => {
    const subject = await arrange(server);
    await using world = await open(subject, outage, step);
    const first = await arrive(world, step);
    const candidate = await world.pending();

    const strikes: Met[] = [];
    do strikes.push(await meet(subject, world, outage, strikes.length));
    while (strikes.at(-1)?.outcome.result === "failed");

    // The farewell is lost on nobody, and what is merely slow is let through at once.
    const last = strikes.pop();
    expect(last).toMatchObject({ step, outcome: { result: endings[step] }, locks: [], loggedIn: true });
    expect(last?.tookMs).toBeLessThan(deadlineFor(outage));
    for (const { at, tookMs, ...struck } of strikes) {
      const code = codeOf(at ?? expect.fail("the network did not fail"));
      expect({ at, ...struck }).toMatchObject({
        step,
        outcome: { code },
        moved: false,
        locks: [],
        loggedIn: true,
      });
      expect(tookMs).toBeLessThan(deadlineFor(outage));
    }
    if (outage !== "slow") {
      const places = strikes.map(({ at }) => `${at?.connection}:${at?.message}`);
      const logins = connectionsOf(subject, step).flatMap((connection) =>
        Array.from({ length: loginMessages }, (_, index) => `${connection}:${index + 1}`),
      );
      expect(places).toEqual(expect.arrayContaining(["0:0", ...logins, `1:${loginMessages + 1}`]));
    }

    if (step === "confirm") await world.ask("retire");
    expect(await world.settle()).toMatchObject({ state: { phase: "idle" }, debts: [] });
    // What is late arrives before the end of its session, and a session that nobody speaks for any more is ended by the server.
    expect(await sessionsLeft(superuser, subject, silenceMaxMs(limitsFor(outage)))).toEqual([]);
    expect(await locksLeft(superuser, subject)).toEqual([]);
    const current = await world.current();
    expect(same(current, first)).toBe(step === "undo");
    for (const value of [first, candidate, current]) {
      if (value !== undefined) expect(await logsIn(subject, value)).toBe(same(value, current));
    }
  },
);

test.concurrent.for(Object.entries(subjects))(
  "%s: finish and announce need no way to the target",
  async ([, arrange], { expect }) => {
    const subject = await arrange(server);
    await using world = await open(subject, "refused", "test");
    await arrive(world, "test");
    expect(await world.step((_, carryOut) => carryOut())).toBe("test");
    await world.proxy.fail("refused");
    const { connections } = world.proxy;
    const before = connections();
    expect(await world.step((_, carryOut) => carryOut())).toBe("finish");
    expect(await world.step((_, carryOut) => carryOut())).toBe("announce");
    expect(connections()).toBe(before);
    await world.proxy.heal();
    expect(await world.settle()).toMatchObject({ state: { phase: "idle" }, debts: [] });
  },
);

test("nothing of all that is left at the server, not even somebody who has not logged in", async ({
  expect,
}) => {
  const others = async () => {
    const { rows } = await superuser.query(
      `SELECT usename, application_name, state, query FROM pg_stat_activity
       WHERE backend_type = 'client backend' AND usename IS DISTINCT FROM session_user`,
    );
    return rows;
  };
  await expect.poll(others, { timeout: loginMaxMs + 5_000 }).toEqual([]);
});

function same(one: Secret | undefined, other: Secret | undefined): boolean {
  return one?.reveal() === other?.reveal();
}

async function logsIn({ target }: Subject, value: Secret): Promise<boolean> {
  const session = await target.open(value).catch(() => undefined);
  await session?.close();
  return session !== undefined;
}
