import type pg from "pg";
import { afterAll, beforeAll, test } from "vitest";
import type { Outcome } from "../core/outcome.ts";
import type { ReconcileOptions } from "../core/reconcile.ts";
import { rotator as alternating } from "../rotators/postgres-alternating.ts";
import { rotator as password } from "../rotators/postgres-password.ts";
import { type NetworkWorld, openNetwork, stepDeadlineMs } from "./network-world.ts";
import { type PostgresServer, startPostgres } from "./postgres-server.ts";
import { createPasswordTarget, createTarget } from "./postgres-target.ts";
import { type Outage, outages } from "./tcp-proxy.ts";

/**
 * The network between Keyturn and a real PostgreSQL fails in each step once: the step ends within its deadline and says why, somebody can log
 * in all the while, nothing stays locked, and when the network is back the rotation comes to its end by itself.
 */
const types = {
  "two logins that take turns": () => target(alternating, createTarget(server)),
  "one role with one password": () => target(password, createPasswordTarget(server)),
} as const;

/** What a slow connection's end may take beyond the deadline, on a machine with much else to do. */
const slackMs = 4_000;
let server: PostgresServer;

beforeAll(async () => {
  server = await startPostgres({ maxConnections: 200 });
});

afterAll(async () => {
  await server.stop();
});

async function target<Made>(rotator: typeof alternating, making: Promise<Made>) {
  return { rotator, ...(await making) };
}

type Trace = NonNullable<ReconcileOptions["trace"]>;

interface Struck {
  readonly step: string;
  readonly outcome: Outcome;
  readonly tookMs: number;
  readonly loggedIn: boolean;
}

/** Fails the network during the first try of each step that is named, and in a retire again when the proof logs in. */
function strike(world: NetworkWorld, outage: Outage, struck: Struck[], steps: readonly string[]): Trace {
  return async ({ step }, carryOut) => {
    const isProof = step === "retire" && struck.some((one) => one.step === "retire");
    const name = isProof ? "proof" : step;
    if (!steps.includes(name) || struck.some((one) => one.step === name)) return carryOut();
    await world.proxy.fail(outage, isProof ? 1 : 0);
    const began = performance.now();
    const outcome = await carryOut();
    const tookMs = performance.now() - began;
    const loggedIn = await world.someLogsIn();
    await world.proxy.heal();
    struck.push({ step: name, outcome, tookMs, loggedIn });
    return outcome;
  };
}

const cases = Object.entries(types).flatMap(([name, arrange]) =>
  outages.map((outage) => ({ name, arrange, outage })),
);

for (const { name, arrange, outage } of cases) {
  test.concurrent(`${name}: the network is ${outage} in each step`, async ({ expect }) => {
    const { rotator, ...target } = await arrange();
    await using world = await openNetwork(rotator, target);
    await world.ask("rotate");
    expect(await world.settle()).toMatchObject({ state: { phase: "idle" }, debts: [] });

    const struck: Struck[] = [];
    const steps = ["create", "set", "test", "retire", "proof"];
    await world.ask("rotate");
    const rotated = await world.settle(strike(world, outage, struck, steps));
    expect(rotated).toMatchObject({ state: { phase: "idle" }, debts: [] });

    const kept = await world.current();
    const undoing = strike(world, outage, struck, ["undo"]);
    await world.ask("rotate");
    const undone = await world.settle(async (step, carryOut) => {
      if (step.step === "test") await world.ask("cancel");
      return undoing(step, carryOut);
    });
    expect(undone).toMatchObject({ state: { phase: "idle" }, debts: [] });
    expect((await world.current())?.reveal() === kept?.reveal()).toBe(true);

    expect(struck.map(({ step }) => step)).toEqual([...steps, "undo"]);
    for (const one of struck) expect(verdictOf(one, outage)).toEqual("as it should be");
    expect(await world.someLogsIn()).toBe(true);
    // What the server still has of us has no lock on anything, and the server's own limit ends it.
    const ours = [target.administrator.username, ...("slots" in target ? target.slots : [target.username])];
    await expect.poll(() => locksOf(target.superuser, ours), { timeout: 10_000 }).toEqual([]);
    await expect
      .poll(() => sessionsOf(target.superuser, target.administrator.username), { timeout: 15_000 })
      .toEqual([]);
  });
}

function verdictOf({ step, outcome, tookMs, loggedIn }: Struck, outage: Outage): string {
  const code = outcome.result === "failed" ? outcome.code : outcome.result;
  const known = ["unreachable", "timeout"];
  // A proof that could not be asked for is none, whatever kept it from being asked.
  if (step === "proof" || step === "undo") known.push("not-proven");
  // A slow network may be fast enough.
  if (outage === "slow") known.push("saved", "done", "refused");
  if (!known.includes(code)) return `${step} came to ${code}: ${JSON.stringify(outcome)}`;
  if (tookMs > stepDeadlineMs + slackMs) return `${step} took ${tookMs} ms`;
  return loggedIn ? "as it should be" : `nobody could log in during ${step}`;
}

async function locksOf(superuser: pg.Client, logins: readonly string[]): Promise<readonly unknown[]> {
  const { rows } = await superuser.query(
    `SELECT a.usename, l.locktype, l.mode FROM pg_locks l JOIN pg_stat_activity a USING (pid)
     WHERE a.usename = ANY ($1) AND l.locktype <> 'virtualxid'`,
    [logins],
  );
  return rows;
}

async function sessionsOf(superuser: pg.Client, login: string): Promise<readonly unknown[]> {
  const { rows } = await superuser.query(
    "SELECT state, query FROM pg_stat_activity WHERE usename = $1 AND application_name = 'keyturn'",
    [login],
  );
  return rows;
}
