import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";

const check = new URL("./node-version.mjs", import.meta.url).href;
const command = new URL("./keyturn.mjs", import.meta.url).href;

/** Runs a module on this Node, which says that it is another. */
function run(module: string, version: string): { status: number | null; stdout: string; stderr: string } {
  const pretend = `Object.defineProperty(process.versions, "node", { value: ${JSON.stringify(version)} });`;
  const load = `await import(${JSON.stringify(module)});`;
  const flags = ["--input-type=module", "--eval", pretend + load];
  return spawnSync(process.execPath, flags, { encoding: "utf8" });
}

describe("on an older Node", () => {
  it.each(["18.20.4", "20.20.2", "22.11.0", "23.99.99", "4.0.0"])(
    "%s: one line that says what to do",
    (version) => {
      for (const module of [check, command]) {
        const { status, stdout, stderr } = run(module, version);
        expect({ status, stdout }).toEqual({ status: 78, stdout: "" });
        expect(stderr).toMatch(/^keyturn needs Node 24 or later; this is Node [\d.]+\. .+\n$/);
        expect(stderr).toContain(version);
      }
    },
  );
});

describe("on a Node that is new enough", () => {
  it.each([process.versions.node, "24.0.0", "25.1.0", "100.0.0"])("%s: silence", (version) => {
    expect(run(check, version)).toMatchObject({ status: 0, stdout: "", stderr: "" });
  });
});
