import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { complete } from "./complete.ts";
import { keyturnProgram } from "./main.ts";

let directory: string;
let manifest: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "keyturn complete "));
  manifest = join(directory, "my manifest.yaml");
  writeFileSync(
    manifest,
    `stores:
  here: { local: { path: .keyturn } }
  there: { local: { path: .other } }
secrets:
  db-admin: { store: here, type: held }
  a/db:
    store: here
    type: postgres-alternating
    config: { host: h, database: d, owner: a }
    admin: { secret: db-admin }
    fleets: [blue, green]
    tenant: acme
  b/db:
    store: there
    type: postgres-alternating
    config: { host: h, database: d, owner: b }
    admin: { secret: db-admin }
    fleets: [blue]
    tenant: acme
`,
  );
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

const program = await keyturnProgram();

function at(...words: readonly string[]): readonly string[] {
  return complete(program, words).map(({ value }) => value);
}

test.each([
  ["the manifest named before", ["-m", "$M", "rotate", ""], ["a/db", "b/db"]],
  ["the manifest named behind", ["rotate", "-m", "$M", "b"], ["b/db"]],
  ["the manifest named by =", ["rotate", "--manifest=$M", ""], ["a/db", "b/db"]],
  ["the manifest in quotes, as bash hands it over", ["-m", '"$M"', "rotate", "a"], ["a/db"]],
  ["a manifest that is not there", ["-m", "$M.no", "rotate", ""], []],
  ["only one argument is taken", ["-m", "$M", "rotate", "a/db", ""], []],
  ["held secrets", ["-m", "$M", "put", ""], ["db-admin"]],
  [
    "fleets, also the second of several",
    ["-m", "$M", "enrol", "h", "--fleet", "blue", ""],
    ["blue", "green"],
  ],
  ["stores", ["-m", "$M", "serve", "--store", "t"], ["there"]],
  ["a value behind =", ["watch", "--until=re"], ["--until=retired", "--until=retire"]],
  ["a value behind = in three words", ["watch", "--until", "=", "re"], ["retired", "retire"]],
  ["versions", ["revoke", "--which", "p"], ["previous", "pending"]],
  ["files", ["-m", ""], [":files"]],
  ["a free text", ["hold", "--reason", ""], []],
  ["an unknown command", ["nonsense", ""], []],
  ["an inner command", ["audit", "v"], ["verify"]],
  ["choices of an argument", ["completion", "b"], ["bash"]],
  [
    "options of the command and of all",
    ["release", "--"],
    expect.arrayContaining(["--of", "--all", "--json"]),
  ],
  ["short options", ["enrol", "-"], expect.arrayContaining(["-f", "--fleet", "-m"])],
  ["nothing at all", [], expect.arrayContaining(["rotate", "status"])],
])("%s", (_, words, expected) => {
  expect(at(...words.map((word) => word.replaceAll("$M", manifest)))).toEqual(expected);
});

test("what nobody types is not offered", () => {
  expect(at("comp")).toEqual(["completion"]);
});
