import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

const keyturn = fileURLToPath(new URL("../../cli/keyturn.mjs", import.meta.url));
let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "keyturn-home-"));
});
afterEach(() => rmSync(home, { recursive: true }));

const folder = () => join(home, ".cache", "keyturn");

/** The command as it is started in that home, by nobody who keeps compiled code elsewhere. */
function run(more: NodeJS.ProcessEnv = {}): { readonly status: number | null; readonly stderr: string } {
  const { NODE_COMPILE_CACHE: _, XDG_CACHE_HOME: __, ...environment } = process.env;
  const env = { ...environment, HOME: home, ...more };
  const options = { encoding: "utf8", env, cwd: home } as const;
  const { status, stderr } = spawnSync(process.execPath, [keyturn, "--version"], options);
  return { status, stderr };
}

/** Node names the folder of its own inside by its version and the user. */
function kept(path: string): readonly string[] {
  return existsSync(path) ? readdirSync(path, { recursive: true, encoding: "utf8" }) : [];
}

test("what was compiled is kept in a folder of the user, and found there by the next command", () => {
  expect(run()).toEqual({ status: 0, stderr: "" });
  expect(statSync(folder()).mode & 0o777).toBe(0o700);
  const first = kept(folder());
  expect(first.length).toBeGreaterThan(10);
  expect(run()).toEqual({ status: 0, stderr: "" });
  expect(kept(folder())).toEqual(first);
});

test("the folder is where the user has it for what can be made again", () => {
  const XDG_CACHE_HOME = join(home, "elsewhere");
  expect(run({ XDG_CACHE_HOME }).status).toBe(0);
  expect(kept(join(XDG_CACHE_HOME, "keyturn")).length).toBeGreaterThan(10);
  expect(existsSync(folder())).toBe(false);
});

test("a folder that is named from where the command happens to run is none", () => {
  expect(run({ XDG_CACHE_HOME: "elsewhere" }).status).toBe(0);
  expect(kept(folder()).length).toBeGreaterThan(10);
});

test.each(["", "elsewhere"])("a home that is no folder from the root is none: %j", (HOME) => {
  // What a stranger's checkout might hold.
  mkdirSync(join(home, HOME, ".cache", "keyturn"), { recursive: true });
  expect(run({ HOME })).toEqual({ status: 0, stderr: "" });
  expect(kept(join(home, HOME, ".cache", "keyturn"))).toEqual([]);
});

test.each<readonly [string, () => void]>([
  [
    "others can write into it",
    () => {
      mkdirSync(folder(), { recursive: true });
      chmodSync(folder(), 0o702);
    },
  ],
  [
    "others of a group can write into it",
    () => {
      mkdirSync(folder(), { recursive: true });
      chmodSync(folder(), 0o770);
    },
  ],
  // Only root can give a folder away.
  ...(process.getuid?.() === 0
    ? ([
        [
          "it is somebody else's",
          () => {
            mkdirSync(folder(), { recursive: true, mode: 0o755 });
            chownSync(folder(), 65_534, 65_534);
          },
        ],
      ] as const)
    : []),
  [
    "it leads elsewhere",
    () => {
      mkdirSync(join(home, "elsewhere"));
      mkdirSync(join(home, ".cache"));
      symlinkSync(join(home, "elsewhere"), folder());
    },
  ],
  [
    "it is a file",
    () => {
      mkdirSync(join(home, ".cache"));
      writeFileSync(folder(), "");
    },
  ],
  ["there is no room for it", () => writeFileSync(join(home, ".cache"), "")],
])("nothing is kept or believed where %s, and the command works", (_, arrange) => {
  arrange();
  const before = readdirSync(home, { recursive: true });
  expect(run()).toEqual({ status: 0, stderr: "" });
  expect(readdirSync(home, { recursive: true })).toEqual(before);
});
