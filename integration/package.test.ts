import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = resolve(import.meta.dirname, "..");
const tsc = join(root, "node_modules", ".bin", "tsc");
const manifest: { version: string; dependencies: Record<string, string>; exports: Record<string, unknown> } =
  JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

let folder = "";
let packed: readonly string[] = [];
const user = (): string => join(folder, "user");

/** What a user gets who installs Keyturn and nothing else: no driver, and of the network nothing. */
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "keyturn-package-"));
  const copy = join(folder, "keyturn");
  copyCheckout(copy);
  const [tarball] = JSON.parse(npm(copy, ["pack", "--json", "--silent", "--pack-destination", folder]));
  packed = tarball.files.map((file: { readonly path: string }) => file.path);
  mkdirSync(user());
  writeFileSync(
    join(user(), "package.json"),
    JSON.stringify({ name: "user", type: "module", private: true }),
  );
  // The dependencies come from the checkout, so that the test needs neither a registry nor a cache.
  const dependencies = Object.keys(manifest.dependencies).map((name) => join(root, "node_modules", name));
  const flags = ["--offline", "--no-audit", "--no-fund", "--omit=peer", "--ignore-scripts"];
  npm(user(), ["install", ...flags, join(folder, tarball.filename), ...dependencies]);
}, 120_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the package", () => {
  it("holds what was built, the launcher, and nothing that is for us", () => {
    expect(packed).toEqual(
      expect.arrayContaining([
        "package.json",
        "cli/keyturn.mjs",
        "schemas/keyturn.schema.json",
        "dist/agent/index.js",
        "dist/agent/index.d.ts",
        "dist/bundles/rotate-postgres-alternating/index.mjs",
      ]),
    );
    const foreign = packed.filter(
      (path) =>
        !/^(dist\/(agent|cdk|cli|core|functions|local|manifest|notify|rotators|telemetry)\/.+\.(js|d\.ts)|dist\/bundles\/[a-z-]+\/(index|[A-Z0-9]{8})\.mjs|dist\/bundles\/maps\/[a-z-]+\/(index|[A-Z0-9]{8})\.mjs\.map|cli\/[a-z-]+\.mjs|dashboards\/[a-z]+\.(json|yaml)|schemas\/(cli\/)?[a-z-]+\.schema\.json|[^/]+)$/.test(
          path,
        ),
    );
    expect(foreign).toEqual([]);
    expect(
      packed.filter((path) => /\.(test|contract)\.|generate|memory|model|simulat|gate|chance/.test(path)),
    ).toEqual([]);
  });

  it("is an agent's client without any driver", () => {
    expect(evaluate('import("keyturn/agent").then((agent) => console.log(typeof agent.connect))')).toEqual({
      status: 0,
      stdout: "function\n",
      stderr: "",
    });
  });

  it("asks for the driver only where the pool for PostgreSQL is imported", () => {
    const { status, stderr } = evaluate('import("keyturn/agent/pg")');
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/Cannot find package 'pg'/);

    symlinkSync(join(root, "node_modules", "pg"), join(user(), "node_modules", "pg"));
    const withDriver = evaluate(
      'import("keyturn/agent/pg").then((pg) => console.log(Object.keys(pg).length > 0))',
    );
    rmSync(join(user(), "node_modules", "pg"));
    expect(withDriver).toEqual({ status: 0, stdout: "true\n", stderr: "" });
  });

  it("names the clients of AWS that are missing, and only to whoever connects there", () => {
    const connecting = `connect({ aws: { installation: "prod" }, fleet: "web" })`;
    const { stdout } = evaluate(
      `import("keyturn/agent").then(({ connect }) => ${connecting}).catch(({ code, message }) => console.log(code, message))`,
    );
    expect(stdout).toMatch(/^input-invalid .*@aws-sdk\/client-sqs, @aws-sdk\/client-sts$/m);
  });

  it("keeps to itself what it does not export", () => {
    for (const path of ["keyturn", "keyturn/core/errors", "keyturn/dist/core/errors.js"]) {
      expect(evaluate(`import(${JSON.stringify(path)})`).stderr).toContain("ERR_PACKAGE_PATH_NOT_EXPORTED");
    }
  });

  it("has the command", () => {
    const keyturn = join(user(), "node_modules", ".bin", "keyturn");
    const run = (flag: string): string =>
      execFileSync(keyturn, [flag], { encoding: "utf8", env: nodeFirst() });
    expect(run("--version").trim()).toBe(manifest.version);
    expect(run("--help")).toContain("rotate");
  });

  it("has types that a strict project can use", () => {
    const entries = Object.keys(manifest.exports).map((name, index) => {
      const specifier = JSON.stringify(name.replace(/^\./, "keyturn"));
      return `import type * as entry${index} from ${specifier};\nexport type Entry${index} = typeof entry${index};\n`;
    });
    const use = 'import { connect } from "keyturn/agent";\nexport const mustFail: string = connect;\n';
    writeFileSync(join(user(), "user.mts"), entries.join("") + use);
    // Whoever imports keyturn/cdk has the CDK.
    const installed = ["aws-cdk-lib", "constructs"].map((name) => join(user(), "node_modules", name));
    for (const place of installed) symlinkSync(join(root, "node_modules", basename(place)), place);
    const flags = [
      "--noEmit",
      "--strict",
      "--module",
      "nodenext",
      "--target",
      "es2024",
      "--types",
      "node",
      "--skipLibCheck",
      "false",
    ];
    const roots = ["--typeRoots", join(root, "node_modules", "@types")];
    const { stdout } = spawnSync(tsc, [...flags, ...roots, "user.mts"], { cwd: user(), encoding: "utf8" });
    for (const place of installed) rmSync(place);
    // The one error that is asked for shows that the types were read, and are not `any`.
    const errors = stdout.split("\n").filter((line) => line.includes("error TS"));
    expect(errors).toEqual([expect.stringMatching(/^user\.mts.*TS2322/)]);
  });
});

/** A copy, so that what is built does not land in the checkout, and what lies about in its dist/ is not packed. */
function copyCheckout(copy: string): void {
  const skipped = ["node_modules", "dist", ".git", "coverage", ".keyturn", ".aws-emulators"];
  cpSync(root, copy, {
    recursive: true,
    filter: (from) => !skipped.some((name) => from === join(root, name)),
  });
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
}

function npm(cwd: string, args: readonly string[]): string {
  return execFileSync("npm", args, {
    cwd,
    encoding: "utf8",
    env: nodeFirst(),
    stdio: ["ignore", "pipe", "pipe"],
  });
}

function evaluate(code: string): { status: number | null; stdout: string; stderr: string } {
  const flags = ["--input-type=module", "--eval", code];
  const { status, stdout, stderr } = spawnSync(process.execPath, flags, { cwd: user(), encoding: "utf8" });
  return { status, stdout, stderr };
}

/** The launcher's first line asks for the Node on the path, which may be an older one outside of npm's scripts. */
function nodeFirst(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${join(root, "node_modules", ".bin")}:${process.env.PATH}` };
}
