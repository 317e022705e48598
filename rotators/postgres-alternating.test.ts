import { afterAll, beforeAll, expect, test } from "vitest";
import { Secret } from "../core/secret.ts";
import { type PostgresServer, startPostgres } from "../integration/postgres-server.ts";
import { createTarget, type PostgresTarget } from "../integration/postgres-target.ts";
import { rotator } from "./postgres-alternating.ts";
import { describeRotator } from "./rotator.contract.ts";
import { Steps } from "./steps.contract.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await startPostgres({ maxConnections: 200 });
});

afterAll(async () => {
  await server.stop();
});

const code = (expected: string) => expect.objectContaining({ code: expected });

describeRotator("postgres-alternating", { rotator, arrange: () => createTarget(server) });

async function arrange(options: { owner?: string } = {}): Promise<[PostgresTarget, Steps]> {
  const target = await createTarget(server, options);
  return [target, new Steps(rotator, target)];
}

test("the configuration is read strictly", () => {
  const config = { host: "db", database: "app", owner: "app" };
  rotator.checkConfig(config);
  for (const wrong of [
    { ...config, pasword: "x" },
    { ...config, tls: { verify: false } },
    { ...config, host: "" },
    { ...config, host: "/var/run/postgresql" },
    { ...config, port: 0 },
    { ...config, owner: "a\nb" },
    { ...config, lockTimeoutMs: -1 },
  ]) {
    expect(() => rotator.checkConfig(wrong), JSON.stringify(wrong)).toThrow(
      expect.objectContaining({ code: "config-invalid" }),
    );
  }
});

test("a credential says where to log in, and keeps what else is stored with it", async () => {
  const [target, steps] = await arrange();
  const one = JSON.parse((await steps.create()).reveal());
  expect(one).toMatchObject({
    username: target.slots[0],
    host: "localhost",
    port: server.port,
    database: "postgres",
  });
  const two = JSON.parse(
    (await steps.create(new Secret(JSON.stringify({ ...one, team: "billing" })))).reveal(),
  );
  expect(two).toMatchObject({ username: target.slots[1], team: "billing" });
  const foreign = await steps.create(new Secret(JSON.stringify({ username: "legacy", password: "x" })));
  expect(JSON.parse(foreign.reveal()).username).toBe(target.slots[0]);
});

test("the login that is in use is never set, and a value that names another server never passes", async () => {
  const [target, steps] = await arrange();
  const one = await steps.first();
  const elsewhere = new Secret(JSON.stringify({ ...JSON.parse(one.reveal()), host: "db.old.example" }));
  await expect(steps.test(1, elsewhere)).rejects.toEqual(code("credential-invalid"));
  const same = target.inPlaceOf(one, await steps.create(one));
  await expect(steps.set(2, same, one)).rejects.toEqual(code("credential-invalid"));
});

test("the owner's settings, and the other login's, reach the new login as they are", async () => {
  const [target, steps] = await arrange();
  const { superuser, owner, slots } = target;
  await superuser.query(`ALTER ROLE "${owner}" SET search_path = '"$user"', 'a b; DROP ROLE x', public;
    ALTER ROLE "${owner}" SET datestyle = 'ISO, DMY';
    ALTER ROLE "${owner}" IN DATABASE postgres SET statement_timeout = '7s'`);
  const one = await steps.first();
  const probe = async (value: Secret) => {
    const agent = await target.client(value);
    const { rows } =
      await agent.query(`SELECT current_setting('search_path') AS path, current_setting('datestyle') AS dates,
      current_setting('statement_timeout') AS timeout, current_setting('work_mem') AS memory`);
    await agent.end();
    return rows[0];
  };
  const path = '"""$user""", "a b; DROP ROLE x", public';
  expect(await probe(one)).toMatchObject({ path, dates: "ISO, DMY", timeout: "7s" });
  // The owner's settings change, and somebody gives the login one of its own, and a limit.
  await superuser.query(`ALTER ROLE "${owner}" IN DATABASE postgres SET statement_timeout = '9s';
    ALTER ROLE "${slots[0]}" SET work_mem = '5MB';
    ALTER ROLE "${slots[0]}" CONNECTION LIMIT 7 VALID UNTIL '2101-01-01'`);
  const two = await steps.create(one);
  await steps.set(2, two, one);
  await steps.test(2, two, one);
  expect(await probe(two)).toMatchObject({ path, timeout: "9s", memory: "5MB" });
  const { rows } = await superuser.query(
    "SELECT rolconnlimit AS most, rolvaliduntil IS NOT NULL AS ends FROM pg_roles WHERE rolname = $1",
    [slots[1]],
  );
  expect(rows).toEqual([{ most: 7, ends: true }]);
  // And what is taken away from the login in use is gone from the next one.
  await steps.retire(3, one);
  await superuser.query(`ALTER ROLE "${slots[1]}" RESET work_mem`);
  const three = await steps.create(two);
  await steps.set(4, three, two);
  await steps.test(4, three, two);
  expect((await probe(three)).memory).toBe("4MB");
});

test("a search path cannot make the administrator run what others wrote", async () => {
  const [target, steps] = await arrange();
  const { superuser, owner, administrator } = target;
  await superuser.query(
    `CREATE SCHEMA "${owner}_evil" AUTHORIZATION "${owner}"; GRANT ALL ON SCHEMA public TO "${owner}"`,
  );
  await steps.first();
  const agent = await server.client();
  await agent.query(`SET ROLE "${owner}"`);
  for (const name of [
    "format(text, text)",
    "set_config(text, text, boolean)",
    "quote_ident(text)",
    "regexp_replace(text, text, text, text)",
    "ltrim(text)",
  ]) {
    await agent.query(`CREATE FUNCTION "${owner}_evil".${name} RETURNS text LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'evil ran as %', current_user; END $$`);
  }
  // Neither by what the database or the role of the administrator is set to, nor by what there is to be copied.
  await superuser.query(
    `ALTER ROLE "${administrator.username}" SET search_path = "${owner}_evil", pg_catalog`,
  );
  await superuser.query(`GRANT USAGE ON SCHEMA "${owner}_evil" TO PUBLIC`);
  const paths = [`${owner}_evil, pg_catalog`, "x;RESET/**/ROLE;--"];
  for (const [index, path] of paths.entries()) {
    await agent.query(`SELECT pg_catalog.set_config('search_path', '${path}', false)`);
    await agent.query(
      `ALTER ROLE "${owner}" SET search_path FROM CURRENT; ALTER ROLE "${owner}" SET work_mem = '${index + 5}MB'`,
    );
    const next = await steps.create();
    await steps.set(2 + index, next);
    const after = await target.client(next);
    expect((await after.query("SHOW search_path")).rows).toEqual([{ search_path: path }]);
    expect((await after.query("SHOW work_mem")).rows).toEqual([{ work_mem: `${index + 5}MB` }]);
    await after.end();
  }
  await agent.end();
});

test("what the old login has and the new one lacks is named, and no value with it", async () => {
  const [target, steps] = await arrange();
  const { superuser, owner, slots } = target;
  const one = await steps.first();
  await superuser.query(`CREATE ROLE "${owner}_reader" NOLOGIN; GRANT "${owner}_reader" TO "${slots[0]}";
    ALTER ROLE "${slots[0]}" CREATEDB; ALTER ROLE "${slots[0]}" SET log_statement = 'mod'`);
  const two = await steps.create(one);
  await steps.set(2, two, one);
  const failure: unknown = await steps.test(2, two, one).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: "access-differs" });
  expect(String(failure)).toMatch(/CREATEDB \(false instead of true\)/);
  expect(String(failure)).toMatch(/_reader \(no instead of member/);
  expect(String(failure)).toMatch(/setting log_statement$/);
});

test("what the old login owns itself is pointed out", async () => {
  const [target, steps] = await arrange();
  const one = await steps.first();
  await target.superuser.query(
    `CREATE TABLE "${target.owner}_t" (i int); ALTER TABLE "${target.owner}_t" OWNER TO "${target.slots[0]}"`,
  );
  const two = await steps.create(one);
  await steps.set(2, two, one);
  await steps.test(2, two, one);
  expect(steps.said.join()).toMatch(/itself owns 1 objects in database postgres/);
});

test("a login that does not become the owner fails the test", async () => {
  const [target, steps] = await arrange();
  const one = await steps.first();
  await target.superuser.query(`ALTER ROLE "${target.slots[0]}" RESET role`);
  await expect(steps.test(1, one)).rejects.toEqual(code("access-differs"));
});

test("the probe is run as the fleet would, and must not fail", async () => {
  const [target, steps] = await arrange();
  await target.superuser.query(`CREATE TABLE "${target.owner}_t" (i int)`);
  const config = { ...target.config, probe: `SELECT count(*) FROM "${target.owner}_t"` };
  const one = await steps.first();
  await expect(steps.test(1, one, undefined, { config })).rejects.toEqual(code("access-differs"));
  await target.superuser.query(`GRANT SELECT ON "${target.owner}_t" TO "${target.owner}"`);
  await steps.test(1, one, undefined, { config });
  const broken = { ...config, probe: "SELECT 1 FROM nowhere" };
  await expect(steps.test(1, one, undefined, { config: broken })).rejects.toEqual(code("access-differs"));
});

test("a server that has become read-only fails the test as an outage", async () => {
  const [target, steps] = await arrange();
  const one = await steps.first();
  await target.superuser.query("ALTER SYSTEM SET default_transaction_read_only = on");
  await target.superuser.query("SELECT pg_reload_conf()");
  try {
    await expect
      .poll(() =>
        steps.test(1, one).then(
          () => "",
          (error) => error.code,
        ),
      )
      .toBe("unreachable");
  } finally {
    await target.superuser.query("SET default_transaction_read_only = off");
    await target.superuser.query("ALTER SYSTEM RESET default_transaction_read_only");
    await target.superuser.query("SELECT pg_reload_conf()");
  }
  await expect
    .poll(() =>
      steps.test(1, one).then(
        () => "ok",
        (error) => error.code,
      ),
    )
    .toBe("ok");
});

test.each([
  ["can log in", "LOGIN"],
  ["is a superuser", "SUPERUSER"],
  ["may make roles", "CREATEROLE"],
  ["may replicate", "REPLICATION"],
  ["passes row security", "BYPASSRLS"],
])("an owner role that %s is refused before anything has changed", async (_, attribute) => {
  const [target, steps] = await arrange();
  await target.superuser.query(`ALTER ROLE "${target.owner}" ${attribute}`);
  await expect(steps.set(1, await steps.create())).rejects.toEqual(code("config-invalid"));
  const { rowCount } = await target.superuser.query("SELECT FROM pg_roles WHERE rolname = $1", [
    target.slots[0],
  ]);
  expect(rowCount).toBe(0);
});

test("an owner role that does not exist is refused, but what it owed is still retired", async () => {
  const [target, steps] = await arrange();
  const value = await steps.first();
  await target.superuser.query(`DROP OWNED BY "${target.owner}"; DROP ROLE "${target.owner}"`);
  await expect(steps.set(2, await steps.create(value), value)).rejects.toEqual(code("config-invalid"));
  await steps.retire(3, value);
  expect(await steps.refused(value)).toBe("refused");
});

test("an administering login without the rights is told which", async () => {
  const [target, steps] = await arrange();
  const { superuser, owner, administrator } = target;
  await superuser.query(`REVOKE "${owner}" FROM "${administrator.username}"`);
  const error = expect.objectContaining({
    code: "admin-lacks-rights",
    message: expect.stringContaining(owner),
  });
  await expect(steps.set(1, await steps.create())).rejects.toEqual(error);
  await superuser.query(`ALTER ROLE "${administrator.username}" NOCREATEROLE`);
  await expect(steps.set(1, await steps.create())).rejects.toEqual(code("admin-lacks-rights"));
});

test("usage counts the sessions and names ten", async () => {
  const [target, steps] = await arrange();
  const one = await steps.first();
  expect(await steps.usage(one)).toEqual({ sessions: 0, clients: [] });
  const agents = await Promise.all(Array.from({ length: 12 }, () => target.client(one)));
  const usage = await steps.usage(one);
  expect(usage?.sessions).toBe(12);
  expect(usage?.clients).toHaveLength(10);
  expect(usage?.clients[0]).toMatch(
    /^127\.0\.0\.1 \(agent\) in database postgres, since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/,
  );
  expect((await steps.retire(2, one)).sessionsEnded).toBe(12);
  for (const agent of agents) await agent.end().catch(() => undefined);
});

test("the dry run says what is missing, and changes nothing", async () => {
  const [target, steps] = await arrange();
  const { superuser, owner, administrator, slots } = target;
  expect((await steps.preflight()).every(({ ok }) => ok)).toBe(true);
  const restored = (await steps.preflight({}, 0)).filter(({ ok }) => !ok);
  expect(restored.every((finding) => finding.code === "superseded")).toBe(true);
  await superuser.query(`ALTER ROLE "${owner}" LOGIN; REVOKE "${owner}" FROM "${administrator.username}";
    REVOKE pg_signal_backend FROM "${administrator.username}"; ALTER ROLE "${administrator.username}" NOCREATEROLE;
    CREATE ROLE "${slots[1]}"; CREATE ROLE "keyturn_lock_${owner}"`);
  const failing = (await steps.preflight()).filter(({ ok }) => !ok).map(({ check }) => check);
  expect(failing).toEqual(["createrole", "sessions", "owner", "grant", "marker", `login ${slots[1]}`]);
  const elsewhere = { ...target.config, host: "nowhere.invalid" };
  await expect(steps.preflight({ config: elsewhere })).rejects.toEqual(code("unreachable"));
  const [connection, ...others] = await steps.preflight({ admin: target.wrongAdmin });
  expect(connection).toMatchObject({ check: "connection", ok: false });
  expect(others).toEqual([]);
});

test("nothing of ours stays open", async () => {
  const [{ superuser }] = await arrange();
  const ours = "SELECT pid FROM pg_stat_activity WHERE application_name = 'keyturn'";
  expect((await superuser.query(ours)).rows).toEqual([]);
});
