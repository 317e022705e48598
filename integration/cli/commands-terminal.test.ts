import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CommandPlace } from "../command-place.ts";
import { type PostgresServer, startPostgres } from "../postgres-server.ts";
import { TmuxTerminal } from "../tmux.ts";

const ref = "billing/db";
const adminPassword = "canary-admin-Tm7-19ac44";
const command = `"${process.execPath}" "${join(import.meta.dirname, "../../cli/keyturn.mjs")}"`;
let postgres: PostgresServer;
let place: CommandPlace;

beforeAll(async () => {
  postgres = await startPostgres();
  const superuser = await postgres.client();
  await superuser.query(`CREATE ROLE keyturn_admin LOGIN CREATEROLE PASSWORD '${adminPassword}'`);
  await superuser.end();
  place = new CommandPlace(postgres, adminPassword);
  await place.init(ref, "screens");
  await place.init("billing/other", "screensother");
  const manifest = readFileSync(place.manifestPath, "utf8");
  writeFileSync(
    place.manifestPath,
    manifest.replace("secrets:\n", "secrets:\n  hook: { store: here, type: held }\n"),
  );
  await place.json(["rotate", ref]);
});

afterAll(async () => {
  await postgres.stop();
  place.remove();
});

test("watch draws its page anew, fits a window that changes, and leaves the last page", async () => {
  await using terminal = await TmuxTerminal.open(place);
  await terminal.type(`${command} watch; echo "code $?"`);
  const first = await terminal.waitFor(/2 secrets: .*Ctrl-C ends/);
  expect(first).toMatch(/SECRET +PHASE/);
  expect(first).toMatch(/billing\/db +idle/);
  await place.json(["pause", ref, "--reason", "look at me"]);
  const paused = await terminal.waitFor(/billing\/db +idle, paused/);
  // In place: the page is there once.
  expect(paused.match(/SECRET +PHASE/g)).toHaveLength(1);
  expect(paused).toMatch(/paused.*look at me/);
  await terminal.resize(60, 10);
  const narrow = await terminal.waitFor(/…/);
  expect(narrow.split("\n").every((line) => line.length <= 60)).toBe(true);
  expect(narrow.match(/SECRET +PHASE/g)).toHaveLength(1);
  await terminal.resize(110, 24);
  await place.json(["resume", ref]);
  await terminal.waitFor(/billing\/db +idle +\w+ +[\d.]+ \w+\s/);
  await terminal.press("C-c");
  const last = await terminal.waitFor(/code 0/);
  expect(last).toMatch(/SECRET +PHASE/);
});

test("a goal that Ctrl-C gives up is not reached", async () => {
  await using terminal = await TmuxTerminal.open(place);
  await terminal.type(`${command} watch ${ref} --until halted; echo "code $?"`);
  await terminal.waitFor(/current +[0-9a-f]+/);
  await terminal.press("C-c");
  await terminal.waitFor(/code 130/);
});

test("what is secret is asked for and not shown; Ctrl-C and Ctrl-D give up, and nothing is stored", async () => {
  const value = "canary-typed-value-93b1c0";
  await using terminal = await TmuxTerminal.open(place);
  await terminal.type(`${command} put hook; echo "code $?"`);
  await terminal.waitFor(/^value:/m);
  await terminal.type(value);
  expect(await terminal.waitFor(/code 0/)).toMatch(/hook is at version/);
  expect(await terminal.history()).not.toContain(value);
  const stored = (await place.keyturn(["audit", "export", "hook"])).stdout;
  for (const [key, code] of [
    ["C-c", 130],
    ["C-d", 2],
  ] as const) {
    await terminal.type(`clear; echo then ${key}; ${command} put hook; echo "code $?"`);
    // The question before this one may still be to be seen.
    await terminal.waitFor(new RegExp(`^then ${key}\\n[\\s\\S]*^value:`, "m"));
    await terminal.press(key);
    await terminal.waitFor(new RegExp(`code ${code}`));
  }
  expect((await place.keyturn(["audit", "export", "hook"])).stdout).toBe(stored);
  // The terminal is as it was: what is typed is shown again.
  await terminal.type("clear; echo shown again");
  await terminal.waitFor(/^shown again/m);
});

test("a leaked text of several lines is pasted, ended by Ctrl-D, and left to no shell", async () => {
  const { password } = await place.current(ref);
  await using terminal = await TmuxTerminal.open(place);
  await terminal.type(`${command} revoke --leaked; echo "code $?"`);
  await terminal.waitFor(/Ctrl-D/);
  await terminal.write(`touch one\nexport PGPASSWORD='${password}'\ntouch two`);
  await terminal.press("C-d");
  expect(await terminal.waitFor(/code \d/)).toMatch(/is refused by its target[\s\S]*code 0/);
  await terminal.type(`clear; ${command} put hook; echo "code $?"`);
  await terminal.waitFor(/^value:/m);
  await terminal.write("touch three\ntouch four\n");
  expect(await terminal.waitFor(/code 2/)).toContain("several lines");
  await terminal.type("clear; ls");
  expect(await terminal.waitFor(/keyturn.yaml/)).not.toMatch(/one|two|three|four/);
  expect(await terminal.history()).not.toContain(password);
});

test("progress is shown while it happens, coloured only where somebody looks", async () => {
  await using terminal = await TmuxTerminal.open(place);
  await terminal.type(`${command} rotate ${ref} --wait; echo "code $?"`);
  const done = await terminal.waitFor(/code 0/, 60_000);
  for (const step of ["create.done", "set.done", "test.done", "finish.done"]) expect(done).toContain(step);
  expect(await terminal.screen({ colours: true })).toContain("\u001b[2m");
  await terminal.type(`clear; NO_COLOR=1 ${command} rotate ${ref} 2>&1 | cat -v; echo "end"`);
  const piped = await terminal.waitFor(/^end/m, 60_000);
  expect(piped).not.toContain("^[[");
});

test("Ctrl-C in the middle of a step ends the command at once and says what goes on", async () => {
  await using terminal = await TmuxTerminal.open(place);
  postgres.kill("SIGSTOP");
  try {
    await terminal.type(`${command} rotate billing/other; echo "code $?"`);
    await terminal.waitFor(/rotation begins/);
    await terminal.press("C-c");
    expect(await terminal.waitFor(/code 130/, 10_000)).toMatch(/goes on by `keyturn serve`/);
  } finally {
    postgres.kill("SIGCONT");
  }
});
