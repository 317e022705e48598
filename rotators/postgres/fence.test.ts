import { randomBytes, randomInt } from "node:crypto";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Secret } from "../../core/secret.ts";
import { type PostgresServer, startPostgres } from "../../integration/postgres-server.ts";
import { createTarget, type PostgresTarget } from "../../integration/postgres-target.ts";
import { rotator } from "../postgres-alternating.ts";
import { Steps } from "../steps.contract.ts";
import type { Session } from "./connection.ts";
import { changeLogin, readFence, type Verb } from "./fence.ts";
import { markerOf } from "./names.ts";
import { scramVerifier } from "./scram.ts";
import { cutLogin } from "./sessions.ts";

let server: PostgresServer;
let target: PostgresTarget;
let steps: Steps;

beforeAll(async () => {
  server = await startPostgres({ maxConnections: 120 });
});

afterAll(async () => {
  await server.stop();
});

beforeEach(async () => {
  target = await createTarget(server);
  steps = new Steps(rotator, target);
});

const code = (expected: string) => expect.objectContaining({ code: expected });

async function commentOf(role: string): Promise<string> {
  const { rows } = await target.superuser.query(
    "SELECT coalesce(shobj_description(oid, 'pg_authid'), '') AS comment FROM pg_roles WHERE rolname = $1",
    [role],
  );
  return rows[0]?.comment;
}

/** A session without any of what the real one takes care of. */
function sessionOf(client: pg.Client): Session {
  return {
    authenticated: true,
    usable: true,
    query: async <Row extends object>(text: string) => (await client.query<Row>(text)).rows,
    close: () => client.end(),
  };
}

/** A single block under the fence, by a worker that does nothing else. */
async function change(client: pg.Client, verb: Verb, epoch: number, value: Secret): Promise<void> {
  const random = { bytes: (length: number) => new Uint8Array(randomBytes(length)) };
  const verifier = await scramVerifier(new Secret(JSON.parse(value.reveal()).password), random);
  const { username } = JSON.parse(value.reveal());
  await steps.run(epoch, value, {}, ({ fence }) =>
    changeLogin(sessionOf(client), { owner: target.owner, username, fence }, { verb, verifier }),
  );
}

test("of 24 racers on two databases the highest epoch that was applied wins, and logs in", async () => {
  await target.superuser.query(`CREATE DATABASE "${target.owner}_db"`);
  // Sessions may be given a stricter isolation than the fence can bear; the administrator's refuse it.
  await target.superuser.query(
    `ALTER DATABASE "${target.owner}_db" SET default_transaction_isolation = 'repeatable read'`,
  );
  for (let round = 0; round < 10; round++) {
    const racers = Array.from({ length: 24 }, (_, index) => ({
      epoch: round * 1_000 + randomInt(1, 999),
      database: index % 2 === 0 ? "postgres" : `${target.owner}_db`,
    }));
    // One that is set twice at one epoch with two values is a conflict; here every epoch is somebody's own.
    const own = racers.filter(
      ({ epoch }, index) => racers.findIndex((other) => other.epoch === epoch) === index,
    );
    const outcomes = await Promise.allSettled(
      own.map(async ({ epoch, database }) => {
        const config = { ...target.config, database, lockTimeoutMs: 10_000 };
        const value = await steps.create(undefined, { config });
        await steps.set(epoch, value, undefined, { config });
        return { epoch, value };
      }),
    );
    const applied = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
    for (const outcome of outcomes) {
      if (outcome.status === "rejected") expect(["superseded", "target-busy"]).toContain(outcome.reason.code);
    }
    const winner = applied.toSorted((one, other) => other.epoch - one.epoch)[0];
    expect(winner?.epoch).toBe(Math.max(...own.map(({ epoch }) => epoch)));
    if (winner === undefined) throw new Error("nobody won");
    expect(await commentOf(target.slots[0])).toContain(`set epoch=${winner.epoch} `);
    await (await target.client(winner.value)).end();
    for (const { value } of applied.filter((each) => each !== winner)) {
      await expect(target.client(value)).rejects.toMatchObject({ code: "28P01" });
    }
  }
});

test("a worker that is frozen in the middle of its set holds nobody up", async () => {
  const lost = await steps.create();
  const frozen = await server.client(target.administrator);
  // What it says reaches the server; what the server answers, it does not hear.
  frozen.connection.stream.pause();
  const waiting = change(frozen, "set", 1, lost);
  await expect.poll(() => commentOf(target.slots[0])).toContain("set epoch=1 ");
  const value = await steps.create();
  const began = performance.now();
  await steps.set(2, value);
  // A lock that was held would have made it fail; the bound is generous, for machines are noisy.
  expect(performance.now() - began).toBeLessThan(3_000);
  frozen.connection.stream.resume();
  await waiting;
  await expect(change(frozen, "set", 1, lost)).rejects.toMatchObject({ code: "KT001" });
  await steps.test(2, value);
  await frozen.end();
});

test("a transaction that sits on the marker makes the target busy, and no longer than the limit", async () => {
  await steps.first();
  const holder = await server.client(target.administrator);
  await holder.query(`BEGIN; COMMENT ON ROLE "${markerOf(target.owner)}" IS NULL`);
  const config = { ...target.config, lockTimeoutMs: 100 };
  await expect(steps.set(2, await steps.create(), undefined, { config })).rejects.toEqual(
    code("target-busy"),
  );
  await holder.end();
});

test("no other login may touch the marker", async () => {
  const agent = await target.client(await steps.first());
  const other = await server.client((await createTarget(server)).administrator);
  for (const client of [agent, other]) {
    await expect(client.query(`COMMENT ON ROLE "${markerOf(target.owner)}" IS NULL`)).rejects.toMatchObject({
      code: "42501",
    });
    await client.end();
  }
});

test("a worker that goes on after it was superseded ends nobody's session", async () => {
  const one = await steps.first();
  const two = await steps.create(one);
  await steps.set(2, two, one);
  const client = await server.client({ ...target.administrator, applicationName: "stale" });
  let frozen = true;
  const takeOver = async () => {
    await steps.retire(4, one);
    const three = await steps.create(two);
    await steps.set(5, three, two);
    return target.client(three);
  };
  let agent: Awaited<ReturnType<typeof takeOver>> | undefined;
  const bare = sessionOf(client);
  const session: Session = {
    ...bare,
    query: async <Row extends object>(text: string) => {
      if (!frozen && agent === undefined) agent = await takeOver();
      frozen = false;
      return bare.query<Row>(text);
    },
  };
  const { epoch, ended } = await steps.run(3, one, {}, async (context) => {
    const login = { owner: target.owner, username: target.slots[0], fence: context.fence };
    const config = {
      ...target.config,
      tls: {},
      statementTimeoutMs: 1_000,
      connectTimeoutMs: 1_000,
      lockTimeoutMs: 500,
    };
    return {
      epoch: context.fence.epoch,
      ended: await cutLogin(session, login, "retire", { ...context, config }),
    };
  });
  expect([epoch, ended]).toEqual([3, 0]);
  expect((await agent?.query("SELECT 1"))?.rowCount).toBe(1);
  await agent?.end();
  await session.close();
});

test("what a set left behind when it died is ended by whoever comes next", async () => {
  const one = await steps.first();
  const owed = await steps.create(one);
  await steps.set(2, owed, one);
  const agent = await target.client(owed);
  const next = await steps.create(one);
  const dying = await server.client(target.administrator);
  await change(dying, "clear", 3, next);
  await dying.end();
  expect((await agent.query("SELECT 1")).rowCount).toBe(1);
  expect((await steps.retire(4, owed)).sessionsEnded).toBe(1);
  await expect(agent.query("SELECT 1")).rejects.toThrow();
});

test("a clear that comes late leaves what was set at its epoch alone", async () => {
  const value = await steps.create();
  await steps.set(2, value);
  const late = await server.client(target.administrator);
  await change(late, "clear", 2, value);
  await late.end();
  await steps.test(2, value);
});

test("a leaked login that locks its own role is cut all the same", async () => {
  const value = await steps.first();
  const thief = await target.client(value);
  await thief.query(`SET ROLE NONE; BEGIN; ALTER ROLE "${target.slots[0]}" PASSWORD 'mine'`);
  const config = { ...target.config, lockTimeoutMs: 100 };
  expect((await steps.retire(2, value, { config })).sessionsEnded).toBe(1);
  expect(await steps.refused(value)).toBe("refused");
  await expect(thief.query("COMMIT")).rejects.toThrow();
});

test("what a leaked login makes of itself ends with its retirement", async () => {
  const value = await steps.first();
  const thief = await target.client(value);
  await thief.query(
    `SET ROLE NONE; ALTER ROLE "${target.slots[0]}" PASSWORD 'mine'; ALTER ROLE "${target.slots[0]}" RESET role`,
  );
  await steps.retire(2, value);
  const own = new Secret(JSON.stringify({ ...JSON.parse(value.reveal()), password: "mine" }));
  expect(await steps.refused(own)).toBe("refused");
  await target.superuser.query(`ALTER ROLE "${target.slots[0]}" LOGIN`);
  expect(await steps.refused(own)).toBe("refused");
  await target.superuser.query(`ALTER ROLE "${target.slots[0]}" NOLOGIN`);
  const next = await steps.create();
  await steps.set(3, next);
  await steps.test(3, next);
});

test("a role that Keyturn has not made is left alone", async () => {
  const [slot] = target.slots;
  await target.superuser.query(
    `CREATE ROLE "${slot}" LOGIN SUPERUSER PASSWORD 'theirs'; COMMENT ON ROLE "${slot}" IS 'payroll'`,
  );
  const theirs = await server.client({ username: slot, password: "theirs" });
  const value = await steps.create();
  await expect(steps.set(1, value)).rejects.toEqual(code("not-managed"));
  await expect(steps.retire(1, value)).rejects.toEqual(code("not-managed"));
  expect(await commentOf(slot)).toBe("payroll");
  expect((await theirs.query("SELECT current_user AS me")).rows).toEqual([{ me: slot }]);
  await theirs.end();
});

test("a login that is neither of the two is not ours", async () => {
  const value = new Secret(JSON.stringify({ username: "postgres", password: "x" }));
  await expect(steps.set(1, value)).rejects.toEqual(code("not-managed"));
  await expect(steps.retire(1, value)).rejects.toEqual(code("not-managed"));
});

test("a mark that cannot be read calls a person", async () => {
  const value = await steps.first();
  await target.superuser.query(`COMMENT ON ROLE "${target.slots[0]}" IS '[keyturn v2 something newer]'`);
  await expect(steps.set(2, value)).rejects.toEqual(code("fence-conflict"));
});

test("what the database administrator wrote in the comment stays", async () => {
  const value = await steps.first();
  const [slot] = target.slots;
  const theirs = "Owned by O'Brien's team, 100% \\ [see wiki] ";
  await target.superuser.query(
    `COMMENT ON ROLE "${slot}" IS ${target.superuser.escapeLiteral(theirs + (await commentOf(slot)))}`,
  );
  await steps.retire(2, value);
  await steps.set(3, value);
  const comment = await commentOf(slot);
  expect(comment.startsWith(`${theirs}[keyturn v1 set epoch=3 `)).toBe(true);
  expect(comment.match(/\[keyturn/g)).toHaveLength(1);
});

test("odd names in a fence come back as they were", async () => {
  const odd = { installation: "prod ] 'x' 100%", ref: "team/[a] b=c", rotationId: "r 1" };
  const value = await steps.create();
  await steps.set(1, value, undefined, { fence: odd });
  expect(readFence(await commentOf(target.slots[0]))).toMatchObject({
    ...odd,
    verb: "set",
    epoch: 1,
    seen: 1,
  });
  await steps.set(1, value, undefined, { fence: odd });
  await steps.retire(2, value, { fence: odd });
});

test("under a stricter isolation the fence refuses to work", async () => {
  const client = await server.client(target.administrator);
  await client.query("SET default_transaction_isolation = 'repeatable read'");
  await expect(change(client, "set", 1, await steps.create())).rejects.toThrow("READ COMMITTED");
  await client.end();
});
