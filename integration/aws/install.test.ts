import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "vitest";

/** What installs is real; what it calls, `mvn` and `javac`, is a script here that says when it begins and takes its time. */
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "keyturn-install-"));
  const bin = join(folder, "bin");
  mkdirSync(bin);
  const download = `echo "began $$" >>"$SAID"; mkdir -p jars; echo half >"jars/$NAME.jar"; exec sleep "$SECONDS_LONG"`;
  writeFileSync(join(bin, "mvn"), `#!/bin/sh\n${download}\n`, { mode: 0o755 });
  writeFileSync(join(bin, "javac"), "#!/bin/sh\n", { mode: 0o755 });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Installing {
  readonly child: ChildProcess;
  readonly ended: Promise<{ readonly code: number | null; readonly out: string; readonly said: string }>;
}

function install(name: string, seconds: number): Installing {
  const module = JSON.stringify(join(import.meta.dirname, "install.ts"));
  const program = `import { installed } from ${module}; console.log(await installed("dynamodb-local"));`;
  const child = spawn(process.execPath, ["--input-type=module-typescript", "--eval", program], {
    env: {
      ...process.env,
      PATH: [join(folder, "bin"), process.env.PATH].join(delimiter),
      KEYTURN_EMULATORS: join(folder, "emulators"),
      SAID: join(folder, "said"),
      NAME: name,
      SECONDS_LONG: String(seconds),
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const printed = Promise.all([text(child.stdout), text(child.stderr)]);
  const ended = once(child, "exit").then(async ([code]) => {
    const [out, said] = await printed;
    return { code, out: out.trim(), said };
  });
  return { child, ended };
}

/** The process of each download that has begun. */
function downloads(): readonly number[] {
  const said = join(folder, "said");
  const lines = existsSync(said) ? readFileSync(said, "utf8").trim().split("\n") : [];
  return lines.map((line) => Number(line.replace("began ", "")));
}

function isAlive(pid: number | undefined): boolean {
  return existsSync(`/proc/${pid}`);
}

test("of two who install at once the second waits, and takes what the first has installed", async () => {
  const first = install("first", 3);
  await expect.poll(() => downloads().length, { timeout: 20_000 }).toBe(1);
  const second = install("second", 0);
  const [one, two] = await Promise.all([first.ended, second.ended]);
  expect([one.code, two.code]).toEqual([0, 0]);
  expect(two.out).toBe(one.out);
  expect(two.said).toContain("another process is installing");
  expect(downloads()).toHaveLength(1);
  expect(existsSync(join(one.out, "jars/first.jar"))).toBe(true);
});

test("one that is interrupted ends what it has begun, and the next begins anew", async () => {
  const interrupted = install("interrupted", 60);
  await expect.poll(() => downloads().length, { timeout: 20_000 }).toBe(1);
  // As Ctrl-C does.
  interrupted.child.kill("SIGINT");
  expect((await interrupted.ended).code).toBe(null);
  await expect.poll(() => isAlive(downloads()[0]), { timeout: 20_000 }).toBe(false);

  const next = await install("next", 0).ended;
  expect(next).toMatchObject({ code: 0 });
  expect(downloads()).toHaveLength(2);
  expect(existsSync(join(next.out, "jars/next.jar"))).toBe(true);
  expect(existsSync(join(next.out, "jars/interrupted.jar"))).toBe(false);
});

test("one that fails says what was said, and the next begins anew", async () => {
  writeFileSync(join(folder, "bin/javac"), "#!/bin/sh\necho no such class >&2\nexit 1\n");
  const failed = await install("failed", 0).ended;
  expect(failed.code).toBe(1);
  expect(failed.said).toContain("no such class");
  writeFileSync(join(folder, "bin/javac"), "#!/bin/sh\n");
  const next = await install("next", 0).ended;
  expect(next).toMatchObject({ code: 0 });
  expect(existsSync(join(next.out, "jars/failed.jar"))).toBe(false);
});
