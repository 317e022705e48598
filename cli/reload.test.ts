import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openLocal } from "../local/open.ts";
import { openManifest } from "./open.ts";
import { reloadManifest } from "./reload.ts";
import { SchedulerQuotas } from "./scheduler-quota.ts";

let folder = "";
let logged: string[] = [];
const log = (level: string, message: string, fields: object = {}): void => {
  logged.push(`${level} ${message} ${JSON.stringify(fields)}`);
};
const path = (): string => join(folder, "keyturn.yaml");

/** A manifest with one secret for each of the fleets. */
function write(fleets: readonly string[], store = "{ local: { path: data, key: key } }"): void {
  const secrets = fleets.map(
    (fleet) =>
      `  ${fleet}/db: { store: here, type: postgres-alternating, config: { host: h, database: d, owner: o, tls: { ca: ca.pem } }, admin: { secret: admin }, fleets: [${fleet}] }`,
  );
  secrets.push("  admin: { store: here, type: held }");
  writeFileSync(path(), `stores: { here: ${store} }\nsecrets:\n${secrets.join("\n")}\n`);
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "keyturn-reload-"));
  logged = [];
  write(["one"]);
  const made = await openLocal({ path: join(folder, "data"), key: join(folder, "key"), create: true });
  await made.close();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("ports that were given out before know the new manifest", async () => {
  await using opened = await openManifest(path());
  const { ports } = await opened.store("here");
  expect(ports.secrets.refs()).toEqual(["one/db"]);
  write(["two", "three"]);
  expect(ports.secrets.refs()).toEqual(["one/db"]);
  expect(reloadManifest(opened, log)).toBe(true);
  expect(ports.secrets.refs()).toEqual(["three/db", "two/db"]);
  expect(ports.secrets.get("one/db")).toBeUndefined();
  expect(ports.secrets.get("two/db")?.fleets).toEqual(["two"]);
  expect(opened.manifest.fleets).toEqual(["three", "two"]);
  expect((await opened.secret("two/db")).ports).toBe(ports);
  expect(logged).toEqual([]);
});

test.each([
  ["is broken", () => writeFileSync(path(), "secrets: { one/db: { store: nowhere, type: x } }"), "nowhere"],
  ["is gone", () => rmSync(path()), "keyturn init"],
  ["has no such store", () => writeFileSync(path(), "stores: {}\n"), "restart"],
  ["keeps the store elsewhere", () => write(["one"], "{ local: { path: other, key: key } }"), "restart"],
  ["has another key", () => write(["one"], "{ local: { path: data } }"), "restart"],
])("a manifest that %s changes nothing, and the log says why", async (_, change, why) => {
  await using opened = await openManifest(path());
  const { ports } = await opened.store("here");
  const before = opened.manifest;
  change();
  expect(reloadManifest(opened, log)).toBe(false);
  expect(opened.manifest).toBe(before);
  expect(ports.secrets.refs()).toEqual(["one/db"]);
  expect(logged).toHaveLength(1);
  expect(logged[0]).toContain("warn the changed manifest cannot be used; the one before it stays in force");
  expect(logged[0]).toContain(why);
  expect(logged[0]).toContain('"code":"manifest-invalid"');
});

test("a quota that the manifest changes is another one, and one that it keeps goes on", async () => {
  write(["one"], "{ local: { path: data, key: key }, quota: { rotations: 1, per: 1h } }");
  await using opened = await openManifest(path());
  const quotas = new SchedulerQuotas(() => opened.manifest.stores);
  quotas.of("here")?.took(1_000);
  opened.reload();
  expect(quotas.of("here")?.opensAt(2_000)).toBeGreaterThanOrEqual(3_601_000);
  write(["one"], "{ local: { path: data, key: key }, quota: { rotations: 2, per: 1h } }");
  opened.reload();
  expect(quotas.of("here")?.opensAt(2_000)).toBe(0);
  write(["one"]);
  opened.reload();
  expect(quotas.of("here")).toBeUndefined();
});
