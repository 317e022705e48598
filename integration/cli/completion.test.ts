import { execFile } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TmuxTerminal } from "../tmux.ts";

const keyturn = join(import.meta.dirname, "../../cli/keyturn.mjs");
let directory: string;
let environment: NodeJS.ProcessEnv;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "keyturn-completion-"));
  const command = join(directory, "keyturn");
  writeFileSync(command, `#!/bin/sh\nexec "${process.execPath}" "${keyturn}" "$@"\n`);
  chmodSync(command, 0o755);
  environment = { ...process.env, PATH: `${directory}${delimiter}${process.env.PATH}` };
  writeFileSync(
    join(directory, "keyturn.yaml"),
    `stores:
  here: { local: { path: .keyturn } }
secrets:
  billing/db-admin: { store: here, type: held }
  billing/db:
    store: here
    type: postgres-alternating
    config: { host: db.internal, database: billing, owner: billing }
    admin: { secret: billing/db-admin }
    fleets: [invoice-agents]
`,
  );
  const { stdout } = await promisify(execFile)("keyturn", ["completion", "bash"], { env: environment });
  writeFileSync(join(directory, "completion.bash"), stdout);
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** What bash would offer at the end of that line, by the script that a person sources; sourced twice, as happens. */
async function tab(line: string, shell: readonly string[] = []): Promise<readonly string[]> {
  const script = `
    source completion.bash; source completion.bash
    COMP_LINE="$1"; COMP_POINT=\${#COMP_LINE}; shift
    COMP_WORDS=("$@"); COMP_CWORD=$(( \${#COMP_WORDS[@]} - 1 ))
    _keyturn
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const words = shell.length > 0 ? shell : line.split(" ");
  const { stdout, stderr } = await promisify(execFile)("bash", ["-c", script, "bash", line, ...words], {
    cwd: directory,
    env: environment,
  });
  expect(stderr.replace(/.*compopt.*\n/g, "")).toBe("");
  return stdout.split("\n").filter((found) => found !== "");
}

test("commands, options, choices and the names of the manifest", async () => {
  expect(await tab("keyturn ro")).toEqual(expect.arrayContaining(["rotate", "rollback", "rotators"]));
  expect(await tab("keyturn rotate ")).toEqual(["billing/db"]);
  expect(await tab("keyturn put b")).toEqual(["billing/db-admin"]);
  expect(await tab("keyturn enrol host --fleet ")).toEqual(["invoice-agents"]);
  expect(await tab("keyturn serve --store ")).toEqual(["here"]);
  expect(await tab("keyturn audit ")).toEqual(expect.arrayContaining(["verify", "export"]));
  expect(await tab("keyturn watch --until id")).toEqual(["idle"]);
  expect(await tab("keyturn watch --until=id", ["keyturn", "watch", "--until", "=", "id"])).toEqual(["idle"]);
  expect(await tab("keyturn status --lo")).toEqual(["--long"]);
  expect(await tab("keyturn rotate billing/db ")).toEqual([]);
});

test("another manifest is read, a broken one is none, and no store is made or opened", async () => {
  writeFileSync(join(directory, "other.yaml"), "secrets: {");
  expect(await tab("keyturn -m other.yaml rotate ")).toEqual([]);
  expect(await tab("keyturn -m keyturn.yaml rotate ")).toEqual(["billing/db"]);
  expect(existsSync(join(directory, ".keyturn"))).toBe(false);
});

test("what is typed is not run", async () => {
  const trap = join(directory, "trap");
  await tab(`keyturn rotate $(touch ${trap}) `, [
    "keyturn",
    "rotate",
    `$(touch ${trap})`,
    "`touch trap`",
    "",
  ]);
  expect(existsSync(trap)).toBe(false);
});

test("a person at a terminal gets it by Tab", async () => {
  await using terminal = await TmuxTerminal.open({ directory, environment });
  await terminal.type("source <(keyturn completion bash); clear");
  await terminal.waitFor(/^ready>$/m);
  await terminal.write("keyturn rotate bil");
  await terminal.press("Tab");
  await terminal.waitFor(/keyturn rotate billing\/db/);
  await terminal.press("C-u");
  await terminal.write("keyturn -m keyturn.y");
  await terminal.press("Tab");
  await terminal.waitFor(/keyturn -m keyturn\.yaml/);
});

test.each(["zsh", "fish"])("the script for %s names the command and asks it", async (shell) => {
  const { stdout } = await promisify(execFile)("keyturn", ["completion", shell], { env: environment });
  expect(stdout).toContain("keyturn complete -- ");
  const path = join(directory, `completion.${shell}`);
  writeFileSync(path, stdout);
  // Where the shell is there, it reads it.
  const command = `command -v ${shell} >/dev/null || exit 0; ${shell} -n ${path}`;
  const { stderr } = await promisify(execFile)("bash", ["-c", command]);
  expect(stderr).toBe("");
});
