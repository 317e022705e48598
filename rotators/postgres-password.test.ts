import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Secret } from "../core/secret.ts";
import { type PostgresServer, startPostgres } from "../integration/postgres-server.ts";
import { createPasswordTarget, type PasswordTarget } from "../integration/postgres-target.ts";
import { rotator } from "./postgres-password.ts";
import { describeRotator } from "./rotator.contract.ts";
import { type StepOptions, Steps } from "./steps.contract.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await startPostgres({ maxConnections: 200 });
});

afterAll(async () => {
  await server.stop();
});

const code = (expected: string) => expect.objectContaining({ code: expected });

describeRotator("postgres-password", { rotator, arrange: () => createPasswordTarget(server) });

async function arrange(options: { username?: string } = {}): Promise<[PasswordTarget, Steps]> {
  const target = await createPasswordTarget(server, options);
  return [target, new Steps(rotator, target)];
}

function adopt(steps: Steps, epoch: number, value: Secret, options?: StepOptions): Promise<void> {
  return steps.run(epoch, value, options, async (context) => rotator.adopt?.(value, context));
}

async function inspected(steps: Steps): Promise<unknown> {
  const [mark] = await steps.run(0, undefined, {}, async (context) => (await rotator.inspect(context)) ?? []);
  return mark;
}

function secretOf(username: string, password: string): Secret {
  return new Secret(JSON.stringify({ username, password }));
}

async function commentOf({ superuser }: PasswordTarget, role: string): Promise<string | null> {
  const { rows } = await superuser.query(
    "SELECT shobj_description(oid, 'pg_authid') AS comment FROM pg_roles WHERE rolname = $1",
    [role],
  );
  return rows[0]?.comment ?? null;
}

test("the configuration is read strictly", () => {
  const config = { host: "db", database: "app", username: "app" };
  rotator.checkConfig(config);
  for (const wrong of [
    { ...config, owner: "app" },
    { ...config, username: "" },
    { ...config, username: "pg_monitor" },
    { ...config, username: "x".repeat(64) },
    { ...config, create: "yes" },
    { ...config, probe: "" },
  ]) {
    expect(() => rotator.checkConfig(wrong), JSON.stringify(wrong)).toThrow(code("config-invalid"));
  }
});

test("a role is made only where that was asked for, and never taken over", async () => {
  const [target, steps] = await arrange();
  const { superuser, username, config } = target;
  const asked = { config: { ...config, create: false } };
  const value = await steps.create();
  await expect(steps.set(1, value, undefined, asked)).rejects.toEqual(code("config-invalid"));
  await steps.retire(2, value, asked);
  const { rowCount } = await superuser.query("SELECT FROM pg_roles WHERE rolname = $1", [username]);
  expect(rowCount).toBe(0);
  await superuser.query(`CREATE ROLE "${username}" LOGIN PASSWORD 'theirs';
    GRANT "${username}" TO "${target.administrator.username}" WITH ADMIN TRUE`);
  for (const options of [{}, asked]) {
    await expect(steps.set(3, value, undefined, options)).rejects.toEqual(code("not-managed"));
    await expect(steps.retire(3, value, options)).rejects.toEqual(code("not-managed"));
  }
  await (await target.client(secretOf(username, "theirs"))).end();
});

test("a superuser is not changed by anybody but itself", async () => {
  const [target, steps] = await arrange();
  const value = await steps.first();
  await target.superuser.query(`ALTER ROLE "${target.username}" SUPERUSER`);
  await expect(steps.set(2, await steps.create(value), value)).rejects.toEqual(code("config-invalid"));
  expect(await steps.refused(value)).toBe("accepted");
});

test("a rotation never changes the role", async () => {
  const [target, steps] = await arrange();
  const value = await steps.first();
  const config = { ...target.config, username: `${target.username}_x` };
  await expect(steps.create(value, { config })).rejects.toEqual(code("credential-invalid"));
  await expect(steps.set(2, value, undefined, { config })).rejects.toEqual(code("credential-invalid"));
  const elsewhere = new Secret(JSON.stringify({ ...JSON.parse(value.reveal()), host: "db.old.example" }));
  await expect(steps.test(1, elsewhere)).rejects.toEqual(code("credential-invalid"));
});

test("what could not be set back is not replaced in the first place", async () => {
  const [target, steps] = await arrange();
  await steps.first();
  const odd = secretOf(target.username, "pa\u0308ss");
  await expect(steps.create(odd)).rejects.toEqual(code("credential-invalid"));
  await expect(steps.set(2, odd)).rejects.toEqual(code("credential-invalid"));
});

test("the administrator's own comment and the role's attributes are left as they are", async () => {
  const [target, steps] = await arrange();
  const one = await steps.first();
  const mark = await commentOf(target, target.username);
  await target.superuser.query(`COMMENT ON ROLE "${target.username}" IS 'billing''s own ${mark}';
    ALTER ROLE "${target.username}" CONNECTION LIMIT 7 VALID UNTIL '2999-01-01'`);
  const two = await steps.create(one);
  await steps.set(2, two, one);
  await steps.test(2, two, one);
  expect(await commentOf(target, target.username)).toMatch(
    /^billing's own \[keyturn v1 set epoch=2 .* seen=2\] \[keyturn sessions [^ \]]+\]$/,
  );
  const { rows } = await target.superuser.query(
    "SELECT rolconnlimit AS max, rolvaliduntil::date::text AS until FROM pg_roles WHERE rolname = $1",
    [target.username],
  );
  expect(rows).toEqual([{ max: 7, until: "2999-01-01" }]);
});

test("what somebody has shut is not opened, and a mark that cannot be read stops everything", async () => {
  const [target, steps] = await arrange();
  const { superuser, username } = target;
  const one = await steps.first();
  await superuser.query(`ALTER ROLE "${username}" NOLOGIN`);
  const two = await steps.create(one);
  await steps.set(2, two, one);
  await expect(steps.test(2, two, one)).rejects.toEqual(code("login-refused"));
  await superuser.query(`COMMENT ON ROLE "${username}" IS '[keyturn v9 what]'`);
  await expect(steps.set(3, two, one)).rejects.toEqual(code("fence-conflict"));
});

test("of many values each one's sessions are told apart", async () => {
  const [target, steps] = await arrange();
  const values = [await steps.first()];
  const sessions = [await target.client(values[0] ?? fail())];
  for (let epoch = 2; epoch < 13; epoch += 1) {
    const next = await steps.create(values.at(-1));
    await steps.set(epoch, next, values.at(-1));
    sessions.push(await target.client(next));
    values.push(next);
  }
  expect((await steps.usage(values.at(-1) ?? fail()))?.sessions).toBe(1);
  // Those that have fallen off the list count as one.
  expect((await steps.usage(values[0] ?? fail()))?.sessions).toBe(4);
  expect((await steps.retire(13, values[7] ?? fail())).sessionsEnded).toBe(1);
  const works = await Promise.all(sessions.map((one) => one.query("SELECT").then(Boolean, () => false)));
  expect(works).toEqual([...Array(7).fill(true), false, true, true, true, true]);
  for (const session of sessions) await session.end().catch(() => undefined);
});

function fail(): never {
  throw new Error("there is no such value");
}

test("a moment that was not noted is noted by the next one that comes by", async () => {
  const [target, steps] = await arrange();
  const { superuser, username } = target;
  const one = await steps.first();
  const old = await target.client(one);
  const two = await steps.create(one);
  await steps.set(2, two, one);
  const comment = (await commentOf(target, username)) ?? "";
  const torn = comment.replace(/(\[keyturn sessions [^,]*-)\d+/, "$1");
  expect(torn).not.toBe(comment);
  await superuser.query(`COMMENT ON ROLE "${username}" IS '${torn}'`);
  const between = await target.client(two);
  // Not known since when nobody comes in with the old one: everybody may have.
  expect((await steps.usage(one))?.sessions).toBe(2);
  await steps.set(2, two, one);
  const after = await target.client(two);
  expect((await steps.retire(3, one)).sessionsEnded).toBe(2);
  expect((await after.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
  for (const client of [old, between, after]) await client.end().catch(() => undefined);
});

test("a leaked login that locks its own role is passed by, and only what locks it ends", async () => {
  const [target, steps] = await arrange();
  const one = await steps.first();
  const attacker = await target.client(one);
  const atWork = await target.client(one);
  await attacker.query(`BEGIN; ALTER ROLE "${target.username}" PASSWORD 'mine'`);
  const two = await steps.create(one);
  const config = { ...target.config, lockTimeoutMs: 300 };
  await steps.set(2, two, one, { config });
  await steps.test(2, two, one);
  expect((await atWork.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
  await expect(attacker.query("COMMIT")).rejects.toThrow();
  expect((await steps.retire(3, one)).sessionsEnded).toBe(1);
  for (const client of [attacker, atWork]) await client.end().catch(() => undefined);
});

test("a login that changed its own password is set right by the next rotation", async () => {
  const [target, steps] = await arrange();
  const one = await steps.first();
  const leaked = await target.client(one);
  await leaked.query(`ALTER ROLE "${target.username}" PASSWORD 'mine'`);
  await leaked.end();
  const two = await steps.create(one);
  await steps.set(2, two, one);
  await steps.test(2, two, one);
  expect(await steps.refused(secretOf(target.username, "mine"))).toBe("refused");
});

test("who does not see when sessions began is told what it lacks, and ends none", async () => {
  const [target, steps] = await arrange();
  const one = await steps.first();
  const session = await target.client(one);
  await target.superuser.query(`REVOKE pg_read_all_stats FROM "${target.administrator.username}"`);
  const lacks = expect.objectContaining({
    code: "admin-lacks-rights",
    message: expect.stringContaining("pg_read_all_stats"),
  });
  await expect(steps.usage(one)).rejects.toEqual(lacks);
  await steps.set(2, await steps.create(one), one);
  await expect(steps.retire(3, one)).rejects.toEqual(lacks);
  await session.query("SELECT");
  await session.end();
});

test("the probe is run as the fleet would, and a role may act as another", async () => {
  const [target, steps] = await arrange();
  const { superuser, username } = target;
  await superuser.query(
    `CREATE ROLE "${username}_owner" NOLOGIN; CREATE TABLE "${username}_t" (i int);
     ALTER TABLE "${username}_t" OWNER TO "${username}_owner"`,
  );
  const config = { ...target.config, probe: `SELECT count(*) FROM "${username}_t"` };
  const one = await steps.first();
  await expect(steps.test(1, one, undefined, { config })).rejects.toEqual(code("access-differs"));
  await superuser.query(
    `GRANT "${username}_owner" TO "${username}"; ALTER ROLE "${username}" SET role = "${username}_owner"`,
  );
  await steps.test(1, one, undefined, { config });
});

describe("an import", () => {
  async function existing(options = "LOGIN"): Promise<[PasswordTarget, Steps, Secret]> {
    const [target, steps] = await arrange();
    const { superuser, username, administrator } = target;
    await superuser.query(`CREATE ROLE "${username}" ${options} PASSWORD 'its own';
      GRANT "${username}" TO "${administrator.username}" WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;
      COMMENT ON ROLE "${username}" IS 'since 2019'`);
    return [target, steps, secretOf(username, "its own")];
  }

  test("marks the role, keeps its comment and its sessions, and may be done twice", async () => {
    const [target, steps, value] = await existing();
    const session = await target.client(value);
    await adopt(steps, 0, value);
    await adopt(steps, 0, value);
    expect(await commentOf(target, target.username)).toMatch(/^since 2019 \[keyturn v1 set epoch=0 /);
    expect((await steps.usage(value))?.sessions).toBe(1);
    const next = await steps.create(value);
    await steps.set(1, next, value);
    await steps.test(1, next, value);
    expect((await steps.retire(2, value)).sessionsEnded).toBe(1);
    expect(await steps.refused(value)).toBe("refused");
    await session.end().catch(() => undefined);
  });

  test("of a value that was changed by hand brings the mark up to date", async () => {
    const [target, steps, value] = await existing();
    await adopt(steps, 0, value);
    await target.superuser.query(`ALTER ROLE "${target.username}" PASSWORD 'by hand'`);
    const changed = secretOf(target.username, "by hand");
    await adopt(steps, 1, changed);
    expect(await inspected(steps)).toMatchObject({ verb: "set", epoch: 1, seen: 1, accepts: true });
    await steps.set(2, value, changed);
    expect(await steps.refused(changed)).toBe("refused");
  });

  test("refuses what does not log in, what is another's, and what could not be set back", async () => {
    const [target, steps, value] = await existing();
    await expect(adopt(steps, 0, secretOf(target.username, "wrong"))).rejects.toEqual(code("login-refused"));
    await expect(adopt(steps, 0, secretOf("other", "its own"))).rejects.toEqual(code("credential-invalid"));
    await adopt(steps, 0, value, { fence: { ref: "team/other" } });
    await expect(adopt(steps, 0, value)).rejects.toEqual(code("not-managed"));
    await target.superuser.query(`ALTER ROLE "${target.username}" PASSWORD 'pa\u0308ss'`);
    const odd = secretOf(target.username, "pa\u0308ss");
    await expect(adopt(steps, 0, odd)).rejects.toEqual(code("credential-invalid"));
    const [, others, superuser] = await existing("SUPERUSER LOGIN");
    await expect(adopt(others, 0, superuser)).rejects.toEqual(code("config-invalid"));
  });
});

test("the dry run of an import finds what could not be set back, and what is another's", async () => {
  const [target, steps] = await arrange();
  await target.superuser.query(`CREATE ROLE "${target.username}" LOGIN;
    GRANT "${target.username}" TO "${target.administrator.username}" WITH ADMIN TRUE, INHERIT FALSE, SET FALSE`);
  const failing = async (value: Secret) =>
    (await steps.run(0, value, {}, (context) => rotator.preflight(context, value)))
      .filter(({ ok }) => !ok)
      .map(({ check, code: what, message }) => `${check}: ${what}: ${message}`);
  expect(await failing(secretOf(target.username, "plain"))).toEqual([]);
  expect(await failing(secretOf(target.username, "a\u00A0b"))).toEqual([
    "import: credential-invalid: password: has a space other than the plain one; give the role another one by hand",
  ]);
  expect(await failing(secretOf("other", "plain"))).toEqual([
    `import: credential-invalid: the value is of role other, the manifest says ${target.username}`,
  ]);
});

test("the dry run says what is missing, and changes nothing", async () => {
  const [target, steps] = await arrange();
  const { superuser, username, administrator, config } = target;
  const failing = async (options?: StepOptions, epoch?: number) =>
    (await steps.preflight(options, epoch))
      .filter(({ ok }) => !ok)
      .map(({ check, code: what }) => [check, what]);
  expect(await failing()).toEqual([]);
  expect(await failing({ config: { ...config, create: false } })).toEqual([
    [`role ${username}`, "config-invalid"],
  ]);
  await steps.first();
  expect(await failing()).toEqual([]);
  expect(await failing({}, 0)).toEqual([[`role ${username}`, "superseded"]]);
  await superuser.query(`ALTER ROLE "${username}" VALID UNTIL '2001-01-01'`);
  expect(await failing()).toEqual([[`role ${username}`, "login-refused"]]);
  await superuser.query(`ALTER ROLE "${username}" VALID UNTIL 'infinity' NOLOGIN`);
  expect(await failing()).toEqual([[`role ${username}`, "login-refused"]]);
  await superuser.query(`ALTER ROLE "${username}" LOGIN; COMMENT ON ROLE "${username}" IS NULL`);
  expect(await failing()).toEqual([[`role ${username}`, "not-managed"]]);
  await superuser.query(`REVOKE pg_signal_backend FROM "${administrator.username}";
    REVOKE "${username}" FROM "${administrator.username}"; ALTER ROLE "${administrator.username}" NOCREATEROLE`);
  expect((await failing()).map(([check]) => check)).toEqual([
    "createrole",
    "sessions",
    "marker",
    `role ${username}`,
  ]);
  const [connection, ...others] = await steps.preflight({ admin: target.wrongAdmin });
  expect(connection).toMatchObject({ check: "connection", ok: false });
  expect(others).toEqual([]);
});

test("nothing of ours stays open", async () => {
  const [{ superuser }] = await arrange();
  const ours = "SELECT pid FROM pg_stat_activity WHERE application_name = 'keyturn'";
  expect((await superuser.query(ours)).rows).toEqual([]);
});
