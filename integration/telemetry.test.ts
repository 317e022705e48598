import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseDocument } from "yaml";
import { connect } from "../agent/index.ts";
import { createPool } from "../agent/pg.ts";
import { openManifest } from "../cli/open.ts";
import { request, storeValue } from "../core/operate.ts";
import type { Ports } from "../core/ports.ts";
import { Secret } from "../core/secret.ts";
import { metricTable } from "../telemetry/metrics.ts";
import { idsOf } from "../telemetry/rotation-ids.ts";
import { type Ended, runKeyturn, startKeyturn } from "./keyturn-command.ts";
import { type OtlpReceiver, startOtlpReceiver } from "./otlp-receiver.ts";
import { type PostgresServer, startPostgres } from "./postgres-server.ts";
import { quicken } from "./quicken.ts";

const ref = "billing/db";
const unreachable = "billing/away";
const adminPassword = "canary-admin-telemetry-Zk4-81d0";
const headerSecret = "canary-collector-key-77ab";
const hookSecret = "canary-signing-secret-9d21-9d21";
const values = new Set([adminPassword, headerSecret, hookSecret, Buffer.from(hookSecret).toString("base64")]);
const waits = { timeout: 30_000, interval: 100 };
let postgres: PostgresServer;
let directory: string;
let environment: NodeJS.ProcessEnv;
let manifestPath: string;
const home = process.env.XDG_CONFIG_HOME;

beforeAll(async () => {
  postgres = await startPostgres();
  directory = mkdtempSync(join(tmpdir(), "keyturn-telemetry-"));
  manifestPath = join(directory, "keyturn.yaml");
  environment = { ...process.env, XDG_CONFIG_HOME: join(directory, "config") };
  process.env.XDG_CONFIG_HOME = environment.XDG_CONFIG_HOME;
  const superuser = await postgres.client();
  await superuser.query(`CREATE ROLE keyturn_admin LOGIN CREATEROLE PASSWORD '${adminPassword}'`);
  await superuser.query(await init(ref, "billing", postgres.port));
  await superuser.end();
  await init(unreachable, "away", 1);
  hurry("300ms");
  const manifest = parseDocument(readFileSync(manifestPath, "utf8"));
  manifest.set("policies", [{ match: "billing/*", maxAge: "90d" }]);
  // Nobody listens there: every try is one that failed.
  const webhook = { url: "https://localhost:1/keyturn", signingSecret: { secret: "ops/hook" } };
  manifest.set("notify", { oncall: { webhook, on: ["rotated"] } });
  manifest.setIn(["secrets", "ops/hook"], { type: "held", store: manifest.getIn(["secrets", ref, "store"]) });
  manifest.setIn(["secrets", ref, "notify"], ["oncall"]);
  writeFileSync(manifestPath, manifest.toString());
  await using opened = await openManifest(manifestPath);
  const { ports } = await opened.secret(ref);
  const signing = new Secret(
    JSON.stringify({ value: `whsec_${Buffer.from(hookSecret).toString("base64")}` }),
  );
  await storeValue("ops/hook", ports, signing, {});
});

afterAll(async () => {
  if (home === undefined) delete process.env.XDG_CONFIG_HOME;
  else process.env.XDG_CONFIG_HOME = home;
  await postgres.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** Where no agent lives, grace takes its longest time. */
function hurry(atMost: string): void {
  for (const each of [ref, unreachable]) {
    quicken(manifestPath, each, { cacheTtl: "300ms", atLeast: "300ms", atMost });
  }
}

/** Gives the SQL that makes the roles. */
async function init(secret: string, owner: string, port: number): Promise<string> {
  const { host, database, caPath } = postgres;
  const target = ["--host", host, "--port", String(port), "--database", database, "--ca", caPath];
  const args = ["init", secret, ...target, "--owner", owner, "--fleet", "invoice-agents", "--json"];
  const ended = await runKeyturn(args, {
    input: `keyturn_admin\n${adminPassword}\n`,
    environment,
    directory,
  });
  expect(ended).toMatchObject({ code: 0 });
  return JSON.parse(ended.stdout).sql;
}

/** Runs the service while the work lasts, ends it as a person would, and gives what it wrote. */
async function whileServing(
  variables: Readonly<Record<string, string>>,
  work: (ports: Ports) => Promise<void>,
): Promise<Ended & { readonly stopMs: number; readonly lines: readonly Record<string, string>[] }> {
  await using opened = await openManifest(manifestPath);
  const { ports } = await opened.secret(ref);
  const service = startKeyturn(["serve", "--json"], {
    environment: { ...environment, ...variables },
    directory,
  });
  try {
    await work(ports);
    const stored = await ports.store.read(ref, "current");
    if (stored !== undefined) values.add(JSON.parse(stored.value.reveal()).password);
  } finally {
    service.child.kill("SIGTERM");
  }
  const began = performance.now();
  const ended = await service.ended;
  const lines = ended.stderr.trim().split("\n");
  return { ...ended, stopMs: performance.now() - began, lines: lines.map((line) => JSON.parse(line)) };
}

/** Asks for a rotation and waits until the service has carried it out. */
async function rotate(ports: Ports): Promise<string> {
  await request(ref, ports, { kind: "rotate", by: "person:test" });
  const state = async () => (await ports.journal.load(ref))?.record;
  await expect.poll(async () => (await state())?.state.phase, waits).toBe("idle");
  expect((await state())?.debts).toEqual([]);
  return (await state())?.current?.version ?? "";
}

function sum(receiver: OtlpReceiver, name: string, attributes: Readonly<Record<string, string>>): number {
  const wanted = Object.entries(attributes);
  const points = receiver.metrics().get(name)?.points ?? [];
  return points
    .filter((point) => wanted.every(([key, value]) => point.attributes[key] === value))
    .reduce((total, { value }) => total + value, 0);
}

test("the service sends what the table promises, a trace of each rotation and its log, and no value", async () => {
  hurry("20s");
  await using receiver = await startOtlpReceiver();
  const versions: string[] = [];
  const variables = { ...receiver.environment, OTEL_EXPORTER_OTLP_HEADERS: `x-api-key=${headerSecret}` };
  const { code, stderr, lines } = await whileServing(variables, async (ports) => {
    await request(unreachable, ports, { kind: "rotate", by: "person:test" });
    versions.push(await rotate(ports));
    const args = ["enrol", "host-1", "--fleet", "invoice-agents", "--json"];
    const enrolled = await runKeyturn(args, { environment, directory });
    const { token } = JSON.parse(enrolled.stdout);
    values.add(token);
    const socket = join(directory, ".keyturn", "agents.sock");
    await using client = await connect({
      socket,
      token,
      agent: "host-1",
      fleet: "invoice-agents",
      spreadMs: 0,
    });
    const pool = createPool(client, ref, { max: 1, ssl: { ca: postgres.ca } });
    await pool.query("SELECT 1");
    await expect
      .poll(() => sum(receiver, "keyturn.fleet.agents", { "keyturn.state": "adopted" }), waits)
      .toBe(1);
    const asked = setInterval(() => void pool.query("SELECT 1").catch(() => undefined), 50);
    versions.push(await rotate(ports));
    clearInterval(asked);
    await pool.end();
    const expected = Object.values(metricTable).map(({ name }) => name);
    await expect.poll(() => expected.filter((name) => !receiver.metrics().has(name)), waits).toEqual([]);
    await expect
      .poll(() => sum(receiver, "keyturn.rotations", { "keyturn.outcome": "finished" }), waits)
      .toBe(2);
  }).finally(() => hurry("300ms"));
  expect(code).toBe(0);

  for (const [name, metric] of receiver.metrics()) {
    const row = Object.values(metricTable).find((each) => each.name === name);
    expect({ name, unit: metric.unit, kind: metric.kind }).toEqual({
      name,
      unit: row?.unit,
      kind: row?.kind,
    });
    const used = metric.points.flatMap(({ attributes }) => Object.keys(attributes));
    expect([...(row?.attributes ?? []), "process"]).toEqual(expect.arrayContaining(used));
  }
  expect(sum(receiver, "keyturn.credential.max_age", { "keyturn.secret": ref })).toBe(90 * 86_400);
  expect(sum(receiver, "keyturn.adoption.duration", {})).toBe(1);
  expect(sum(receiver, "keyturn.notification.lag", { "keyturn.fleet": "invoice-agents" })).toBe(1);
  expect(sum(receiver, "keyturn.rotation.step.duration", { "keyturn.step": "set" })).toBe(2);
  const undelivered = { "keyturn.channel": "oncall", "keyturn.outcome": "failed" };
  expect(sum(receiver, "keyturn.notifications", undelivered)).toBeGreaterThan(0);
  const failed = { "keyturn.secret": unreachable, "keyturn.step": "create", "error.type": "unreachable" };
  expect(sum(receiver, "keyturn.failures", failed)).toBeGreaterThan(0);

  for (const version of versions) {
    const { traceId, spanId } = idsOf(version);
    const spans = receiver.spans().filter((span) => span.traceId === traceId);
    const root = spans.filter((span) => span.spanId === spanId);
    expect(root).toMatchObject([
      { name: "keyturn.rotation", attributes: { "keyturn.secret": ref, "keyturn.outcome": "finished" } },
    ]);
    const steps = spans.filter((span) => span.parentSpanId === spanId).map(({ name }) => name);
    const carriedOut = ["create", "set", "test", "finish", "announce"].map((step) => `keyturn.${step}`);
    expect(steps).toEqual(expect.arrayContaining(carriedOut));
    expect(spans.filter(({ isError }) => isError)).toEqual([]);
  }
  const retire = receiver.spans().find((span) => span.name === "keyturn.retire");
  expect(retire?.traceId).toBe(idsOf(versions[1] ?? "").traceId);
  const broken = receiver.spans().find(({ isError }) => isError);
  expect(broken).toMatchObject({ name: "keyturn.create", attributes: { "error.type": "unreachable" } });

  const line = lines.find(({ message }) => message === `create of ${unreachable} failed`);
  expect(line?.trace_id).toBe(broken?.traceId);
  const exported = receiver.logs().filter(({ message }) => message === `create of ${unreachable} failed`);
  expect(exported[0]).toMatchObject({ level: "warn", traceId: broken?.traceId });
  expect(receiver.resources()[0]).toMatchObject({ "service.name": "keyturn" });

  expect(receiver.requests.some((text) => text.includes(headerSecret))).toBe(true);
  const sent = receiver.requests.map((text) => text.replaceAll(headerSecret, ""));
  expect(values.size).toBeGreaterThan(3);
  for (const value of values) {
    expect(sent.filter((text) => text.includes(value))).toEqual([]);
    expect(stderr).not.toContain(value);
  }
});

describe("a service without telemetry", () => {
  /** Writes down every module that any process of the service loads; what is named in HIDE is not there. */
  const preload = `
    import { appendFileSync } from "node:fs";
    import { registerHooks } from "node:module";
    const hidden = process.env.HIDE;
    registerHooks({
      resolve(name, context, next) {
        if (name === hidden) throw Object.assign(new Error("no such package"), { code: "ERR_MODULE_NOT_FOUND" });
        return next(name, context);
      },
      load(url, context, next) {
        appendFileSync(process.env.LOADED, url + "\\n");
        return next(url, context);
      },
    });`;

  async function loadedWhileServing(variables: Readonly<Record<string, string>>) {
    const [loadedPath, hooks] = [join(directory, "loaded"), join(directory, "hooks.mjs")];
    writeFileSync(loadedPath, "");
    writeFileSync(hooks, preload);
    const watched = { NODE_OPTIONS: `--import=${hooks}`, LOADED: loadedPath, ...variables };
    const ended = await whileServing(watched, async (ports) => {
      await rotate(ports);
    });
    const loaded = readFileSync(loadedPath, "utf8").split("\n");
    // Seen to see: the worker was watched, too.
    expect(loaded.some((url) => url.endsWith("/cli/worker.ts"))).toBe(true);
    return { ...ended, packages: loaded.filter((url) => /@opentelemetry\/(?!api\/)/.test(url)) };
  }

  test.each([
    ["without any variable", {}],
    ["where all is switched off", { OTEL_SDK_DISABLED: "true" }],
    [
      "where every exporter is none",
      { OTEL_TRACES_EXPORTER: "none", OTEL_METRICS_EXPORTER: "none", OTEL_LOGS_EXPORTER: "none" },
    ],
  ])("loads and sends nothing %s", async (_, variables) => {
    await using receiver = await startOtlpReceiver();
    const asked = Object.keys(variables).length > 0 ? receiver.environment : {};
    const { code, packages, lines } = await loadedWhileServing({ ...asked, ...variables });
    expect({ code, packages, requests: receiver.requests }).toEqual({ code: 0, packages: [], requests: [] });
    expect(lines.map(({ message }) => message)).toEqual(expect.arrayContaining(["serving", "worker ready"]));
    expect(lines.find((line) => line.trace_id !== undefined)).toBeUndefined();
  });

  test("says once a process what to install where the package is missing, and goes on", async () => {
    await using receiver = await startOtlpReceiver();
    const hidden = { ...receiver.environment, HIDE: "@opentelemetry/sdk-node" };
    const { code, packages, lines } = await loadedWhileServing(hidden);
    expect({ code, packages, requests: receiver.requests }).toEqual({ code: 0, packages: [], requests: [] });
    const warnings = lines.filter(({ message }) => message?.includes("npm install @opentelemetry/sdk-node"));
    expect(warnings).toHaveLength(2);
  });
});

describe("a collector that is no good delays nothing", () => {
  test.each(["hangs", "is not there"])("that %s", async (how) => {
    const receiver = await startOtlpReceiver({ answers: false });
    // With the time that it is given by default it would let go by itself.
    const variables = { ...receiver.environment, OTEL_EXPORTER_OTLP_TIMEOUT: "120000" };
    if (how === "is not there") await receiver[Symbol.asyncDispose]();
    const headers = { OTEL_EXPORTER_OTLP_HEADERS: `x-api-key=${headerSecret}` };
    const { code, stopMs, stderr } = await whileServing({ ...variables, ...headers }, async (ports) => {
      await rotate(ports);
      if (how === "hangs") await expect.poll(() => receiver.requests.length, waits).toBeGreaterThan(0);
    });
    await receiver[Symbol.asyncDispose]();
    expect(code).toBe(0);
    expect(stopMs).toBeLessThan(30_000);
    expect(stderr).not.toContain(headerSecret);
  });
});
