import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { PutSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import pg from "pg";
import { beforeAll, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { ImportResult } from "../../../cli/results/import.ts";
import { Secret } from "../../../core/secret.ts";
import { scramVerifier } from "../../../rotators/postgres/scram.ts";
import { installation } from "./installation.ts";
import { keyturn } from "./keyturn.ts";
import { hasEnded } from "./scenes.ts";
import { adminOf } from "./secrets.ts";
import { current, letsIn, record, rotateSecret } from "./stage.ts";

const { aws, manifest, postgres } = installation;
const manager = new SecretsManagerClient(aws);
const ref = "imported/db";
const described = parse(readFileSync(manifest, "utf8"));
const { owner } = described.secrets[ref].config;
const password = new Secret(randomBytes(18).toString("hex")).reveal();
/** With a field that Keyturn does not know, and spaces of somebody's own. */
const value = `{ "username": "${owner}", "password": "${password}",  "team": 12.50 }`;
const bringIn = (...more: readonly string[]) => keyturn(["import", ref, "--from-store", "--json", ...more]);

/** A fleet logs in as the role itself, by a password that somebody has set. */
beforeAll(async () => {
  const { host, port, ca, superuser } = postgres;
  const database = new pg.Client({
    ...{ host, port, ssl: { ca }, database: "postgres" },
    ...{ user: superuser.username, password: superuser.password },
  });
  await database.connect();
  const verifier = await scramVerifier(new Secret(password), { bytes: (length) => randomBytes(length) });
  await database.query(`ALTER ROLE ${owner} LOGIN PASSWORD '${verifier}'`);
  await database.end();
});

const put = (SecretString: string) =>
  manager.send(new PutSecretValueCommand({ SecretId: ref, SecretString }));

test("what cannot be imported is said with what to do, and nothing is under Keyturn then", async () => {
  const nothing = await bringIn();
  expect(nothing.stderr).toContain(`${ref} has no value in Secrets Manager: put the one that works there`);
  await put(value.replace(password, "canary-of-another-password"));
  const wrong = await bringIn();
  expect(wrong.stderr).toContain("login-refused");
  expect([nothing.code, wrong.code]).toEqual([4, 3]);
  expect(wrong.stdout + wrong.stderr).not.toContain("canary");
  expect(await record(ref)).toBeUndefined();
  expect(await letsIn(value)).toBe(true);
}, 120_000);

test("of a manifest that is not deployed yet it is said which function is missing", async () => {
  const ahead = `${manifest}.ahead.yaml`;
  const { host, port, database } = described.secrets[ref].config;
  const config = { host, port, database, username: "ahead" };
  const secret = { store: "shown", type: "postgres-password", config, admin: { secret: adminOf(ref) } };
  const secrets = { ...described.secrets, "ahead/db": secret };
  writeFileSync(ahead, stringify({ ...described, secrets }));
  const { code, stderr } = await keyturn(["import", "ahead/db", "--from-store"], "", ahead);
  expect(stderr).toContain("there is no function keyturn-shown-postgres-password: deploy the manifest");
  expect(code).toBe(2);
}, 60_000);

test("`keyturn import` has the function take over a login that is there, as it is; the next rotation leaves it behind, refused", async () => {
  await put(value);
  const planned = await bringIn("--plan");
  expect(ImportResult.parse(JSON.parse(planned.stdout))).toMatchObject({ ref, ready: true });
  expect(await record(ref)).toBeUndefined();
  const imported = await bringIn();
  expect({ code: imported.code, stderr: imported.stderr }).toMatchObject({ code: 0 });
  const result = { ref, login: owner, findable: true };
  expect(JSON.parse(imported.stdout)).toMatchObject({ ...result, answer: "imported" });
  const taken = await current(ref);
  expect(JSON.parse(taken?.value ?? "{}")).toMatchObject({ username: owner, password, team: 12.5 });
  expect(taken?.value).toContain(`"team": 12.50`);
  expect(await record(ref)).toMatchObject({
    state: { phase: "idle" },
    current: { version: taken?.version },
    debts: [],
  });
  expect(JSON.parse((await bringIn()).stdout)).toMatchObject({ ...result, answer: "known" });
  expect(await letsIn(value)).toBe(true);
  const token = crypto.randomUUID();
  await rotateSecret(ref, token);
  await hasEnded(ref, [value]);
  const next = await current(ref);
  expect(next?.version).toBe(token);
  expect(next?.value).toContain(`"team": 12.50`);
  for (const one of [planned, imported]) expect(one.stdout + one.stderr).not.toContain(password);
}, 240_000);
