import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { placeNames } from "../faults/places.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "keyturn-ci-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly last: string | undefined;
}

function run(command: string, args: readonly string[], env = process.env): Ended {
  const { status, stdout } = spawnSync(command, args, { encoding: "utf8", env });
  return { status, stdout, last: stdout.trimEnd().split("\n").at(-1) };
}

const script = (name: string): string => join(import.meta.dirname, name);
const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);

describe("the count", () => {
  const count = (): Ended => run(process.execPath, [script("count.mjs"), folder]);
  const results = (statuses: readonly string[], more = {}): string =>
    JSON.stringify({
      success: !statuses.includes("failed"),
      testResults: [{ status: "passed", assertionResults: statuses.map((status) => ({ status })) }],
      ...more,
    });

  it("adds up tests one by one, and other parts as one each", () => {
    write("parts.tsv", "install\tunfinished\ninstall\t0\nlint\t0\ntest\t0\ntest:integration\t0\n");
    write("test.json", results(["passed", "passed", "passed", "skipped"]));
    write("test:integration.json", results(["passed"]));
    const { status, stdout, last } = count();
    expect({ status, last }).toEqual({ status: 0, last: "6 passed, 0 failed" });
    expect(stdout).toContain("3 passed, 0 failed, 1 skipped");
  });

  it("names what failed, and why, just before the sum", () => {
    write("parts.tsv", "test\t1\n");
    const file = join(process.cwd(), "core", "some.test.ts");
    const unloaded = { name: file, status: "failed", message: "no such\nmodule", assertionResults: [] };
    const failed = {
      status: "failed",
      fullName: "it holds",
      failureMessages: [`2 is not\n  ${"3".repeat(400)}`],
    };
    const testResults = [unloaded, { name: file, status: "failed", assertionResults: [failed] }];
    write("test.json", JSON.stringify({ success: false, testResults }));
    expect(count().stdout.trimEnd().split("\n").slice(-3)).toEqual([
      "FAILED  test: core/some.test.ts : no such module",
      `FAILED  test: core/some.test.ts it holds: 2 is not ${"3".repeat(291)}`,
      "0 passed, 2 failed",
    ]);
  });

  it.each([
    ["a part that failed", "lint\t0\ndemo\t1\n", undefined, "1 passed, 1 failed"],
    ["a part that did not end", "lint\t0\ndemo\tunfinished\n", undefined, "1 passed, 1 failed"],
    ["a part that took too long", "lint\t0\ndemo\t124\n", undefined, "1 passed, 1 failed"],
    ["a test that failed", "test\t1\n", results(["passed", "failed", "failed"]), "1 passed, 2 failed"],
    ["an error outside of the tests", "test\t1\n", results(["passed"]), "1 passed, 1 failed"],
    ["tests that found no tests", "lint\t0\ntest\t0\n", results([]), "1 passed, 1 failed"],
    ["tests that were all skipped", "lint\t0\ntest\t0\n", results(["skipped"]), "1 passed, 1 failed"],
    ["tests without a report", "lint\t0\ntest\t0\n", undefined, "1 passed, 1 failed"],
    ["a report that was cut off", "lint\t0\ntest\t0\n", '{"success": true, "testRes', "1 passed, 1 failed"],
    [
      "a file that could not be loaded",
      "test\t1\n",
      results(["passed"], {
        success: false,
        testResults: [
          { status: "failed", assertionResults: [] },
          { status: "failed", assertionResults: [] },
          { status: "passed", assertionResults: [{ status: "passed" }] },
        ],
      }),
      "1 passed, 2 failed",
    ],
    ["nothing at all", "", undefined, "0 passed, 1 failed"],
  ])("tells of %s", (_, parts, report, expected) => {
    write("parts.tsv", parts);
    if (report !== undefined) write("test.json", report);
    const { status, last } = count();
    expect({ status, last }).toEqual({ status: 1, last: expected });
  });
});

describe("the claims", () => {
  const demo = {
    rotations: 3,
    agents: 200,
    queries: 5_000,
    failedQueries: 0,
    adoptedMs: { p50: 800, p99: 1_500 },
    killedWorkers: 1,
    heldTransactions: 1,
    revoke: { identifiedMs: 10, refusedMs: 100, sessionsEnded: 4, fleetAdoptedMs: 900 },
    auditVerified: true,
  };
  const bench = {
    rotation: {
      keyturnMs: 60,
      bareMs: 30,
      ratio: 2,
      connections: { throughFinish: 2, throughFinishFailing: 0, retire: 1, retireRefused: 1 },
    },
    agent: { warmNs: 200, mapNs: 200, warmRatio: 1, readsAtExpiry: 1 },
    revoke: { sessions: 100, sessionsEnded: 100, refusedMs: 300 },
    cutover: { gapMs: 40, gapMaxMs: 60 },
    due: { records: 1_000_000, due: 100, dueMs: 0.1, tickMs: 0.1, dueRatio: 1, tickRatio: 1 },
  };
  const check = (what: string, output: string): number | null => {
    write("output", output);
    return run(process.execPath, [script("claims.mjs"), what, join(folder, "output")]).status;
  };

  it("hold for good numbers in the last line", () => {
    expect(check("demo", `Rotation 1\n${JSON.stringify(demo)}\n`)).toBe(0);
    expect(check("bench", `${JSON.stringify(bench)}\n`)).toBe(0);
  });

  it.each([
    { failedQueries: 1 },
    { failedQueries: undefined },
    { queries: 0 },
    { agents: 20 },
    { rotations: 2 },
    { killedWorkers: 0 },
    { heldTransactions: 0 },
    { adoptedMs: { p50: 1, p99: 61_000 } },
    { adoptedMs: { p50: null, p99: null } },
    { revoke: { ...demo.revoke, refusedMs: 61_000 } },
    { revoke: { ...demo.revoke, sessionsEnded: 0 } },
    { revoke: undefined },
    { auditVerified: "yes" },
  ])("do not hold for a demo with %j", (change) => {
    expect(check("demo", JSON.stringify({ ...demo, ...change }))).toBe(1);
  });

  it.each([
    {
      rotation: {
        ...bench.rotation,
        connections: { ...bench.rotation.connections, throughFinishFailing: 1 },
      },
    },
    { agent: { ...bench.agent, readsAtExpiry: 2 } },
    { revoke: { ...bench.revoke, sessionsEnded: 99 } },
    { rotation: undefined },
  ])("do not hold for a benchmark with %j", (change) => {
    expect(check("bench", JSON.stringify({ ...bench, ...change }))).toBe(1);
  });

  it("do not hold for what is no JSON, is not there or has no claims", () => {
    expect(check("demo", "Error: no\n")).toBe(1);
    expect(check("demo", "")).toBe(1);
    expect(check("nothing", "{}")).toBe(1);
    expect(run(process.execPath, [script("claims.mjs"), "demo", join(folder, "nowhere")]).status).toBe(1);
  });
});

describe("the run", () => {
  const steps = readFileSync(script("run"), "utf8");

  it("has every step of `npm run check`, and the other scripts of the README", () => {
    const { scripts } = JSON.parse(readFileSync(join(import.meta.dirname, "..", "package.json"), "utf8"));
    const checked = [...String(scripts.check).matchAll(/npm run --silent (\S+)/g)].map(([, name]) => name);
    expect(checked.length).toBeGreaterThanOrEqual(5);
    for (const name of [...checked, "test:integration", "demo", "faults", "bench"]) {
      expect(steps).toContain(`npm run --silent ${name}`);
    }
  });

  it("tries faults in every place that ports are in", () => {
    for (const place of placeNames.filter((name) => name !== "local")) {
      expect(steps).toContain(`npm run --silent faults -- --place ${place}`);
    }
  });

  it("has every project of the integration tests, each once", () => {
    const config = readFileSync(join(import.meta.dirname, "..", "vitest.integration.config.ts"), "utf8");
    const projects = [...config.matchAll(/^ +name: "(\w+)"/gm)].map(([, name]) => name);
    expect(projects.length).toBeGreaterThanOrEqual(4);
    const run = [...steps.matchAll(/--project (\w+)/g)].map(([, name]) => name);
    expect(run.toSorted()).toEqual(projects.toSorted());
  });

  /** In a clone of its own, with an npm that does as it is told. */
  function withNpm(npm: string): Ended {
    mkdirSync(join(folder, "bin"));
    mkdirSync(join(folder, ".ci"));
    for (const name of ["run", "count.mjs", "claims.mjs"]) cpSync(script(name), join(folder, ".ci", name));
    write("bin/npm", `#!/usr/bin/env bash\n${npm}\n`);
    chmodSync(join(folder, "bin/npm"), 0o755);
    const env = { ...process.env, PATH: `${join(folder, "bin")}:${process.env.PATH}` };
    return run(join(folder, ".ci", "run"), [], env);
  }

  it("ends at once, and with the count, where the installation fails", () => {
    const { status, stdout, last } = withNpm('[ "$1" = --version ] || exit 7');
    expect({ status, last }).toEqual({ status: 1, last: "0 passed, 1 failed" });
    expect(stdout).toContain("install: exit code 7");
    expect(stdout).not.toContain("=== lint");
  });

  it("goes on after a part that crashes, and counts every one", () => {
    const { status, stdout, last } = withNpm('case "$*" in *types*|*demo*) kill -SEGV $$;; esac');
    // install, format, lint, unused, faults here and on AWS, bench and canaries end well; types and demo crash; the tests leave no report, and neither the numbers nor an emulator are there.
    expect({ status, last }).toEqual({ status: 1, last: "8 passed, 9 failed" });
    expect(stdout).toContain("=== bench: exit code 0");
  });

  it("counts what it has when it is stopped", () => {
    const { status, last } = withNpm('case "$*" in *lint*) kill -TERM "$(ps -o ppid= -p "$PPID")";; esac');
    expect({ status, last }).toEqual({ status: 1, last: "2 passed, 1 failed" });
  });
});
