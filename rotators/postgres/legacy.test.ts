import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Secret } from "../../core/secret.ts";
import nasty from "../../integration/fixtures/nasty-values.json" with { type: "json" };
import { type PostgresServer, startPostgres } from "../../integration/postgres-server.ts";
import { createTarget, type PostgresTarget } from "../../integration/postgres-target.ts";
import { rotator } from "../postgres-alternating.ts";
import { type StepOptions, Steps } from "../steps.contract.ts";
import { identifier, literal } from "./names.ts";

let server: PostgresServer;
let target: PostgresTarget;
let steps: Steps;

beforeAll(async () => {
  server = await startPostgres({ maxConnections: 100 });
});

afterAll(async () => {
  await server.stop();
});

beforeEach(async () => {
  await arrange();
});

async function arrange(owner?: string): Promise<void> {
  target = await createTarget(server, owner === undefined ? {} : { owner });
  steps = new Steps(rotator, target);
}

const code = (expected: string) => expect.objectContaining({ code: expected });

/** The owner role as the fleet's own login, as it is found where nobody has ever rotated: with tables, limits and settings. */
async function ownerLogin(password = randomBytes(12).toString("hex")): Promise<Secret> {
  const owner = identifier(target.owner);
  await target.superuser.query(`ALTER ROLE ${owner} LOGIN PASSWORD ${literal(password)} CONNECTION LIMIT 40 CREATEDB;
    ALTER ROLE ${owner} SET statement_timeout = '7s';
    CREATE TABLE ${identifier(`${target.owner.slice(0, 50)}_t`)} (i int);
    ALTER TABLE ${identifier(`${target.owner.slice(0, 50)}_t`)} OWNER TO ${owner}`);
  return credential(target.owner, password);
}

/** A member of the owner role as the fleet's login. */
async function memberLogin(): Promise<Secret> {
  const [login, password] = [`${target.owner}_app`, randomBytes(12).toString("hex")];
  await target.superuser.query(`CREATE ROLE ${login} LOGIN PASSWORD '${password}' IN ROLE ${target.owner};
    GRANT ${login} TO ${target.administrator.username} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE`);
  return credential(login, password);
}

function credential(username: string, password: string): Secret {
  const { host, port, database } = target.config;
  return new Secret(JSON.stringify({ username, password, host, port, database }));
}

function adopt(epoch: number, value: Secret, options?: StepOptions): Promise<void> {
  return steps.run(epoch, value, options, async (context) => rotator.adopt?.(value, context));
}

const marks = (value: Secret, options?: StepOptions) =>
  steps.run(0, value, options, (context) => rotator.inspect(context));

const findings = (value: Secret) =>
  steps.run(1_000, value, {}, (context) => rotator.preflight(context, value));

async function roleOf(name: string) {
  const { rows } = await target.superuser.query(
    `SELECT rolcanlogin AS login, rolpassword AS verifier, coalesce(shobj_description(oid, 'pg_authid'), '') AS comment
     FROM pg_authid WHERE rolname = $1`,
    [name],
  );
  return rows[0];
}

describe.each([
  ["the owner role itself", () => ownerLogin()],
  ["a member of the owner role", memberLogin],
])("%s as the fleet's login", (_name, legacyLogin) => {
  test("is adopted as it is, left in the first rotation, and refused in the end; those who act as the owner live on", async () => {
    const legacy = await legacyLogin();
    const { username } = JSON.parse(legacy.reveal());
    const before = await roleOf(username);
    const fleet = await target.client(legacy);
    await target.superuser.query(`COMMENT ON ROLE ${username} IS 'payroll, ask Ann'`);
    expect((await findings(legacy)).filter(({ ok }) => !ok)).toEqual([]);
    await adopt(0, legacy);
    await adopt(0, legacy);
    const after = await roleOf(username);
    expect(after).toEqual({
      ...before,
      comment: expect.stringMatching(/^payroll, ask Ann \[keyturn v1 set /),
    });
    expect(await marks(legacy)).toMatchObject([{ login: username, verb: "set", epoch: 0, accepts: true }]);

    const next = await steps.create(legacy);
    expect((await steps.preflight({})).filter(({ ok }) => !ok)).toEqual([]);
    await steps.set(1, next, legacy);
    await steps.set(1, next, legacy);
    await steps.test(1, next, legacy);
    expect((await fleet.query("SELECT 1")).rowCount).toBe(1);
    const changedOver = await target.client(next);
    const { rows } = await changedOver.query("SELECT current_user AS acting, session_user AS login");
    expect(rows).toEqual([{ acting: target.owner, login: target.slots[0] }]);

    expect((await steps.usage(legacy))?.sessions).toBe(1);
    expect((await steps.retire(2, legacy)).sessionsEnded).toBe(1);
    expect((await steps.retire(2, legacy)).sessionsEnded).toBe(0);
    expect(await steps.refused(legacy)).toBe("refused");
    await expect(fleet.query("SELECT 1")).rejects.toThrow();
    expect((await changedOver.query("SELECT current_user AS acting")).rows).toEqual([
      { acting: target.owner },
    ]);
    expect(await roleOf(username)).toMatchObject({ login: false, verifier: null });

    const third = await steps.create(next);
    await steps.set(3, third, next);
    await steps.test(3, third, next);
    await steps.retire(4, next);
    expect(JSON.parse(third.reveal()).username).toBe(target.slots[1]);
    await changedOver.end().catch(() => undefined);
  });

  test("is gone back to while it lives, and its password is the same to the last bit", async () => {
    const legacy = await legacyLogin();
    const { username } = JSON.parse(legacy.reveal());
    await adopt(0, legacy);
    const { verifier } = await roleOf(username);
    const next = await steps.create(legacy);
    await steps.set(1, next, legacy);
    const fleet = await target.client(legacy);
    await steps.set(2, legacy, next);
    await steps.test(2, legacy, next);
    await steps.retire(3, next);
    expect((await fleet.query("SELECT 1")).rowCount).toBe(1);
    await fleet.end();
    expect(await roleOf(username)).toMatchObject({ login: true, verifier });
    const again = await steps.create(legacy);
    await steps.set(4, again, legacy);
    await steps.test(4, again, legacy);
    await steps.retire(5, legacy);
    await steps.set(6, legacy, again);
    await steps.test(6, legacy, again);
  });

  test("is cut although one of its sessions locks its role", async () => {
    const legacy = await legacyLogin();
    const { username } = JSON.parse(legacy.reveal());
    await adopt(0, legacy);
    const next = await steps.create(legacy);
    await steps.set(1, next, legacy);
    const changedOver = await target.client(next);
    const thief = await target.client(legacy);
    await thief.query(`BEGIN; ALTER ROLE ${username} PASSWORD 'mine'`);
    const config = { ...target.config, lockTimeoutMs: 100 };
    expect((await steps.retire(2, legacy, { config })).sessionsEnded).toBe(1);
    expect(await steps.refused(legacy)).toBe("refused");
    expect((await changedOver.query("SELECT 1")).rowCount).toBe(1);
    await changedOver.end();
  });
});

test("limits and settings go over to the login that comes after it", async () => {
  const legacy = await ownerLogin();
  await adopt(0, legacy);
  const next = await steps.create(legacy);
  await steps.set(1, next, legacy);
  await steps.test(1, next, legacy);
  const agent = await target.client(next);
  expect((await agent.query("SHOW statement_timeout")).rows).toEqual([{ statement_timeout: "7s" }]);
  await agent.end();
  const { rows } = await target.superuser.query(
    "SELECT rolconnlimit AS most FROM pg_roles WHERE rolname = $1",
    [target.slots[0]],
  );
  expect(rows).toEqual([{ most: 40 }]);
});

describe("is not adopted, and nothing is marked:", () => {
  const cases: Readonly<Record<string, readonly [sql: (login: string) => string, code: string]>> = {
    "a superuser": [(login) => `ALTER ROLE ${login} SUPERUSER`, "config-invalid"],
    "one that makes roles": [(login) => `ALTER ROLE ${login} CREATEROLE`, "config-invalid"],
    "one with objects of its own": [
      (login) => `CREATE TABLE ${login}_own (i int); ALTER TABLE ${login}_own OWNER TO ${login}`,
      "access-differs",
    ],
    "one with rights of its own": [
      (login) => `CREATE TABLE ${login}_g (i int); GRANT SELECT ON ${login}_g TO ${login}`,
      "access-differs",
    ],
    "one in a role that the owner is not in": [
      (login) => `GRANT pg_read_all_data TO ${login}`,
      "access-differs",
    ],
    "one that we may not change": [
      (login) => `REVOKE ${login} FROM ${target.administrator.username}`,
      "admin-lacks-rights",
    ],
    "no member of the owner role": [(login) => `REVOKE ${target.owner} FROM ${login}`, "config-invalid"],
    "one whose mark cannot be read": [
      (login) => `COMMENT ON ROLE ${login} IS '[keyturn v9]'`,
      "fence-conflict",
    ],
  };
  test.each(Object.entries(cases))("%s", async (_name, [sql, expected]) => {
    const legacy = await memberLogin();
    const { username } = JSON.parse(legacy.reveal());
    await target.superuser.query(sql(username));
    const { comment } = await roleOf(username);
    expect((await findings(legacy)).filter(({ ok }) => !ok)).toEqual([
      expect.objectContaining({ check: `login ${username}`, code: expected }),
    ]);
    await expect(adopt(0, legacy)).rejects.toEqual(code(expected));
    expect((await roleOf(username)).comment).toBe(comment);
  });

  test("what another installation, or another secret, has marked", async () => {
    const legacy = await ownerLogin();
    await adopt(0, legacy);
    const { comment } = await roleOf(target.owner);
    for (const fence of [{ installation: "other" }, { ref: "team/other" }]) {
      await expect(adopt(9, legacy, { fence })).rejects.toEqual(code("not-managed"));
      await expect(steps.retire(9, legacy, { fence })).rejects.toEqual(code("not-managed"));
      await expect(steps.set(9, legacy, undefined, { fence })).rejects.toThrow();
      const next = await steps.create(legacy);
      await expect(steps.set(9, next, legacy, { fence })).rejects.toEqual(code("config-invalid"));
    }
    expect((await marks(legacy, { fence: { ref: "x" } }))?.map(({ ref }) => ref)).toEqual(["team/secret"]);
    expect((await roleOf(target.owner)).comment).toBe(comment);
  });

  test("a wrong password, a login that does not exist, and another server's address", async () => {
    const legacy = await ownerLogin();
    const changed = (fields: object) =>
      new Secret(JSON.stringify({ ...JSON.parse(legacy.reveal()), ...fields }));
    await expect(adopt(0, changed({ password: "wrong" }))).rejects.toEqual(code("login-refused"));
    await expect(adopt(0, changed({ username: "nobody" }))).rejects.toEqual(code("login-refused"));
    await expect(adopt(0, changed({ host: "elsewhere" }))).rejects.toEqual(code("credential-invalid"));
    expect((await roleOf(target.owner)).comment).toBe("");
  });

  test("an older epoch, or another value at one epoch", async () => {
    const legacy = await ownerLogin();
    await adopt(5, legacy);
    await expect(adopt(4, legacy)).rejects.toEqual(code("superseded"));
    const other = new Secret(JSON.stringify({ ...JSON.parse(legacy.reveal()), team: "x" }));
    await expect(adopt(5, other)).rejects.toEqual(code("fence-conflict"));
    await adopt(6, other);
    expect((await marks(legacy))?.[0]).toMatchObject({ epoch: 6, seen: 6 });
  });
});

test("an owner role that can log in is refused until it is imported, and again when somebody lets it in after retire", async () => {
  const legacy = await ownerLogin();
  const next = await steps.create(legacy);
  await expect(steps.set(1, next, legacy)).rejects.toEqual(code("config-invalid"));
  await adopt(1, legacy);
  await steps.set(2, next, legacy);
  await steps.retire(3, legacy);
  await target.superuser.query(`ALTER ROLE ${target.owner} LOGIN PASSWORD 'back'`);
  const third = await steps.create(next);
  await expect(steps.set(4, third, next)).rejects.toEqual(code("config-invalid"));
  const wrong = (await steps.preflight({})).filter(({ ok }) => !ok);
  expect(wrong).toMatchObject([{ check: "owner", message: expect.stringContaining("must not be LOGIN") }]);
});

test("a login that was never imported is neither set nor retired, whether it exists or not", async () => {
  const legacy = await memberLogin();
  await expect(steps.retire(1, legacy)).rejects.toEqual(code("not-managed"));
  await expect(steps.set(1, legacy)).rejects.toEqual(code("not-managed"));
  await target.superuser.query(`DROP ROLE ${target.owner}_app`);
  await expect(steps.set(1, legacy)).rejects.toEqual(code("not-managed"));
  expect((await steps.retire(1, legacy)).sessionsEnded).toBe(0);
  expect(await roleOf(`${target.owner}_app`)).toBeUndefined();
});

test("a login that got objects of its own after the import stays, and the new one is not let through", async () => {
  const legacy = await memberLogin();
  await adopt(0, legacy);
  await target.superuser.query(`CREATE TABLE ${target.owner}_late (i int);
    ALTER TABLE ${target.owner}_late OWNER TO ${target.owner}_app`);
  const next = await steps.create(legacy);
  await steps.set(1, next, legacy);
  const error = expect.objectContaining({
    code: "access-differs",
    message: expect.stringContaining("REASSIGN OWNED BY"),
  });
  await expect(steps.test(1, next, legacy)).rejects.toEqual(error);
});

const names: readonly { name: string; value: string; mustBe: string }[] = nasty.usernames;
const passwords: readonly { name: string; value: string; mustBe: string }[] = nasty.passwords;

test.each(names.filter(({ mustBe }) => !mustBe.startsWith("refused")))(
  "an owner role with an odd name is imported and left: $name",
  async ({ value: owner }) => {
    await arrange(owner);
    const legacy = await ownerLogin();
    await adopt(0, legacy);
    const next = await steps.create(legacy);
    await steps.set(1, next, legacy);
    await steps.test(1, next, legacy);
    await steps.retire(2, legacy);
    expect(await steps.refused(legacy)).toBe("refused");
    await steps.test(1, next, undefined);
  },
);

test("whatever password logs in is imported, is gone back to as it is, and is refused in the end", async () => {
  let odd = 0;
  for (const { value: password } of passwords) {
    await arrange();
    if (password === "" || password.includes("\0")) continue;
    const legacy = await ownerLogin(password);
    const logsIn = await target.client(legacy).then(
      (client) => client.end().then(() => true),
      () => false,
    );
    if (!logsIn) {
      await expect(adopt(0, legacy), password).rejects.toEqual(code("login-refused"));
      continue;
    }
    odd += 1;
    await adopt(0, legacy);
    const next = await steps.create(legacy);
    await steps.set(1, next, legacy);
    await steps.set(2, legacy, next);
    await steps.test(2, legacy, next);
    await steps.retire(3, legacy);
    expect(await steps.refused(legacy), password).toBe("refused");
  }
  expect(odd).toBeGreaterThan(10);
});
