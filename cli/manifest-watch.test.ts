import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ManifestWatch } from "./manifest-watch.ts";

const everyMs = 20;
const patience = { timeout: 15_000 };
let folder = "";
let told: boolean[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "keyturn-watch-"));
  told = [];
  writeFileSync(join(folder, "keyturn.yaml"), "secrets: {}\n");
});
afterEach(() => rmSync(folder, { recursive: true }));

function watch(files: () => readonly string[] = () => [join(folder, "keyturn.yaml")]): Disposable {
  return new ManifestWatch(files, (isChanged) => told.push(isChanged), everyMs);
}

test("what nobody touches is told of by nobody", async () => {
  using _watch = watch();
  await sleep(everyMs * 10);
  expect(told).toEqual([]);
});

test.each([
  ["written over", () => writeFileSync(join(folder, "keyturn.yaml"), "secrets: {}#\n")],
  [
    "replaced, with the same length",
    () => {
      writeFileSync(join(folder, "draft"), "stores:  {}\n");
      renameSync(join(folder, "draft"), join(folder, "keyturn.yaml"));
    },
  ],
  ["taken away", () => rmSync(join(folder, "keyturn.yaml"))],
])("a file that is %s is told of once", async (_, change) => {
  using _watch = watch();
  change();
  await expect.poll(() => told, patience).toEqual([true]);
  await sleep(everyMs * 10);
  expect(told).toEqual([true]);
});

test("a link that leads elsewhere is told of, as where a volume is replaced as a whole", async () => {
  for (const name of ["one", "two"]) {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, "keyturn.yaml"), "secrets: {}\n");
  }
  symlinkSync("one", join(folder, "data"));
  using _watch = watch(() => [join(folder, "data", "keyturn.yaml")]);
  symlinkSync("two", join(folder, "next"));
  renameSync(join(folder, "next"), join(folder, "data"));
  await expect.poll(() => told, patience).toEqual([true]);
});

test("a file that is still being written is waited for", async () => {
  using _watch = watch();
  const until = performance.now() + everyMs * 10;
  while (performance.now() < until) {
    appendFileSync(join(folder, "keyturn.yaml"), "#\n");
    await sleep(1);
  }
  expect(told.length).toBeLessThanOrEqual(3);
  await expect.poll(() => told.length, patience).toBeGreaterThanOrEqual(1);
});

test("the files that the new manifest includes are watched from then on", async () => {
  const files = [join(folder, "keyturn.yaml")];
  using _watch = new ManifestWatch(
    () => files,
    (isChanged) => {
      told.push(isChanged);
      if (files.length === 1) files.push(join(folder, "team.yaml"));
    },
    everyMs,
  );
  writeFileSync(join(folder, "team.yaml"), "secrets: {}\n");
  writeFileSync(join(folder, "keyturn.yaml"), "include: [team.yaml]\n");
  await expect.poll(() => told, patience).toEqual([true]);
  writeFileSync(join(folder, "team.yaml"), "secrets: {} # changed\n");
  await expect.poll(() => told, patience).toEqual([true, true]);
});

test("where files are included it is time to look for others now and then", async () => {
  writeFileSync(join(folder, "team.yaml"), "secrets: {}\n");
  using _watch = watch(() => [join(folder, "keyturn.yaml"), join(folder, "team.yaml")]);
  await expect.poll(() => told, patience).toContain(false);
});
