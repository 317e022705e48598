import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runKeyturn } from "../keyturn-command.ts";

test("init for a store on AWS writes the entry, stores nothing, and says what is left to do", async () => {
  const directory = mkdtempSync(join(tmpdir(), "keyturn-init-aws-"));
  const path = join(directory, "keyturn.yaml");
  writeFileSync(
    path,
    'stores: { prod: { aws: { account: "111122223333", region: eu-west-1 } } }\nsecrets: {}\n',
  );
  const where = ["--host", "db.internal", "--database", "billing", "--owner", "billing"];
  const ended = await runKeyturn(["init", "billing/db", ...where, "--fleet", "web"], {
    directory,
    input: "keyturn_admin\ncanary-admin-of-init\n",
  });
  const manifest = readFileSync(path, "utf8");
  rmSync(directory, { recursive: true });
  expect(ended.stderr).toContain("nothing was stored there");
  expect(ended.stderr).toContain("keyturn import billing/db --from-store");
  expect(ended.code).toBe(0);
  expect(ended.stdout).toContain("keyturn_admin");
  expect(manifest).toContain("billing/db-admin");
  expect(manifest + ended.stdout + ended.stderr).not.toContain("canary");
});
