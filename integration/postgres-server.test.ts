import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

test.each([0, 3])(
  "a process that can start servers ends with the exit code %d that it was to end with",
  (code) => {
    const server = join(import.meta.dirname, "postgres-server.ts");
    const script = `import ${JSON.stringify(server)}; process.exitCode = ${code};`;
    const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
      encoding: "utf8",
    });
    expect({ status, stderr }).toEqual({ status: code, stderr: "" });
  },
);
