import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ManagedSecret, Ports } from "../core/ports.ts";
import { type ReconcileOptions, reconcile } from "../core/reconcile.ts";
import type { Rotator } from "../core/rotator.ts";
import type { Secret } from "../core/secret.ts";
import { rotator as alternating } from "../rotators/postgres-alternating.ts";
import { rotator as password } from "../rotators/postgres-password.ts";
import type { Target } from "../rotators/steps.contract.ts";
import { type NetworkWorld, openNetwork, ref, settle } from "./network-world.ts";
import { type PostgresServer, startPostgres } from "./postgres-server.ts";
import { createPasswordTarget, createTarget } from "./postgres-target.ts";

/** Days on which a server takes a login and then refuses the next one, its rules are changed under a rotation, or the clocks are wrong. */
type Trace = NonNullable<ReconcileOptions["trace"]>;

interface Subject {
  readonly rotator: Rotator;
  readonly target: Target & { readonly administrator: { readonly username: string } };
  /** The roles that agents log in as. */
  readonly logins: readonly string[];
}

const types: Readonly<Record<string, () => Promise<Subject>>> = {
  "two logins that take turns": async () => {
    const target = await createTarget(server);
    return { rotator: alternating, target, logins: target.slots };
  },
  "one role with one password": async () => {
    const target = await createPasswordTarget(server);
    return { rotator: password, target, logins: [target.username] };
  },
};

let server: PostgresServer;
let superuser: pg.Client;
let rules = "";

beforeAll(async () => {
  server = await startPostgres({ maxConnections: 24 });
  superuser = await server.client();
  rules = await readFile(join(server.dataDirectory, "pg_hba.conf"), "utf8");
});

afterAll(async () => {
  await superuser.end();
  await server.stop();
});

/** Rules that come before those that there are, in force when it returns. */
async function rule(...lines: readonly string[]): Promise<void> {
  await writeFile(join(server.dataDirectory, "pg_hba.conf"), `${lines.join("\n")}\n${rules}`);
  await superuser.query("SELECT pg_reload_conf()");
  // New sessions get them once the server has read them, which it does when it has a moment.
  const wanted = lines.length + rules.trim().split("\n").length;
  await expect
    .poll(async () => {
      const fresh = await server.client();
      const { rows } = await fresh.query("SELECT count(*)::int AS count FROM pg_hba_file_rules");
      await fresh.end();
      return rows[0]?.count;
    })
    .toBe(wanted);
}

/** A secret that was rotated once, and what its rotations came to since then. */
async function begun(subject: Subject, options: Parameters<typeof openNetwork>[2] = {}) {
  const world = await openNetwork(subject.rotator, subject.target, options);
  await world.ask("rotate");
  await world.settle();
  const outcomes: string[] = [];
  const note: Trace = async (step, carryOut) => {
    const outcome = await carryOut();
    outcomes.push(`${step.step} ${outcome.result === "failed" ? outcome.code : outcome.result}`);
    return outcome;
  };
  return { world, outcomes, note };
}

async function expectWell(world: NetworkWorld, target: Target): Promise<void> {
  const { record } = (await world.ports.journal.load(ref)) ?? {};
  expect(record).toMatchObject({ state: { phase: "idle" }, debts: [] });
  expect(await logsIn(target, await world.current())).toBe(true);
}

async function logsIn(target: Target, value: Secret | undefined): Promise<boolean> {
  const session = value && (await target.open(value).catch(() => undefined));
  await session?.close();
  return session !== undefined;
}

describe.each(Object.entries(types))("%s", (_name, arrange) => {
  test("the server's connections are used up, and then the administering login's own", async () => {
    const subject = await arrange();
    const { world, outcomes, note } = await begun(subject);
    await using _ = world;
    const crowd: pg.Client[] = [];
    await superuser.query("DROP ROLE IF EXISTS crowd; CREATE ROLE crowd LOGIN PASSWORD 'crowd'");
    const login = { username: "crowd", password: "crowd" };
    for (;;) {
      const one = await server.client(login).catch(() => undefined);
      if (one === undefined) break;
      crowd.push(one);
    }
    const admin = `"${subject.target.administrator.username}"`;
    await world.ask("rotate");
    await world.settle(async (step, carryOut) => {
      const retires = step.step === "retire" && !outcomes.includes("retire target-busy");
      if (retires) {
        await superuser.query(`ALTER ROLE ${admin} CONNECTION LIMIT 0`);
        await superuser.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", [
          subject.target.administrator.username,
        ]);
      }
      const outcome = await note(step, carryOut);
      if (retires) await superuser.query(`ALTER ROLE ${admin} CONNECTION LIMIT -1`);
      for (const one of crowd.splice(0)) await one.end();
      return outcome;
    });
    expect(outcomes[0]).toBe("create target-busy");
    expect(outcomes).toEqual(expect.arrayContaining(["create saved", "retire refused"]));
    expect(outcomes.some((one) => /^retire (target-busy|unreachable)$/.test(one))).toBe(true);
    await expectWell(world, subject.target);
  });

  test.each([
    ["reject", "login-refused"],
    ["trust", "not-authenticated"],
  ])("a rule says %s after the set: nothing is published that is not proven", async (method, code) => {
    const subject = await arrange();
    const { world, outcomes, note } = await begun(subject);
    await using _ = world;
    const before = await world.current();
    let candidate: Secret | undefined;
    await world.ask("rotate");
    await world.settle(async (step, carryOut) => {
      if (step.step === "test") {
        candidate = (await world.ports.store.read(ref, "pending"))?.value;
        await rule(...subject.logins.map((login) => `hostssl all ${login} 127.0.0.1/32 ${method}`));
      }
      const outcome = await note(step, carryOut);
      if (step.step === "undo") await rule();
      return outcome;
    });
    expect(outcomes).toContain(`test ${code}`);
    expect((await world.current())?.reveal() === before?.reveal()).toBe(true);
    expect(await logsIn(subject.target, candidate)).toBe(false);
    await expectWell(world, subject.target);
    await world.ask("rotate");
    await world.settle();
    await expectWell(world, subject.target);
  });

  test("a rule shuts out the administering login before the retire: it is tried until it may again", async () => {
    const subject = await arrange();
    const { world, outcomes, note } = await begun(subject);
    await using _ = world;
    const { username } = subject.target.administrator;
    await world.ask("rotate");
    await world.settle(async (step, carryOut) => {
      if (step.step === "retire" && !outcomes.some((one) => one.startsWith("retire"))) {
        await rule(`hostssl all ${username} 127.0.0.1/32 reject`);
        await superuser.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", [
          username,
        ]);
      }
      const outcome = await note(step, carryOut);
      if (outcome.result === "failed" && outcome.code === "admin-refused") await rule();
      return outcome;
    });
    expect(outcomes).toContain("retire admin-refused");
    await expectWell(world, subject.target);
  });

  test("a second installation leaves the first one's role alone", async () => {
    const subject = await arrange();
    const { world } = await begun(subject);
    await using _ = world;
    const before = await world.current();
    await using second = await openNetwork(subject.rotator, subject.target, { installation: "second" });
    const outcomes: string[] = [];
    await second.ask("rotate");
    await second.settle(async (_step, carryOut) => {
      const outcome = await carryOut();
      outcomes.push(outcome.result === "failed" ? outcome.code : outcome.result);
      return outcome;
    });
    expect(outcomes[0]).toBe("not-managed");
    expect(await second.current()).toBeUndefined();
    expect((await world.current())?.reveal() === before?.reveal()).toBe(true);
    await expectWell(world, subject.target);
    await world.ask("rotate");
    await world.settle();
    await expectWell(world, subject.target);
  });

  test("two workers whose clocks are two hours apart, and then the slower one alone", async () => {
    const subject = await arrange();
    const { world } = await begun(subject);
    await using _ = world;
    const [ahead, behind] = [shifted(world.ports, hourMs), shifted(world.ports, -hourMs)];
    const old = await world.current();
    await world.ask("rotate");
    for (let turn = 0; turn < 100 && (await phaseOf(world)) !== "idle"; turn += 1) {
      // Each takes the other for gone, so that no lease keeps them apart.
      for (const [worker, ports] of Object.entries({ behind, ahead })) {
        await reconcile(ref, ports, { worker, isGone: () => true });
        await world.ports.clock.sleep(20);
      }
    }
    await expectWell(world, subject.target);
    expect(await logsIn(subject.target, old)).toBe(false);
    await world.ask("rotate");
    await settle(behind);
    await expectWell(world, subject.target);
  });

  test("the clock jumps an hour ahead in grace, and back: whoever is connected with the old value is not cut off", async () => {
    const subject = await arrange();
    const grace = { graceAtLeastMs: 60_000, graceAtMostMs: 120_000 };
    const { world } = await begun(subject);
    await using _ = world;
    const old = await world.current();
    const agent = old && (await subject.target.open(old));
    const patient = withPolicy(world.ports, grace);
    await world.ask("rotate");
    await reconcileTimes(patient, 1);
    expect(await phaseOf(world)).toBe("grace");
    for (const offMs of [hourMs, -hourMs, hourMs]) {
      await reconcileTimes(shifted(patient, offMs), 2);
      expect(await agent?.works()).toBe(true);
      expect(await logsIn(subject.target, await world.current())).toBe(true);
    }
    expect(await phaseOf(world)).toBe("retire");
    await agent?.close();
    await settle(shifted(patient, hourMs));
    await expectWell(world, subject.target);
    expect(await logsIn(subject.target, old)).toBe(false);
  });
});

const hourMs = 3_600_000;

/** The same stores, seen by somebody whose clock is that far off. */
function shifted(ports: Ports, offMs: number): Ports {
  return { ...ports, clock: { ...ports.clock, now: () => ports.clock.now() + offMs } };
}

function withPolicy(ports: Ports, changes: Partial<ManagedSecret["policy"]>): Ports {
  const get = (name: string) => {
    const managed = ports.secrets.get(name);
    return managed && { ...managed, policy: { ...managed.policy, ...changes } };
  };
  return { ...ports, secrets: { ...ports.secrets, get } };
}

async function reconcileTimes(ports: Ports, times: number): Promise<void> {
  for (let turn = 0; turn < times; turn += 1) {
    await reconcile(ref, ports, { worker: "tester" });
    await ports.clock.sleep(250);
  }
}

async function phaseOf(world: NetworkWorld): Promise<string | undefined> {
  return (await world.ports.journal.load(ref))?.record.state.phase;
}
