import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import type { Log, Result } from "sarif";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import * as z from "zod/mini";
import { LintResult } from "../../cli/results/lint.ts";
import { lintRules } from "../../manifest/lint.ts";
import { type Ended, runKeyturn, startKeyturn } from "../keyturn-command.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "keyturn-lint-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** Runs `keyturn lint` beside a manifest. */
function lint(manifest: string | undefined, ...args: readonly string[]): Promise<Ended> {
  if (manifest !== undefined) writeFileSync(join(directory, "keyturn.yaml"), manifest);
  const environment = {
    ...process.env,
    HOME: join(directory, "home"),
    XDG_CONFIG_HOME: join(directory, "config"),
    // What was compiled is kept, whatever the command.
    XDG_CACHE_HOME: process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"),
  };
  return runKeyturn(["lint", ...args], { directory, environment });
}

const head = "stores: { here: { local: { path: .keyturn } } }\n";
const warned = `${head}secrets: { billing/db-admin: { store: here, type: held } }
policies: [{ match: "prod/**", maxAge: 1d }]
`;
const breaching = `${head}policies:
  - { match: "**", maxAge: 90d, requires: [both-live] }
secrets:
  billing/db-admin:
    store: here
    type: postgres-password
    config: { host: db.internal, database: billing, username: keyturn_admin }
    admin: { secret: billing/db-admin }
    schedule: { every: 100d }
`;
const broken = `${head}secrets:
  billing/db:
    store: here
    type: postgres-alternating
    admin: { secret: billing/db-admin }
    config: { host: db.internal, databas: billing, owner: billing, password: canary-hunter2 }
`;

describe("keyturn lint", () => {
  it("ends with 0 where it has nothing to say, or only advice", async () => {
    expect(await lint(head)).toEqual({ code: 0, stdout: "", stderr: "1 file read, nothing found\n" });
    const { code, stdout } = await lint(warned);
    expect(code).toBe(0);
    expect(stdout).toContain(
      'keyturn.yaml:3:21: warning: "prod/**" matches no secret [advice/policy-for-nothing]',
    );
  });

  it("ends with 6 where a policy is not kept, and names rule, place and remedy", async () => {
    const { code, stdout, stderr } = await lint(breaching);
    expect(code).toBe(6);
    expect(stdout).toContain(
      'keyturn.yaml:10:5: error: billing/db-admin may go 100d without a rotation, and no value may become older than 90d (policy "**") [policy/max-age]\n    give it a `schedule`',
    );
    expect(stdout).toContain("keyturn.yaml:7:11: error: billing/db-admin is of the type postgres-password");
    expect(stderr).toBe("1 file read: 2 errors, 1 warning\n");
  });

  it("tells a broken manifest's problems, its types' configs included, and no value", async () => {
    const { code, stdout, stderr } = await lint(broken);
    expect(code).toBe(6);
    expect(stdout.match(/: error: /g)).toHaveLength(5);
    expect(stdout).toContain(
      'keyturn.yaml:6:22: error: secrets["billing/db"].admin.secret: there is no secret "billing/db-admin"',
    );
    expect(stdout).toContain(
      'keyturn.yaml:7:34: error: secrets["billing/db"].config.databas: unknown field; did you mean "database"?',
    );
    expect(stdout).toContain('secrets["billing/db"].config.password: is named like a secret');
    expect(stdout + stderr).not.toContain("canary-hunter2");
  });

  it("ends with 2 where there is nothing to read", async () => {
    const absent = await lint(undefined);
    expect([absent.code, absent.stdout]).toEqual([2, ""]);
    expect(absent.stderr).toContain("keyturn.yaml is not there; `keyturn init` makes a manifest");
    const folder = await lint(undefined, "--json", "--manifest", ".");
    expect(folder.code).toBe(2);
    expect(JSON.parse(folder.stdout).error).toMatchObject({ code: "manifest-invalid" });
  });

  it("changes and makes nothing: neither store nor key", async () => {
    await lint(breaching);
    expect(readdirSync(directory)).toEqual(["keyturn.yaml"]);
  });
});

describe("its forms for machines", () => {
  it("--json is one line", async () => {
    const { code, stdout, stderr } = await lint(breaching, "--json");
    expect([code, stderr]).toEqual([6, ""]);
    expect(stdout.trimEnd().split("\n")).toHaveLength(1);
    const result: LintResult = z.parse(LintResult, JSON.parse(stdout));
    expect(result).toMatchObject({ passed: false, errors: 2, warnings: 1 });
    expect(result.findings[1]).toEqual({
      rule: "policy/requires-both-live",
      severity: "error",
      secret: "billing/db-admin",
      file: "keyturn.yaml",
      line: 7,
      column: 11,
      message: expect.stringContaining("postgres-password"),
      remedy: expect.stringContaining("postgres-alternating"),
    });
  });

  it("--format sarif is a SARIF log whose results lead to rules and places", async () => {
    mkdirSync(join(directory, "teams x"));
    writeFileSync(join(directory, "teams x", "a#b.yaml"), breaching.replace(head, ""));
    const { code, stdout } = await lint(`include: ["teams x/*.yaml"]\n${head}`, "--format", "sarif");
    expect(code).toBe(6);
    const log: Log = JSON.parse(stdout);
    expect(log.version).toBe("2.1.0");
    expect(log.runs).toHaveLength(1);
    const [run] = log.runs;
    const rules = run?.tool.driver.rules ?? [];
    const results: readonly Result[] = run?.results ?? [];
    expect(rules.map(({ id }) => id)).toEqual(lintRules.map(({ id }) => id));
    expect(results.map(({ ruleId, level }) => [ruleId, level])).toEqual([
      ["advice/nobody-told", "warning"],
      ["policy/requires-both-live", "error"],
      ["policy/max-age", "error"],
    ]);
    for (const { ruleId, ruleIndex, message, locations } of results) {
      expect(rules[ruleIndex ?? -1]?.id).toBe(ruleId);
      expect(message.text?.length).toBeGreaterThan(20);
      const { artifactLocation, region } = locations?.[0]?.physicalLocation ?? {};
      // A relative reference: a `#` or a space in a name must not end it.
      expect(["teams%20x/a%23b.yaml", "keyturn.yaml"]).toContain(artifactLocation?.uri);
      expect(region?.startLine).toBeGreaterThan(0);
      expect(region?.startColumn).toBeGreaterThan(0);
    }
  });

  it("refuses both at once, and a form that there is not", async () => {
    const both = await lint(head, "--json", "--format", "sarif");
    expect(both.code).toBe(2);
    expect(both.stderr).toContain("choose one");
    expect((await lint(head, "--format", "xml")).code).toBe(2);
  });

  it("works in a pipe that closes", async () => {
    const many = Array.from(
      { length: 3_000 },
      (_, index) => `  s${index}: { store: here, type: held, fleets: [a] }\n`,
    );
    writeFileSync(join(directory, "keyturn.yaml"), `${head}secrets:\n${many.join("")}`);
    const { child, ended } = startKeyturn(["lint"], { directory });
    child.stdout?.destroy();
    // The stream ends with an error here, for it is we who closed it.
    const left = new Promise((resolve) => child.once("exit", resolve));
    await ended.catch(() => undefined);
    expect(await left).toBe(6);
  });
});
