import { execFile } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startKeyturn } from "../keyturn-command.ts";
import { type PostgresServer, startPostgres } from "../postgres-server.ts";

/**
 * Does what the README's "Five minutes" says, block by block, in a folder of its own. Only what must differ is replaced: the server's name
 * and port, and `psql`, which not every machine has.
 */
const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const section = readFileSync(at("README.md"), "utf8").split("## Five minutes")[1]?.split("\n## ")[0] ?? "";
const blocks = [...section.matchAll(/```(sql|sh|ts)\n([\s\S]*?)```/g)].map(([, language, text]) => ({
  language,
  text: text ?? "",
}));

let postgres: PostgresServer;
let directory: string;
let environment: NodeJS.ProcessEnv;

beforeAll(async () => {
  postgres = await startPostgres();
  directory = mkdtempSync(join(tmpdir(), "keyturn-readme-"));
  environment = { ...process.env, XDG_CONFIG_HOME: join(directory, "config") };
  copyFileSync(postgres.caPath, join(directory, "ca.pem"));
  writeFileSync(join(directory, "admin.password"), "an-admin-password-77", { mode: 0o600 });
});

afterAll(async () => {
  await postgres.stop();
  rmSync(directory, { recursive: true, force: true });
});

async function asSuperuser(sql: string, database = "postgres"): Promise<void> {
  const client: pg.Client = await postgres.client({ ...postgres.superuser, database });
  await client.query(sql);
  await client.end();
}

async function shell(command: string): Promise<string> {
  const local = command
    .replaceAll("npx keyturn", `"${process.execPath}" "${at("cli/keyturn.mjs")}"`)
    .replaceAll("--host db.internal", `--host ${postgres.host} --port ${postgres.port}`);
  const { stdout } = await promisify(execFile)("bash", ["-euo", "pipefail", "-c", local], {
    cwd: directory,
    env: environment,
  });
  return stdout;
}

test("the README's five minutes work as they are written", async () => {
  expect(blocks.map(({ language }) => language)).toEqual(["sql", "sh", "sh", "ts"]);
  const [role, init, first, agent] = blocks.map(({ text }) => text);

  await asSuperuser("CREATE DATABASE billing");
  await asSuperuser(role ?? "");
  await asSuperuser("ALTER ROLE keyturn_admin PASSWORD 'an-admin-password-77'");

  const [putUnder, psql] = (init ?? "").split(/^(?=psql )/m);
  await shell(putUnder ?? "");
  expect(psql).toContain("-f setup.sql");
  await asSuperuser(readFileSync(join(directory, "setup.sql"), "utf8"), "billing");

  const lines = (first ?? "").trim().split("\n");
  const service = startKeyturn(["serve"], { environment, directory });
  try {
    for (const line of lines) if (!line.includes("serve &")) await shell(line);
    expect(lines.some((line) => line.startsWith("npx keyturn serve &"))).toBe(true);
    await expect
      .poll(() => existsSync(join(directory, ".keyturn/agents.sock")), { timeout: 10_000 })
      .toBe(true);
    await asSuperuser("CREATE TABLE invoices (id int); ALTER TABLE invoices OWNER TO billing", "billing");

    const program = (agent ?? "")
      .replace('"keyturn/agent"', `"${at("agent/index.ts")}"`)
      .replace('"keyturn/agent/pg"', `"${at("agent/pg.ts")}"`);
    const end = "console.log(JSON.stringify(rows)); await pool.end(); await client.close();";
    writeFileSync(join(directory, "agent.ts"), `${program}${end}`);
    const { stdout } = await promisify(execFile)(process.execPath, ["agent.ts"], {
      cwd: directory,
      timeout: 20_000,
    });
    expect(JSON.parse(stdout)).toEqual([{ count: "0" }]);
    expect(await shell("npx keyturn status")).toContain("billing/db  idle");
  } finally {
    service.child.kill("SIGTERM");
    await service.ended;
  }
});
