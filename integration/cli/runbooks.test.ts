import { execFile } from "node:child_process";
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openManifest } from "../../cli/open.ts";
import { request } from "../../core/operate.ts";
import { halt } from "../../core/transition.ts";
import { CommandPlace } from "../command-place.ts";
import { backUp } from "../postgres-backup.ts";
import { type PostgresServer, startPostgres } from "../postgres-server.ts";

/** Each runbook's commands, run as they are written, in the situation that the page is about. */
const folder = fileURLToPath(new URL("../../docs/runbooks", import.meta.url));
const keyturn = fileURLToPath(new URL("../../cli/keyturn.mjs", import.meta.url));
const ref = "billing/db";
const adminPassword = "canary-runbook-admin-7Qx2";

let postgres: PostgresServer;
let superuser: pg.Client;
let place: CommandPlace;
let owners = 0;
let owner = "";
const walked = new Set<string>();

beforeAll(async () => {
  postgres = await startPostgres();
  superuser = await postgres.client();
  await superuser.query(`CREATE ROLE keyturn_admin LOGIN CREATEROLE PASSWORD '${adminPassword}'`);
});

afterAll(async () => {
  await superuser.end();
  await postgres.stop();
});

interface Line {
  readonly command: string;
  readonly codes: readonly number[];
}

/** The commands of a page in their order; `# exit 3` says how one ends, if not with 0. */
function linesOf(page: string): readonly Line[] {
  walked.add(page);
  const text = readFileSync(join(folder, page), "utf8");
  const blocks = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block]) => block ?? "");
  return blocks.flatMap((block) => block.trim().split("\n")).map(lineOf);
}

function lineOf(line: string): Line {
  const [command = "", comment] = line.split("#");
  const codes = [...(comment ?? "").matchAll(/\d+/g)].map(([code]) => Number(code));
  return { command: command.trim(), codes: codes.length === 0 ? [0] : codes };
}

/** As bash would run it, with the command in place of what is on a person's PATH. */
async function run({ command, codes }: Line): Promise<string> {
  const text = command.replace(/^keyturn /, `"${process.execPath}" "${keyturn}" `);
  const { code, output } = await new Promise<{ code: number; output: string }>((resolve) => {
    const options = { cwd: place.directory, env: place.environment };
    const child = execFile("bash", ["-c", text], options, (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? child.exitCode ?? 0), output: stdout + stderr }),
    );
  });
  place.printed.push(output);
  expect({ command, ended: codes.includes(code) ? "as said" : code, output }).toMatchObject({
    ended: "as said",
  });
  return output;
}

/** Runs the lines of a page; gives what each printed. */
async function walk(lines: readonly Line[]): Promise<readonly string[]> {
  const outputs: string[] = [];
  for (const line of lines) outputs.push(await run(line));
  return outputs;
}

async function store() {
  process.env.XDG_CONFIG_HOME = place.environment.XDG_CONFIG_HOME;
  return openManifest(place.manifestPath);
}

/** What holds at the end of each: one login works, it is current, and nothing was printed that should not be. */
async function expectWell(...refused: readonly { username: string; password: string }[]): Promise<void> {
  expect(await place.logsIn(await place.current(ref))).toBe(true);
  for (const login of refused) expect(await place.logsIn(login)).toBe(false);
  expect(place.leaked()).toEqual([]);
}

describe("in its situation", () => {
  beforeEach(async () => {
    place = new CommandPlace(postgres, adminPassword);
    owners += 1;
    owner = `runbook${owners}`;
    await place.init(ref, owner);
    await place.json(["rotate", ref, "--wait"]);
    await place.current(ref);
    return () => place.remove();
  });

  test("leak", async () => {
    const leaked = await place.current(ref);
    const lost = encodeURIComponent(leaked.password);
    const line = `Jan 01 03:00:00 app[7]: connecting to postgres://${leaked.username}:${lost}@db/billing\n`;
    writeFileSync(join(place.directory, "leaked.txt"), line);
    const [found] = await walk(linesOf("leak.md"));
    expect(found).toContain("is refused by its target");
    await expectWell(leaked);
  });

  test("stuck", async () => {
    const old = await place.current(ref);
    {
      await using opened = await store();
      const { ports } = await opened.secret(ref);
      const version = (await ports.store.read(ref, "current"))?.version ?? "";
      const busy = {
        ref,
        agent: "host-9",
        fleet: "invoice-agents",
        sequence: 1,
        inUse: [version],
        holds: [],
      };
      // An agent that says so every moment lives, and never changes over.
      const beat = setInterval(() => {
        busy.sequence += 1;
        void ports.journal.report([busy], Date.now());
      }, 50);
      try {
        await place.json(["rotate", ref]);
        const [status, , refusal] = await walk(linesOf("stuck.md"));
        expect(status).toContain("host-9");
        expect(refusal).toContain("host-9");
      } finally {
        clearInterval(beat);
      }
    }
    await expectWell(old);
  });

  test("halted", async () => {
    {
      await using opened = await store();
      const { ports } = await opened.secret(ref);
      await request(ref, ports, { kind: "rotate", by: "ann" });
      const loaded = await ports.journal.load(ref);
      if (loaded === undefined) throw new Error("no record");
      const why = { code: "fence-conflict", message: "two rotations claim one epoch" };
      const { record } = halt(loaded.record, why, Date.now());
      await ports.journal.save(record, loaded.revision);
    }
    const [status] = await walk(linesOf("halted.md"));
    expect(status).toContain("two rotations claim one epoch");
    await expectWell();
  });

  test("lost-journal", async () => {
    const before = await place.current(ref);
    for (const suffix of ["", "-wal", "-shm"]) {
      rmSync(join(place.directory, `.keyturn/journal.db${suffix}`), { force: true });
    }
    const [, found, fixed] = await walk(linesOf("lost-journal.md"));
    expect(found).toContain("journal.db");
    expect(fixed).toContain("journal-lost");
    expect((await place.current(ref)).password).not.toBe(before.password);
    await expectWell();
  });

  test("restored-database", async () => {
    const stale = await place.current(ref);
    const yesterday = await backUp(postgres);
    await place.json(["rotate", ref, "--wait"]);
    const current = await place.current(ref);
    await superuser.end();
    await yesterday.restore();
    superuser = await postgres.client();
    expect(await place.logsIn(stale)).toBe(true);
    expect(await place.logsIn(current)).toBe(false);
    const [found] = await walk(linesOf("restored-database.md"));
    expect(found).toContain("current-refused");
    await place.json(["rotate", ref, "--wait"]);
    await expectWell(stale, current);
  });

  test("keyturn-down", async () => {
    const lines = linesOf("keyturn-down.md");
    writeFileSync(join(place.directory, "admin.login"), `keyturn_admin\n${adminPassword}\n`, { mode: 0o600 });
    const direct = lines.findIndex(({ command }) => command.includes("--direct"));
    const back = lines.findIndex(({ command }) => command.includes("doctor"));
    await walk(lines.slice(0, direct));
    const leaked = await place.current(ref);
    renameSync(join(place.directory, ".keyturn"), join(place.directory, "away"));
    const [asked] = await walk(lines.slice(direct, back));
    expect(asked).toContain(leaked.username);
    expect(await place.logsIn(leaked)).toBe(false);
    renameSync(join(place.directory, "away"), join(place.directory, ".keyturn"));
    await walk(lines.slice(back));
    await expectWell(leaked);
  });
});

test("every runbook was walked", () => {
  const pages = readdirSync(folder).filter((name) => name !== "README.md");
  expect([...walked].sort()).toEqual(pages.sort());
  const contents = readFileSync(join(folder, "README.md"), "utf8");
  for (const page of pages) expect(contents).toContain(`(${page})`);
});
