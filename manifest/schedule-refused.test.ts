import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { KeyturnError } from "../core/errors.ts";
import { loadManifest } from "./load.ts";
import type { Manifest } from "./manifest.ts";

const path = join(import.meta.dirname, "keyturn.yaml");

function load(store: string, schedule: string): Manifest {
  const text = `stores: { here: { local: { path: .keyturn }${store} } }
secrets:
  billing/db:
    store: here
    type: x
    schedule: ${schedule}
`;
  return loadManifest(path, { readText: () => text });
}

function refusal(store: string, schedule: string): string {
  try {
    load(store, schedule);
  } catch (thrown) {
    if (!(thrown instanceof KeyturnError)) throw thrown;
    expect(thrown.code).toBe("manifest-invalid");
    return thrown.message.replace(/^\S*keyturn\.yaml:/, "");
  }
  throw new Error("the manifest was accepted");
}

describe("a schedule that is refused", () => {
  it.each([
    ["{}", "6:5", "does not say when; write `every`"],
    ["{ window: 02:00-06:00 }", "6:5", "does not say when; write `every`"],
    ["{ every: 30d, cron: 0 3 * * 1 }", "6:35", "cron: stands beside `every`: write one of the two"],
    ["{ every: soon }", "6:24", "every: is not a duration"],
    ["{ evry: 30d }", "6:17", 'unknown field; did you mean "every"?'],
    [
      "{ every: 30d, timeZone: Europe/Berlin }",
      "6:39",
      "timeZone: changes nothing: it is for `cron` and `window`",
    ],
    [
      "{ cron: 0 3 * * 1, timeZone: Europe/Berln }",
      "6:44",
      'there is no time zone "Europe/Berln"; did you mean "Europe/Berlin"?',
    ],
    [
      '{ cron: 0 3 * * 1, timeZone: "+02:00" }',
      "6:44",
      'there is no time zone "+02:00"; write one such as Europe/Berlin',
    ],
    ["{ cron: 0 3 30 2 * }", "6:23", "cron: never comes: there is no such day in any year"],
    ["{ cron: 0 3 * * }", "6:23", "is not a cron expression of five fields; write minute, hour"],
    ["{ cron: 0 0 3 * * 1 }", "6:23", "is not a cron expression of five fields"],
    ['{ cron: "2026-01-01T00:00:00" }', "6:23", "is not a cron expression of five fields"],
    [
      "{ cron: 61 3 * * 1 }",
      "6:23",
      "is not a cron expression: Invalid value for minute: 61; write minute, hour",
    ],
    ['{ cron: "@sometimes" }', "6:23", "is not a cron expression"],
    ['{ cron: "" }', "6:23", "is not a cron expression of five fields"],
    [
      "{ every: 1d, window: 02:00-02:00 }",
      "6:36",
      "window: is of no length; for whole days write 00:00-24:00",
    ],
    ["{ every: 1d, window: 02:00-24:30 }", "6:36", "has a time that is on no clock"],
    ["{ every: 1d, window: 24:00-02:00 }", "6:36", "has a time that is on no clock"],
    ["{ every: 1d, window: 02:60-03:00 }", "6:36", "has a time that is on no clock"],
    [
      "{ every: 1d, window: Sat 2-6 }",
      "6:36",
      "is not a window; write days, times and a time zone, such as `Sat 02:00-06:00 UTC`",
    ],
    ["{ every: 1d, window: Caturday 02:00-06:00 }", "6:36", "names a day that is not in the week"],
    ["{ every: 1d, window: Mon-Wed-Fri 02:00-06:00 }", "6:36", "names a day that is not in the week"],
    ["{ every: 1d, window: Sat 02:00-06:00 Mars/Base }", "6:36", 'there is no time zone "Mars/Base"'],
    ["{ every: 1d, window: [02:00-06:00, Sat] }", "6:50", "window[1]: is not a window"],
    ["{ every: 1d, window: [] }", "6:28", "window: names no window: take it out, or write one"],
    [
      "{ every: 1d, window: 7 }",
      "6:36",
      "must be a window, such as `Sat 02:00-06:00 UTC`, or a list of windows",
    ],
    [
      "{ every: 30d, window: 02:00-04:00, jitter: 3h }",
      "6:58",
      "is longer than the window that it has to fit into: write 2h or less",
    ],
    [
      "{ every: 1h, jitter: 2h }",
      "6:36",
      "is longer than the time from one rotation to the next: write 1h or less",
    ],
    [
      '{ cron: "*/5 * * * *", jitter: 10m }',
      "6:46",
      "is longer than the time from one rotation to the next: write 5m or less",
    ],
  ])("%s", (schedule, place, message) => {
    const told = refusal("", schedule);
    expect(told).toContain(message);
    expect(told.split(" ")[0]).toBe(`${place}:`);
    expect(told).not.toContain("problems");
  });

  it("with all of its problems at once", () => {
    const told = refusal("", "{ cron: 61 3 * * 1, window: [02:00-02:00, Sun 03:00-04:00], jitter: 2h }");
    expect(told).toContain("the manifest has 3 problems");
  });
});

describe("a store's quota", () => {
  it("is kept with the store", () => {
    const manifest = load(", quota: { rotations: 20, per: 1h }", "{ every: 30d }");
    expect(manifest.stores.get("here")?.quota).toEqual({ rotations: 20, perMs: 3_600_000 });
    expect(load("", "{ every: 30d }").stores.get("here")?.quota).toBeUndefined();
  });
  it.each([
    ["{ rotations: 0, per: 1h }", "quota.rotations: must be 1 or more"],
    ["{ rotations: 1.5, per: 1h }", "quota.rotations: must be a whole number"],
    ["{ rotations: many, per: 1h }", "quota.rotations: must be a number, not a text"],
    ["{ rotations: 20 }", "quota.per: is missing"],
    ["{ rotations: 20, pre: 1h }", 'unknown field; did you mean "per"?'],
  ])("%s is refused", (quota, message) => {
    expect(refusal(`, quota: ${quota}`, "{ every: 30d }")).toContain(message);
  });
});

describe("what the guide shows", () => {
  const guide = readFileSync(join(import.meta.dirname, "../docs/schedules.md"), "utf8");

  it("is read, each of its schedules", () => {
    const shown = [...guide.matchAll(/`schedule: ({.*?})`/g)].map(([, schedule = ""]) => schedule);
    expect(shown.length).toBeGreaterThan(5);
    for (const schedule of shown) {
      expect(load("", schedule).secrets.get("billing/db")?.policy.schedule, schedule).toBeDefined();
    }
  });
  it("is read, its manifest", () => {
    const [, text = ""] = /```yaml\n(.*?)```/s.exec(guide) ?? [];
    const manifest = loadManifest(path, { readText: () => text });
    expect(manifest.secrets.get("billing/db")?.policy.schedule).toBeDefined();
    expect(manifest.stores.get("here")?.quota).toEqual({ rotations: 20, perMs: 3_600_000 });
  });
});

it("days may be written out, in any case, and the zone too", () => {
  const schedule =
    '{ every: 30d, window: [Mon-Thu 01:00-04:00, "saturday,sun 00:00 - 24:00"], timeZone: europe/berlin }';
  expect(load("", schedule).secrets.get("billing/db")?.policy.schedule).toBeDefined();
});
