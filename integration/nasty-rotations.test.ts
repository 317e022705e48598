import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adopt } from "../core/adopt.ts";
import { asKeyturnError, type ErrorCode } from "../core/errors.ts";
import { storeValue } from "../core/operate.ts";
import type { State } from "../core/record.ts";
import type { Rotator } from "../core/rotator.ts";
import { Secret } from "../core/secret.ts";
import { identifier, literal, markerOf, slotsOf } from "../rotators/postgres/names.ts";
import { rotator as alternating } from "../rotators/postgres-alternating.ts";
import { rotator as password } from "../rotators/postgres-password.ts";
import nasty from "./fixtures/nasty-values.json" with { type: "json" };
import { type NetworkWorld, openNetwork, ref } from "./network-world.ts";
import { type PostgresServer, startPostgres } from "./postgres-server.ts";
import {
  createPasswordTarget,
  createTarget,
  type PasswordTarget,
  type PostgresTarget,
} from "./postgres-target.ts";

/**
 * Each name and each password of the list goes through whole rotations on a real server, exactly as it stands there: one that is taken back, one
 * there and back, and one to the end. Or it is refused before anything has changed; which of the two is written here.
 */
interface Odd {
  readonly name: string;
  readonly value: string;
  readonly mustBe: string;
}

const names: readonly Odd[] = nasty.usernames;
const passwords: readonly Odd[] = nasty.passwords;
const isRefused = ({ mustBe }: Odd) => mustBe.startsWith("refused");

interface Type {
  readonly rotator: Rotator;
  /** The field of the configuration that has the name. */
  readonly field: "owner" | "username";
  create(server: PostgresServer, name?: string): Promise<Place>;
  /** The roles that Keyturn makes of a name. */
  roles(name: string): readonly string[];
  /** SQL for the fleet's login of that name, as it is before anybody rotates it. */
  login(name: string, admin: string, password: string): string;
  /** Why the import of a login with such a password is refused; undefined: it is not. */
  refuses(odd: Odd): ErrorCode | undefined;
}

interface Place {
  readonly target: PostgresTarget | PasswordTarget;
  readonly name: string;
}

const types: readonly Type[] = [
  {
    rotator: alternating,
    field: "owner",
    create: async (server, owner) => {
      const target = await createTarget(server, owner === undefined ? {} : { owner });
      return { target, name: target.owner };
    },
    roles: (name) => [...slotsOf(name), markerOf(name)],
    login: (name, _, chosen) => `ALTER ROLE ${identifier(name)} LOGIN PASSWORD ${literal(chosen)}`,
    // A login that is imported keeps its password, whatever it is, as long as it logs in with it.
    refuses: ({ name, value }) => {
      if (value === "") return "credential-invalid";
      return ["like an md5 hash", "like a SCRAM verifier", "NUL"].includes(name)
        ? "login-refused"
        : undefined;
    },
  },
  {
    rotator: password,
    field: "username",
    create: async (server, username) => {
      const target = await createPasswordTarget(server, username === undefined ? {} : { username });
      return { target, name: target.username };
    },
    roles: (name) => [name, markerOf(name)],
    login: (name, admin, chosen) => `CREATE ROLE ${identifier(name)} LOGIN PASSWORD ${literal(chosen)};
      GRANT ${identifier(name)} TO ${identifier(admin)} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE`,
    // What an undo could not set back is not taken on.
    refuses: (odd) => (isRefused(odd) ? "credential-invalid" : undefined),
  },
];

/** Enough for a machine with much else to do: it is not time that is tried here. */
const limits = { connectTimeoutMs: 10_000, lockTimeoutMs: 2_000, statementTimeoutMs: 10_000 } as const;
const policy = { stepDeadlineMs: 30_000, graceAtLeastMs: 600_000, graceAtMostMs: 600_000 } as const;
const atRest = { state: { phase: "idle" }, debts: [] } as const;

async function until(world: NetworkWorld, phase: State["phase"]): Promise<void> {
  while ((await world.record()).state.phase !== phase) {
    const taken = await world.step((_, carryOut) => carryOut());
    if (taken === undefined) throw new Error(`it rests before it comes to ${phase}`);
  }
}

interface Course {
  readonly world: NetworkWorld;
  logsIn(value: Secret | undefined): Promise<boolean>;
}

async function toTheEnd({ world }: Course): Promise<void> {
  await world.ask("rotate");
  await until(world, "grace");
  await world.ask("retire");
  expect(await world.settle()).toMatchObject(atRest);
}

/** A rotation that is cancelled, one that is rolled back, and one to its end. */
async function everyWay(course: Course): Promise<void> {
  const { world, logsIn } = course;
  const first = await world.current();
  await world.ask("rotate");
  await until(world, "test");
  await world.ask("cancel");
  expect(await world.settle()).toMatchObject(atRest);
  expect([(await world.current())?.reveal(), await logsIn(first)]).toEqual([first?.reveal(), true]);

  const second = await rollBack(course);
  await world.ask("retire");
  expect(await world.settle()).toMatchObject(atRest);
  expect((await world.current())?.reveal()).toBe(first?.reveal());
  expect([await logsIn(first), await logsIn(second)]).toEqual([true, false]);

  await toTheEnd(course);
  expect([await logsIn(first), await logsIn(second)]).toEqual([false, false]);
  expect(await logsIn(await world.current())).toBe(true);
}

/** A rotation that has come to its grace, and the way back from there; gives the value that was current in between. */
async function rollBack({ world, logsIn }: Course): Promise<Secret | undefined> {
  await world.ask("rotate");
  await until(world, "grace");
  const second = await world.current();
  expect(await logsIn(second)).toBe(true);
  await world.ask("rollback");
  await until(world, "grace");
  return second;
}

describe.each(types)("$rotator.type", (type) => {
  const { rotator, field } = type;
  let server: PostgresServer;
  let superuser: pg.Client;

  // One of its own for each type: a name is there only once.
  beforeAll(async () => {
    server = await startPostgres({ maxConnections: 60 });
    superuser = await server.client();
  });

  afterAll(async () => {
    await superuser.end();
    await server.stop();
  });

  async function begin(name?: string): Promise<Place & Course> {
    const place = await type.create(server, name);
    return at(place, await openNetwork(rotator, place.target, { limits, policy }));
  }

  function at(place: Place, world: NetworkWorld): Place & Course {
    const logsIn = async (value: Secret | undefined) => {
      const session = value && (await place.target.open(value).catch(() => undefined));
      await session?.close();
      return session !== undefined;
    };
    return { ...place, world, logsIn };
  }

  async function everybody(): Promise<readonly { name: string }[]> {
    const { rows } = await superuser.query(
      `SELECT rolname AS name, rolcanlogin, rolconnlimit, md5(rolpassword) AS password,
         shobj_description(oid, 'pg_authid') AS comment FROM pg_authid ORDER BY 1`,
    );
    return rows;
  }

  const kept = names.filter((odd) => !isRefused(odd));
  test.each(kept)("a name is rotated as it is: $name", async ({ value: name }) => {
    const course = await begin(name);
    await using world = course.world;
    const before = await everybody();
    await world.ask("rotate");
    expect(await world.settle()).toMatchObject(atRest);
    await everyWay(course);

    const current = (await world.current()) ?? expect.fail("nothing is current");
    const agent = await course.target.client(current);
    const { rows } = await agent.query("SELECT session_user AS login, current_user AS acting");
    await agent.end();
    expect(rows).toEqual([{ login: JSON.parse(current.reveal()).username, acting: name }]);
    const made = (await everybody()).filter((one) => !before.some((other) => other.name === one.name));
    expect(made.map((one) => one.name).sort()).toEqual([...type.roles(name)].sort());
  });

  test.each(names.filter(isRefused))("a name is refused: $name", async ({ value: name }) => {
    const { target } = await type.create(server);
    const config = { ...target.config, [field]: name };
    const there = { ...target, withPort: (port: number) => ({ ...config, port }) };
    await using world = await openNetwork(rotator, there, { limits, policy });
    const before = await everybody();
    const refusal = { code: "config-invalid", message: expect.stringContaining(`${field}: `) };
    expect(() => rotator.checkConfig(config)).toThrow(expect.objectContaining(refusal));
    await expect(world.ask("rotate")).rejects.toMatchObject(refusal);
    expect(await everybody()).toEqual(before);
    expect(await world.ports.journal.load(ref)).toBeUndefined();
  });

  test.each(passwords)("the password of a login that is imported: $name", async (odd) => {
    const course = await begin();
    await using world = course.world;
    const { name, target } = course;
    // The server is told it in clear, and makes of it what it will. What cannot be said to it is nobody's password.
    const said = odd.value.includes("\0") ? "another" : odd.value;
    await superuser.query(type.login(name, target.administrator.username, said));
    const value = new Secret(JSON.stringify({ username: name, password: odd.value }));
    const before = await everybody();
    const code = type.refuses(odd);
    if (code === undefined) {
      await adopt(ref, world.ports, value, "tester");
      expect(await course.logsIn(value)).toBe(true);
      await everyWay(course);
      return;
    }
    const refused = await adopt(ref, world.ports, value, "tester").catch(asKeyturnError);
    expect(refused).toMatchObject({ code, message: expect.stringMatching(/password/) });
    expect(odd.value.length > 3 && String(Reflect.get(refused, "message")).includes(odd.value)).toBe(false);
    expect(await everybody()).toEqual(before);
    expect(await world.current()).toBeUndefined();
    expect(await world.pending()).toBeUndefined();
    expect(await world.ports.journal.load(ref)).toBeUndefined();
  });

  const settable = passwords.filter(({ value }) => value !== "" && !value.includes("\0"));
  test.each(settable)("a password that somebody has set and stored by hand: $name", async (odd) => {
    const course = await begin();
    await using world = course.world;
    await world.ask("rotate");
    await world.settle();
    const fields = JSON.parse((await world.current())?.reveal() ?? "");
    await superuser.query(`ALTER ROLE ${identifier(fields.username)} PASSWORD ${literal(odd.value)}`);
    const value = new Secret(JSON.stringify({ ...fields, password: odd.value }));
    await storeValue(ref, world.ports, value, {});
    if (!isRefused(odd)) return void (await everyWay(course));
    if (rotator.overlap === "both-live") {
      // The other login takes its place whatever it is, and there is no way back to what clients would not agree on.
      const second = await rollBack(course);
      expect((await world.current())?.reveal()).toBe(second?.reveal());
      expect(await course.logsIn(second)).toBe(true);
      const audit = await Array.fromAsync(
        world.ports.audit.read(ref),
        ({ action, detail }) => `${action} ${detail}`,
      );
      expect(audit).toContainEqual(expect.stringMatching(/^undo.began credential-invalid: password: /));
      return;
    }
    const before = await everybody();
    const came: unknown[] = [];
    await world.ask("rotate");
    const ended = await world.settle(async (_, carryOut) => {
      const outcome = await carryOut();
      came.push(outcome);
      return outcome;
    });
    expect(came).toMatchObject([
      {
        step: "create",
        code: "credential-invalid",
        message: expect.stringMatching(/^the stored password: /),
      },
      { step: "undo", result: "done" },
    ]);
    expect(ended).toMatchObject(atRest);
    expect(await everybody()).toEqual(before);
    expect((await world.current())?.reveal()).toBe(value.reveal());
  });
});
