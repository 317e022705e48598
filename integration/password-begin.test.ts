import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseDocument } from "yaml";
import { ref, type Stage, setStage } from "../demo/stage.ts";
import { runKeyturn } from "./keyturn-command.ts";
import { quicken } from "./quicken.ts";

const adminRef = `${ref}-admin`;
const times = { cacheTtl: "100ms", atLeast: "100ms", atMost: "300ms" };
let stage: Stage;

beforeAll(async () => {
  stage = await setStage({ maxConnections: 60 });
  quicken(stage.manifestPath, ref, times);
});

afterAll(async () => {
  await stage[Symbol.asyncDispose]();
});

/** Writes an entry of the manifest anew, as a person would in an editor. */
function write(secret: string, entry: object): void {
  const document = parseDocument(readFileSync(stage.manifestPath, "utf8"));
  document.setIn(["secrets", secret], entry);
  writeFileSync(stage.manifestPath, document.toString());
}

async function said(args: readonly string[], input = "") {
  return runKeyturn(["-m", stage.manifestPath, ...args], { input, environment: process.env });
}

test("an administering login that was only held is imported, and rotates itself", async () => {
  const { host, port, database, caPath } = stage.postgres;
  const { password: first } = await stored(adminRef);
  write(adminRef, {
    store: "here",
    type: "postgres-password",
    config: { host, port, database, username: "keyturn_admin", tls: { ca: caPath } },
    admin: { secret: adminRef },
    ...{ cacheTtl: times.cacheTtl, grace: { atLeast: times.atLeast, atMost: times.atMost } },
  });
  const early = await said(["rotate", adminRef, "--wait"]);
  expect(early.code).toBe(3);
  expect(early.stderr).toMatch(/keyturn import/);
  await stage.keyturn(["import", adminRef, "--from-store", "--json"]);
  await stage.keyturn(["rotate", adminRef, "--wait", "--json"]);
  const { password: second } = await stored(adminRef);
  expect(second).not.toBe(first);
  await expect(stage.postgres.client({ username: "keyturn_admin", password: first })).rejects.toThrow();
  await stage.keyturn(["rotate", ref, "--wait", "--json"]);
  const { username, password } = await stored(ref);
  await (await stage.postgres.client({ username, password })).end();
});

test("an application that can have only one user is imported, and rotates", async () => {
  const { host, port, database, caPath } = stage.postgres;
  const superuser = await stage.postgres.client();
  await superuser.query(`CREATE ROLE legacy LOGIN PASSWORD 'since 2019';
    GRANT legacy TO keyturn_admin WITH ADMIN TRUE, INHERIT FALSE, SET FALSE`);
  await superuser.end();
  write("legacy/db", {
    store: "here",
    type: "postgres-password",
    config: { host, port, database, username: "legacy", tls: { ca: caPath } },
    admin: { secret: adminRef },
    fleets: ["agents"],
    ...{ cacheTtl: times.cacheTtl, grace: { atLeast: times.atLeast, atMost: times.atMost } },
  });
  const imported = await said(["import", "legacy/db", "--json"], "legacy\nsince 2019\n");
  expect(imported.stderr).not.toMatch(/since 2019/);
  expect(imported.code).toBe(0);
  await stage.keyturn(["rotate", "legacy/db", "--wait", "--json"]);
  const { password } = await stored("legacy/db");
  expect(password).not.toBe("since 2019");
  await (await stage.postgres.client({ username: "legacy", password })).end();
});

async function stored(secret: string): Promise<{ username: string; password: string }> {
  const { ports } = await stage.opened.secret(ref);
  const found = await ports.store.read(secret, "current");
  return JSON.parse(found?.value.reveal() ?? "null");
}
