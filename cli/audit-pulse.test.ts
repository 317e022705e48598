import { existsSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { grow } from "../local/audit-tamperings.contract.ts";
import { temporaryStore } from "../local/folder.contract.ts";
import type { LocalStore } from "../local/open.ts";
import { signByPulse } from "./audit-pulse.ts";

afterEach(() => void vi.useRealTimers());

/** The service's part that signs, and what it has logged. */
function pulseOf(local: LocalStore) {
  const lines: { readonly level: string; readonly message: string; readonly fields: unknown }[] = [];
  const { installation, audit, clock } = local;
  const pulse = signByPulse(
    { ...local, ports: { installation, audit, clock } },
    (level, message, fields) => void lines.push({ level, message, fields }),
  );
  return { lines, pulse };
}

async function number({ auditRoots }: LocalStore): Promise<number> {
  return (await auditRoots.end()).number;
}

test("signs when it is stopped, where something has changed", async () => {
  const { local } = await temporaryStore();
  await grow(local, "app/db", 0, 2);
  const first = pulseOf(local);
  await first.pulse.stop();
  expect(first.lines).toMatchObject([
    { level: "info", message: "the audit is signed", fields: { root: 2, chains: 1 } },
  ]);
  const second = pulseOf(local);
  await second.pulse.stop();
  expect(second.lines).toEqual([]);
  expect(await number(local)).toBe(2);
});

test("signs soon after the start, and then every hour", async () => {
  const { local } = await temporaryStore();
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const { lines, pulse } = pulseOf(local);
  for (const [ms, entries] of [
    [60_000, 1],
    [3_600_000, 2],
    [3_600_000, 3],
  ] as const) {
    await grow(local, "app/db", entries - 1, entries);
    vi.advanceTimersByTime(ms - 1);
    expect(lines).toHaveLength(entries - 1);
    vi.advanceTimersByTime(1);
    await vi.waitFor(() => expect(lines).toHaveLength(entries), { timeout: 10_000, interval: 20 });
  }
  await pulse.stop();
  expect(lines.map(({ level }) => level)).toEqual(["info", "info", "info"]);
});

test("goes on without its key, and warns", async () => {
  const { local } = await temporaryStore();
  await grow(local, "app/db", 0, 1);
  await pulseOf(local).pulse.stop();
  rmSync(local.auditKeyFile);
  await grow(local, "app/db", 1, 2);
  const { lines, pulse } = pulseOf(local);
  await pulse.stop();
  expect(lines).toMatchObject([
    { level: "warn", message: "the audit cannot be signed", fields: { code: "key-missing" } },
  ]);
  expect(existsSync(local.auditKeyFile)).toBe(false);
  expect(await number(local)).toBe(2);
});

test("names chains that are not what was signed, and signs the others", async () => {
  const { local, options } = await temporaryStore();
  await grow(local, "app/db", 0, 2);
  await pulseOf(local).pulse.stop();
  truncateSync(join(options.path, "audit", "app%2fdb.jsonl"), 0);
  await grow(local, "app/other", 0, 1);
  const { lines, pulse } = pulseOf(local);
  await pulse.stop();
  expect(lines).toMatchObject([
    { level: "info", fields: { chains: 2 } },
    { level: "error", fields: { secrets: ["app/db"], count: 1 } },
  ]);
});
