import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { simulate } from "../local/simulation.ts";

// Each of them waits for a process or two on a machine with much else to do.
vi.setConfig({ testTimeout: 120_000 });

/** The command as docs/simulation.md has it, in a process of its own. */
const root = join(import.meta.dirname, "..");
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "keyturn-simulate-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(
  environment: Readonly<Record<string, string>>,
  args: readonly string[] = [],
): Promise<Ended & { readonly lines: readonly string[] }> {
  const { SEED: _, SIMULATIONS: __, ...inherited } = process.env;
  const child = spawn("npm", ["run", "simulate", ...(args.length === 0 ? [] : ["--", ...args])], {
    cwd: root,
    env: { ...inherited, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const)
    child[stream].on("data", (chunk: unknown) => {
      said[stream] += String(chunk);
    });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, ...said, lines: said.stdout.trimEnd().split("\n") }));
  });
}

/** Has the command simulate a core that never looks at a grace again: its modules take that world for the one that there is. */
function withBrokenCore(): Readonly<Record<string, string>> {
  const [world, hooks] = ["world.mjs", "hooks.mjs"].map((name) => join(folder, name));
  const urlOf = (path: string | undefined) => JSON.stringify(pathToFileURL(path ?? ""));
  writeFileSync(
    world ?? "",
    `import { BrokenPromise, simulate as real } from ${urlOf(join(root, "local/simulation.ts"))};
    const dueAt = ({ state, dueAt }) => (state.phase === "grace" ? null : dueAt);
    const spoil = ({ journal, ...ports }) => ({
      ...ports,
      journal: { ...journal, save: (record, revision) => journal.save({ ...record, dueAt: dueAt(record) }, revision) },
    });
    export { BrokenPromise };
    export const simulate = (seed) => real(seed, spoil);`,
  );
  writeFileSync(
    hooks ?? "",
    `import { registerHooks } from "node:module";
    registerHooks({
      resolve: (specifier, context, next) =>
        specifier === "./simulation.ts" && /\\/local\\/simulate(-worker)?\\.ts$/.test(context.parentURL ?? "")
          ? { url: ${urlOf(world)}, format: "module", shortCircuit: true }
          : next(specifier, context),
    });`,
  );
  return { NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ""} --import=${pathToFileURL(hooks ?? "")}` };
}

test("one seed tells its story, the same as ever, and its sum", async () => {
  const { code, lines } = await run({ SEED: "41", SIMULATIONS: "1" });
  expect(code).toBe(0);
  expect(lines.at(-1)).toMatch(/^seed 41, 0 broken: \d+ converged, .*\d+ undone, .*\d+ debt paid$/);
  const { story } = await simulate(41);
  expect(lines.slice(-story.length - 1, -1)).toEqual(story);
});

test.each([
  ["by the environment", { SEED: "7", SIMULATIONS: "12" }, []],
  ["by arguments, which come first", { SEED: "x", SIMULATIONS: "x" }, ["--seed", "7", "--seeds", "12"]],
])("many seeds are counted %s, and the last line is the sum", async (_, environment, args) => {
  const { code, lines } = await run(environment, args);
  expect(code).toBe(0);
  expect(lines.at(-1)).toMatch(/^12 seeds, 0 broken, \d+ s: [1-9]\d* converged, /);
  expect(lines).toContainEqual(expect.stringMatching(/^dies at: [1-9]\d*$/));
});

test("a broken promise ends the command with 1, and its seed tells the story of it by the command that is named", async () => {
  const broken = withBrokenCore();
  const many = await run({ ...broken, SEED: "1", SIMULATIONS: "12" });
  expect(many.code).toBe(1);
  const [told = "", seed = ""] =
    /^seed (\d+): .*nobody would ever look at it again.*$/m.exec(many.stderr) ?? [];
  expect(many.lines.at(-1)).toMatch(/^\d+ seeds, [1-9]\d* broken, \d+ s: /);
  const [, first, simulations] =
    /^its story: SEED=(\d+) SIMULATIONS=(\d+) npm run simulate$/.exec(many.lines.at(-2) ?? "") ?? [];
  expect([first, simulations]).toEqual([seed, "1"]);

  const one = await run({ ...broken, SEED: seed, SIMULATIONS: "1" });
  expect(one.code).toBe(1);
  expect(one.lines.at(-1)).toBe(told);
  expect(one.lines.filter((line) => /^\S+\/\S+ {2}/.test(line)).length).toBeGreaterThan(20);
  // It is the core that is broken there, and not the seed.
  expect(await run({ SEED: seed, SIMULATIONS: "1" })).toMatchObject({ code: 0 });
});

test.concurrent.each([
  [{ SEED: "one" }, [], 2, "", 'SEED is a number from 1 to 999999999, and not "one"\n\nnpm run simulate'],
  [{}, ["--sedes", "5"], 2, "", "Unknown option '--sedes'"],
  [{ SEED: "one" }, ["--help"], 0, "SIMULATIONS in the environment", ""],
])("%j and %j end with %i before anything is simulated", async (environment, args, code, out, problem) => {
  const { stdout, stderr, ...ended } = await run(environment, args);
  expect(ended.code).toBe(code);
  expect(stdout).toContain(out);
  expect(stderr).toContain(problem);
  expect(stdout).not.toMatch(/[0-9] broken/);
});
