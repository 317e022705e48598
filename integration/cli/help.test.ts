import { execFile } from "node:child_process";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseDocument } from "yaml";
import { leavesOf, pathOf } from "../../cli/commands-page.ts";
import { keyturnProgram } from "../../cli/main.ts";
import { startReceiver } from "../../notify/receiver.contract.ts";
import { CommandPlace } from "../command-place.ts";
import { type PostgresServer, startPostgres } from "../postgres-server.ts";
import { quicken } from "../quicken.ts";

/** Runs every example of every `--help`, as it is written, in one folder, in an order in which a person would. */
const keyturn = fileURLToPath(new URL("../../cli/keyturn.mjs", import.meta.url));
const ref = "billing/db";
const adminPassword = "canary-help-admin-5Rk1";
const appPassword = "canary-help-app-8Vd6";

const leaves = leavesOf(await keyturnProgram());
let postgres: PostgresServer;
let place: CommandPlace;

beforeAll(async () => {
  postgres = await startPostgres();
  place = new CommandPlace(postgres, adminPassword);
  place.values.add(appPassword);
  const superuser = await postgres.client();
  await superuser.query(`CREATE ROLE keyturn_admin LOGIN CREATEROLE PASSWORD '${adminPassword}'`);
  await superuser.query(`CREATE ROLE billing LOGIN PASSWORD '${appPassword}'`);
  await superuser.query("CREATE DATABASE billing OWNER billing");
  await superuser.end();
  copyFileSync(postgres.caPath, join(place.directory, "ca.pem"));
  write("admin.password", adminPassword);
  write("billing.password", appPassword);
  write("routing.key", "canary-help-routing-key");
});

afterAll(async () => {
  await postgres.stop();
  expect(place.leaked()).toEqual([]);
  place.remove();
});

function write(name: string, text: string): void {
  writeFileSync(join(place.directory, name), text, { mode: 0o600 });
}

function change(path: readonly string[], value: unknown): void {
  const document = parseDocument(readFileSync(place.manifestPath, "utf8"));
  document.setIn(path, value);
  writeFileSync(place.manifestPath, document.toString());
}

/** The lines behind `$ ` in a command's help; what a backslash ends goes on in the next. */
function examplesOf(path: string): readonly string[] {
  const leaf = leaves.find((one) => pathOf(one) === path);
  const parts: string[] = [];
  leaf?.configureOutput({ writeOut: (part) => void parts.push(part) }).outputHelp();
  const [, examples = ""] = parts.join("").split(/\nExamples?:\n/);
  return [...examples.replaceAll(/\\\n\s+/g, "").matchAll(/^ {2}\$ (.*)$/gm)].map(([, line]) => line ?? "");
}

/** As bash runs it; only the server's name and port are this test's, and what other machines have. */
function run(line: string): Promise<{ readonly code: number; readonly output: string }> {
  const script = `keyturn() { "${process.execPath}" "${keyturn}" "$@"; }
pbpaste() { cat leaked.txt; }
${line.replace("--host db.internal", `--host ${postgres.host} --port ${postgres.port}`)}`;
  const home = { HOME: place.directory, XDG_CONFIG_HOME: place.environment.XDG_CONFIG_HOME };
  return new Promise((resolve) => {
    const options = { cwd: place.directory, env: { ...place.environment, ...home } };
    const child = execFile("bash", ["-o", "pipefail", "-c", script], options, (error, stdout, stderr) => {
      place.printed.push(stdout, stderr);
      resolve({ code: Number(error?.code ?? child.exitCode ?? 0), output: stdout + stderr });
    });
  });
}

interface Situation {
  /** What has to be so before the first example. */
  readonly before?: () => Promise<unknown>;
  /** What is done between the examples. */
  readonly between?: (output: string) => Promise<unknown>;
  /** Exit codes besides 0 that are right here. */
  readonly codes?: readonly number[];
  /** What stands in place of what cannot run in a test. */
  readonly as?: (line: string) => string;
}

const situations: Readonly<Record<string, Situation>> = {
  init: {
    between: async () => {
      const superuser = await postgres.client({ ...postgres.superuser, database: "billing" });
      await superuser.query(readFileSync(join(place.directory, "setup.sql"), "utf8"));
      await superuser.end();
      quicken(place.manifestPath, ref, { cacheTtl: "100ms", atLeast: "100ms", atMost: "300ms" });
      change(["secrets", ref, "tenant"], "acme");
    },
  },
  lint: {},
  import: {},
  plan: {},
  rotate: {},
  status: {},
  debts: {},
  "audit sign": {},
  "audit root": {},
  "audit keys": {},
  "audit rotate-key": {},
  "audit verify": {},
  "audit export": {},
  rotators: {},
  put: { before: async () => change(["secrets", "notify/pager"], { store: "here", type: "held" }) },
  enrol: {},
  "notify test": {
    before: async () => {
      const receiver = await startReceiver();
      write("receiver.pem", readFileSync(receiver.ca, "utf8"));
      change(["secrets", "notify/hook"], { store: "here", type: "held" });
      const secret = `whsec_${Buffer.from("canary-help-hook-secret-24-bytes").toString("base64")}`;
      await place.keyturn(["put", "notify/hook"], secret);
      change(["notify", "oncall"], {
        webhook: {
          url: receiver.url,
          signingSecret: { secret: "notify/hook" },
          tls: { ca: "./receiver.pem" },
        },
      });
    },
  },
  completion: { as: (line) => line.replace("| source", "> fish.txt") },
  pause: {},
  resume: {},
  hold: {},
  release: {},
  cancel: {},
  rollback: {
    before: async () => {
      await run(`keyturn hold ${ref} --reason "it is rolled back"`);
      await run(`keyturn rotate ${ref}`);
    },
  },
  retire: {
    before: () => run(`keyturn release ${ref} --all; keyturn rotate ${ref} --wait`),
  },
  watch: { as: (line) => (line === "keyturn watch" ? ended(line, "INT") : line), codes: [130] },
  doctor: {},
  revoke: {
    before: async () => {
      const { password } = await place.current(ref);
      write("leaked.txt", `PGPASSWORD='${password}'\n`);
    },
  },
  approve: {
    // What is only shown is not approved, and the exit code says so.
    codes: [3],
    between: async (output) => {
      const [key] = /[A-Za-z0-9+/=]{50,}/.exec(output) ?? [];
      if (key === undefined) return;
      change(["people", "me"], { key });
      change(["people", process.env.USER ?? "root"], { key: otherKey });
      change(["policies"], [{ match: "**", secondPerson: ["revoke"] }]);
      const asked = await run("keyturn revoke --tenant acme --since $(date -u +%Y-%m-%dT%H:%M:%SZ) --json");
      write("request.json", JSON.stringify(JSON.parse(asked.output.split("\n")[0] ?? "{}").request ?? {}));
    },
  },
  serve: { as: (line) => ended(line, "TERM") },
};

/** A command that goes on for ever, ended by a person after a while. */
function ended(line: string, signal: "INT" | "TERM"): string {
  return line.replace(
    "keyturn",
    `timeout --preserve-status --signal=${signal} 6 "${process.execPath}" "${keyturn}"`,
  );
}

const otherKey = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";

test("every command has its situation here", () => {
  expect(Object.keys(situations).sort()).toEqual(leaves.map(pathOf).sort());
});

test.each(Object.entries(situations))("the examples of `keyturn %s` work", async (path, situation) => {
  const examples = examplesOf(path);
  expect(examples.length).toBeGreaterThan(0);
  await situation.before?.();
  for (const example of examples) {
    const { code, output } = await run(situation.as?.(example) ?? example);
    const isRight = [0, ...(situation.codes ?? [])].includes(code);
    expect({ example, code: isRight ? 0 : code, output }).toEqual({ example, code: 0, output });
    await situation.between?.(output);
  }
});
