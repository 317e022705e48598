import { execFile, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type pg from "pg";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { CommandPlace } from "../command-place.ts";
import type { Ended } from "../keyturn-command.ts";
import { type PostgresServer, startPostgres } from "../postgres-server.ts";

/** The command where its store cannot grow: it says so, no login is lost, and it goes on when there is room again. */
const keyturn = fileURLToPath(new URL("../../cli/keyturn.mjs", import.meta.url));
const ref = "billing/db";
const adminPassword = "canary-full-disk-admin-2Lq8";
const outages = /(store|journal|bus|audit)-unavailable/;

// Each of them runs several commands.
vi.setConfig({ testTimeout: 180_000 });

let postgres: PostgresServer;
let superuser: pg.Client;
let place: CommandPlace;

beforeAll(async () => {
  postgres = await startPostgres();
  superuser = await postgres.client();
  await superuser.query(`CREATE ROLE keyturn_admin LOGIN CREATEROLE PASSWORD '${adminPassword}'`);
  place = new CommandPlace(postgres, adminPassword);
  await place.init(ref, "crowded");
  await place.json(["rotate", ref, "--wait"]);
});

afterEach(() => {
  expect(place.leaked()).toEqual([]);
});

afterAll(async () => {
  place.remove();
  await superuser.end();
  await postgres.stop();
});

/** Runs a script of the shell, in which "$@" is the command. */
function shell(
  script: string,
  {
    around = [],
    environment = {},
  }: { readonly around?: readonly string[]; readonly environment?: NodeJS.ProcessEnv } = {},
): Promise<Ended> {
  const [file = "sh", ...args] = [...around, "sh", "-c", script, "keyturn", process.execPath, keyturn];
  const options = { cwd: place.directory, env: { ...place.environment, ...environment } };
  return new Promise((resolve) => {
    const child = execFile(file, args, options, (error, stdout, stderr) => {
      place.printed.push(stdout, stderr);
      resolve({ code: Number(error?.code ?? child.exitCode ?? 0), stdout, stderr });
    });
  });
}

async function expectGoesOn(): Promise<void> {
  expect(await place.logsIn(await place.current(ref))).toBe(true);
  expect(await place.json(["rotate", ref, "--wait"])).toMatchObject({ rotated: true });
  expect(await place.logsIn(await place.current(ref))).toBe(true);
  expect(await place.json(["doctor", ref])).toMatchObject({ healthy: true });
}

// In blocks of 512 bytes: nothing at all can be written, or it ends before the set, or in grace.
test.each([0, 66, 160])("files that cannot grow beyond %i blocks", async (blocks) => {
  const before = await place.current(ref);
  const limited = await shell(`trap "" XFSZ; ulimit -f ${blocks}; "$@" rotate ${ref} --wait --timeout 5`);
  expect((await place.logsIn(before)) || (await place.logsIn(await place.current(ref)))).toBe(true);
  expect(limited.code).toBe(5);
  expect(limited.stderr).toMatch(outages);
  await expectGoesOn();
});

/** A disk of its own, for one shell and its children: it is gone with them. */
const disk = ["unshare", "--map-root-user", "--mount"];

function onDiskOfItsOwn(kilobytes: number): Promise<Ended> {
  return shell(
    `set -e
    mv .keyturn kept; mkdir .keyturn; mount -t tmpfs -o size=2m none .keyturn; cp -a kept/. .keyturn/
    head -c ${kilobytes * 1024} /dev/zero > .keyturn/room; cat /dev/zero > .keyturn/filler 2>/dev/null || true; rm .keyturn/room
    set +e; "$@" rotate ${ref} --wait --timeout 5; ended=$?; set -e
    rm .keyturn/filler; cp -a .keyturn/. kept/; umount .keyturn; rmdir .keyturn; mv kept .keyturn
    exit $ended`,
    { around: disk },
  );
}

/** The same to the command: its files cannot grow, each of the two that do by half of the room, and its system tells that there is no more of it. */
function asIfOnOne(kilobytes: number): Promise<Ended> {
  const told = join(place.directory, "told.mjs");
  writeFileSync(
    told,
    `import fs from "node:fs";
    import { syncBuiltinESMExports } from "node:module";
    fs.statfsSync = () => ({ bavail: ${kilobytes}, bsize: 1024 });
    syncBuiltinESMExports();`,
  );
  const NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ""} --import=${pathToFileURL(told)}`;
  return shell(`trap "" XFSZ; ulimit -f ${kilobytes}; "$@" rotate ${ref} --wait --timeout 5`, {
    environment: { NODE_OPTIONS },
  });
}

const [unshare = "", ...flags] = disk;
const mayMount = spawnSync(unshare, [...flags, "mount", "-t", "tmpfs", "none", "/mnt"]).status === 0;

/** Where a system lets nobody mount, each case is still there, on what only looks like a full disk. */
const ways = [
  ["as if on one", asIfOnOne],
  ...(mayMount ? [["on one", onDiskOfItsOwn] as const] : []),
] as const;
const cases = ways.flatMap(([how, fill]) => [0, 60].map((kilobytes) => [kilobytes, how, fill] as const));

test.each(cases)("a disk with %i kB left, %s", async (kilobytes, _, fill) => {
  const before = await place.current(ref);
  const filled = await fill(kilobytes);
  expect(await place.logsIn(before)).toBe(true);
  expect(filled.code).toBe(5);
  expect(filled.stderr).toMatch(outages);
  expect(filled.stderr).toMatch(/its disk has \d+ kB left: make room/);
  await expectGoesOn();
});
