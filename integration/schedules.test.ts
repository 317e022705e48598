import { readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseDocument } from "yaml";
import { ref, type Stage, setStage } from "../demo/stage.ts";
import { type Running, startKeyturn } from "./keyturn-command.ts";
import { quicken } from "./quicken.ts";

/** What the service does by itself, and how it follows its manifest while it runs. */
let stage: Stage;
let service: Running;
const lines: { readonly level: string; readonly message: string; readonly code?: string }[] = [];

beforeAll(async () => {
  stage = await setStage({ maxConnections: 20 });
  quicken(stage.manifestPath, ref, { cacheTtl: "50ms", atLeast: "50ms", atMost: "200ms" });
  await stage.keyturn(["rotate", ref, "--wait", "--json"]);
  service = startKeyturn(["-m", stage.manifestPath, "serve", "--json"]);
  createInterface({ input: service.child.stderr ?? process.stdin }).on("line", (line) => {
    if (line.startsWith("{")) lines.push(JSON.parse(line));
  });
});

afterAll(async () => {
  service.child.kill("SIGKILL");
  await service.ended;
  await stage[Symbol.asyncDispose]();
});

const said = (message: string): boolean => lines.some((line) => line.message === message);
const patience = { timeout: 25_000 };

function setSchedule(schedule: Readonly<Record<string, unknown>>): void {
  change(["secrets", ref, "schedule"], schedule);
}

function change(field: readonly string[], value: unknown): void {
  const document = parseDocument(readFileSync(stage.manifestPath, "utf8"));
  if (value === undefined) document.deleteIn(field);
  else document.setIn(field, value);
  writeFileSync(stage.manifestPath, document.toString());
}

async function began(): Promise<readonly string[]> {
  const { ports } = await stage.opened.secret(ref);
  const found: string[] = [];
  for await (const { action, detail } of ports.audit.read(ref))
    if (action === "rotate.began") found.push(detail);
  return found;
}

async function dueInMs(): Promise<number> {
  const { ports } = await stage.opened.secret(ref);
  const loaded = await ports.journal.load(ref);
  return (loaded?.record.dueAt ?? Number.POSITIVE_INFINITY) - Date.now();
}

test("a schedule that comes into the manifest begins without a restart, and one that leaves it ends", async () => {
  await expect.poll(() => said("serving") && said("worker ready"), patience).toBe(true);
  expect(await began()).toHaveLength(1);
  setSchedule({ every: "1s" });
  await expect.poll(async () => (await began()).length, patience).toBeGreaterThan(2);
  expect((await began()).at(-1)).toBe("requested by schedule");

  const good = readFileSync(stage.manifestPath, "utf8");
  writeFileSync(stage.manifestPath, good.replace("every: 1s", "cron: 0 3 30 2 *"));
  await expect.poll(() => lines.filter(({ code }) => code === "manifest-invalid").length, patience).toBe(1);
  const before = (await began()).length;
  await expect.poll(async () => (await began()).length, patience).toBeGreaterThan(before);

  const nextHour = (new Date().getUTCHours() + 2) % 24;
  const window = `${String(nextHour).padStart(2, "0")}:00-${String(nextHour).padStart(2, "0")}:30 UTC`;
  setSchedule({ every: "1s", window });
  await expect.poll(dueInMs, patience).toBeGreaterThan(50 * 60_000);
  expect(await dueInMs()).toBeLessThan(3 * 3_600_000);
  const resting = (await began()).length;
  await stage.keyturn(["rotate", ref, "--wait", "--json"]);
  expect((await began()).slice(resting)).toHaveLength(1);
  expect((await began()).at(-1)).not.toBe("requested by schedule");
}, 120_000);

test("a quota that comes into the manifest holds a schedule up, and nothing that a person asks for", async () => {
  setSchedule({ every: "1s" });
  const before = (await began()).length;
  await expect.poll(async () => (await began()).length, patience).toBeGreaterThan(before);
  change(["stores", "here", "quota"], { rotations: 1, per: "1h" });
  await expect.poll(dueInMs, patience).toBeGreaterThan(50 * 60_000);
  const held = (await began()).length;
  await stage.keyturn(["rotate", ref, "--wait", "--json"]);
  expect(await began()).toHaveLength(held + 1);
  change(["stores", "here", "quota"], undefined);
  await expect.poll(async () => (await began()).length, patience).toBeGreaterThan(held + 1);
}, 120_000);

test("it stops in good order", async () => {
  service.child.kill("SIGTERM");
  const { code } = await service.ended;
  expect(code).toBe(0);
});
