import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { KnownRuns } from "./known.ts";
import type { Run } from "./run.ts";

let root: string;
const needed = [
  "package-lock.json",
  "cli/who.ts",
  "integration/postgres-server.ts",
  "integration/postgres-target.ts",
];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "keyturn-known-"));
  for (const folder of ["core/deep", "rotators", "local", "faults", "integration"])
    mkdirSync(join(root, folder), { recursive: true });
  mkdirSync(join(root, "cli"));
  for (const file of [...needed, "core/deep/next.ts", "core/next.test.ts"])
    writeFileSync(join(root, file), "");
});
afterEach(() => rmSync(root, { recursive: true }));

const well: Run = { ending: "converged", why: "", what: "journal.save", looks: 3 };
const lost: Run = { ending: "lost", why: "no value works", what: "journal.save", looks: 1 };

test("what has ended is known to whoever goes on, well or not, by its case and its boundary", () => {
  const before = KnownRuns.of(root, ["local"]);
  before.keep("killed", 3, well);
  before.keep("killed", 4, lost);
  const after = KnownRuns.of(root, ["local"]);
  expect([after.count, after.get("killed", 3), after.get("killed", 4)]).toEqual([2, well, lost]);
  expect([after.get("killed", 5), after.get("stopped", 3), before.count]).toEqual([undefined, undefined, 0]);
});

test.each([...needed, "core/deep/next.ts", "core/deep/more.ts", "faults/judge.ts"])(
  "of other code nothing is known: %s",
  (file) => {
    KnownRuns.of(root, ["local"]).keep("killed", 3, well);
    writeFileSync(join(root, file), "changed");
    expect(KnownRuns.of(root, ["local"]).count).toBe(0);
  },
);

test("what is known of one place is not known of another", () => {
  KnownRuns.of(root, ["local"]).keep("killed", 3, well);
  expect(KnownRuns.of(root, ["cli/who.ts"]).count).toBe(0);
});

test("a changed test changes nothing of it", () => {
  KnownRuns.of(root, ["local"]).keep("killed", 3, well);
  writeFileSync(join(root, "core/next.test.ts"), "changed");
  expect(KnownRuns.of(root, ["local"]).count).toBe(1);
});

test("a line that was cut off is a run that was not made, and spoils none that comes after it", () => {
  const runs = KnownRuns.of(root, ["local"]);
  runs.keep("killed", 3, well);
  const folder = join(root, "node_modules/.cache/keyturn-faults");
  const [file = ""] = readdirSync(folder);
  appendFileSync(join(folder, file), readFileSync(join(folder, file), "utf8").slice(0, 30));
  runs.keep("killed", 4, lost);
  const after = KnownRuns.of(root, ["local"]);
  expect([after.count, after.get("killed", 3), after.get("killed", 4)]).toEqual([2, well, lost]);
});
