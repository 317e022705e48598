import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { KeyturnError } from "../core/errors.ts";
import type { AgentReport } from "../core/fleet.ts";
import { request, versionMark } from "../core/operate.ts";
import type { Ports } from "../core/ports.ts";
import { reconcile } from "../core/reconcile.ts";
import { type OtlpReceiver, startOtlpReceiver } from "../integration/otlp-receiver.ts";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { metricTable } from "./metrics.ts";
import { NotificationLag } from "./notification-lag.ts";
import { startTelemetry } from "./start.ts";
import { observeState } from "./state.ts";

const ref = "app/db";
const version = "1.2.3";
let receiver: OtlpReceiver;
const lines: string[] = [];
const log = (level: string, message: string, fields = {}) =>
  void lines.push(`${level} ${message} ${JSON.stringify(fields)}`);

beforeEach(async () => {
  receiver = await startOtlpReceiver();
  lines.length = 0;
  // Nothing is sent before the end, which sends all.
  const variables = { ...receiver.environment, OTEL_METRIC_EXPORT_INTERVAL: "600000" };
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await receiver[Symbol.asyncDispose]();
});

/** What was last said of a gauge or a counter with these attributes; undefined if nothing was. */
function value(name: string, attributes: Readonly<Record<string, string>>): number | undefined {
  return receiver
    .metrics()
    .get(name)
    ?.points.find((point) =>
      Object.entries(attributes).every(([key, each]) => point.attributes[key] === each),
    )?.value;
}

function world() {
  const target = modelTarget();
  const memory = memoryPorts(target.bothLive, { policy: { graceAtMostMs: 2_000 } });
  const { ports, clock } = memory;
  return {
    ...memory,
    target,
    rotate: async (options = {}) => {
      await request(ref, ports, { kind: "rotate", by: "tester" });
      for (;;) {
        const { until, record } = await reconcile(ref, ports, { worker: "worker", ...options });
        if (record.state.phase === "idle" || until === undefined) return record;
        clock.advance(Math.max(1, until - clock.now()));
      }
    },
  };
}

const aDay = (): number | undefined => 86_400_000;

const measureAll = async (ports: Ports, maxAgeMs = aDay) => {
  const telemetry = await startTelemetry({ log, version });
  if (telemetry.instruments === undefined) throw new Error("metrics were asked for");
  observeState(telemetry.instruments, { ports, maxAgeMs });
  return { ...telemetry, instruments: telemetry.instruments };
};

it("sends every metric of the table, as the table has it, and nothing else", async () => {
  const { ports, rotate } = world();
  {
    await using telemetry = await measureAll(ports);
    const hooks = telemetry.hooks(ports.secrets);
    const reports = new NotificationLag(telemetry.instruments, ports);
    const first = await rotate(hooks);
    await reports.seen([report("a", first.current?.version)]);
    const second = await rotate(hooks);
    await reports.seen([report("a", second.current?.version)]);
    telemetry.failed(ref, "journal-unavailable");
    telemetry.instruments.add("notifications", 1, {
      "keyturn.channel": "oncall",
      "keyturn.outcome": "failed",
    });
    telemetry.instruments.record("adoptionDuration", 1_500, { "keyturn.type": "model" });
    // The state in the middle of a rotation is looked at when all is sent.
    await request(ref, ports, { kind: "rotate", by: "tester" });
  }
  const received = [...receiver.metrics()].map(([name, { kind, unit }]) => ({ name, kind, unit }));
  const table = Object.values(metricTable).map(({ name, kind, unit }) => ({ name, kind, unit }));
  const sorted = (rows: readonly { readonly name: string }[]) =>
    rows.toSorted((one, other) => one.name.localeCompare(other.name));
  expect(sorted(received)).toEqual(sorted(table));
  for (const [name, { points }] of receiver.metrics()) {
    const row = Object.values(metricTable).find((each) => each.name === name);
    const used = new Set(points.flatMap(({ attributes }) => Object.keys(attributes)));
    used.delete("process");
    expect({ name, used: [...used].sort() }).toEqual({
      name,
      used: expect.toSatisfy(isWithin(row?.attributes)),
    });
  }
  expect(value("keyturn.rotations", { "keyturn.outcome": "finished" })).toBe(2);
  expect(value("keyturn.rotations", { "keyturn.outcome": "halted" })).toBe(0);
  expect(value("keyturn.secrets", { "keyturn.phase": "create" })).toBe(1);
  expect(lines).toEqual([]);
});

const isWithin =
  (allowed: readonly string[] = []) =>
  (used: readonly string[]) =>
    used.every((name) => allowed.includes(name));

describe("the state", () => {
  it("says what is halted, owed and too old, and whom it concerns", async () => {
    const { ports, clock, target, rotate } = world();
    await rotate();
    clock.advance(3_600_000);
    target.fail("retire", new KeyturnError("unreachable", "down"), 1_000);
    const mark = await versionMark(ref, ports, "current");
    await request(ref, ports, { kind: "emergency", by: "tester", version: mark, cutFirst: false });
    await reconcile(ref, ports, { worker: "worker" });
    clock.advance(60_000);
    {
      await using _all = await measureAll(ports);
    }
    expect(value("keyturn.debts", { "keyturn.secret": ref, "keyturn.reason": "leaked" })).toBe(1);
    expect(value("keyturn.debts", { "keyturn.secret": ref, "keyturn.reason": "foreign" })).toBe(0);
    expect(value("keyturn.debt.age", { "keyturn.secret": ref })).toBeGreaterThanOrEqual(60);
    expect(value("keyturn.credential.age", { "keyturn.secret": ref })).toBeGreaterThanOrEqual(60);
    expect(value("keyturn.credential.max_age", { "keyturn.secret": ref })).toBe(86_400);
    expect(value("keyturn.secret.halted", { "keyturn.secret": ref })).toBe(0);
    expect(value("keyturn.due.lag", {})).toBeGreaterThan(50);
  });

  it("names the code of what is halted", async () => {
    const { ports, target, rotate } = world();
    await rotate();
    target.fail("set", new KeyturnError("superseded", "somebody else"), 1_000);
    await rotate();
    {
      await using _all = await measureAll(ports, () => undefined);
    }
    expect(value("keyturn.secret.halted", { "keyturn.secret": ref, "error.type": "superseded" })).toBe(1);
    expect(value("keyturn.secrets", { "keyturn.phase": "halted" })).toBe(1);
    expect(receiver.metrics().has("keyturn.credential.max_age")).toBe(false);
  });

  it("of one secret that cannot be read hides nothing of the others", async () => {
    const { ports, rotate } = world();
    await rotate();
    const broken = "app/broken";
    const managed = ports.secrets.get(ref);
    const journal = {
      ...ports.journal,
      load: async (which: string) => {
        if (which === broken) throw new KeyturnError("data-broken", "unreadable");
        return ports.journal.load(which);
      },
    };
    const secrets = { get: () => managed, refs: () => [broken, ref] };
    {
      await using _all = await measureAll({ ...ports, journal, secrets, log });
    }
    expect(value("keyturn.credential.age", { "keyturn.secret": ref })).toBeGreaterThanOrEqual(0);
    expect(lines.join()).toContain("the state of app/broken cannot be measured");
  });
});

function report(agent: string, adopted: string | undefined, fleet = "agents"): AgentReport {
  return { ref, agent, fleet, sequence: 1, adopted, inUse: [], holds: [] };
}

describe("the notification lag", () => {
  it("is measured once for each agent that changes over to what is current, and for no other", async () => {
    const { ports, clock, rotate } = world();
    {
      await using telemetry = await measureAll(ports);
      const lag = new NotificationLag(telemetry.instruments, ports);
      const old = (await rotate()).current?.version;
      await lag.seen([report("a", old), report("b", old), report("c", undefined)]);
      const current = (await rotate()).current?.version;
      clock.advance(3_000);
      await lag.seen([report("a", current), report("a", current), report("new", current)]);
      await lag.seen([report("b", "not-current")]);
    }
    const lagged = receiver.metrics().get("keyturn.notification.lag");
    expect(lagged?.points).toMatchObject([{ value: 1, attributes: { "keyturn.fleet": "agents" } }]);
  });

  it("never fails, whatever the journal does", async () => {
    const { ports } = world();
    await using telemetry = await measureAll(ports);
    const journal = { ...ports.journal, load: () => Promise.reject(new Error("gone")) };
    const lag = new NotificationLag(telemetry.instruments, { ...ports, journal });
    await lag.seen([report("a", "one")]);
    await expect(lag.seen([report("a", "two")])).resolves.toBeUndefined();
  });
});

describe("odd variables", () => {
  it("ask for nothing: there is nothing to give to a reconcile", async () => {
    vi.unstubAllEnvs();
    await using telemetry = await startTelemetry({ log, version });
    expect(telemetry.instruments).toBeUndefined();
    expect(telemetry.hooks({ get: () => undefined, refs: () => [] })).toEqual({});
  });

  it.each([
    [{ OTEL_METRICS_EXPORTER: "prometheus" }, "prometheus cannot be used"],
    [{ OTEL_METRICS_EXPORTER: "nonsense" }, "Unsupported OTEL_METRICS_EXPORTER"],
    [{ OTEL_TRACES_EXPORTER: "nonsense" }, "Unrecognized OTEL_TRACES_EXPORTER"],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "not an address" }, "telemetry cannot be"],
  ])("are told of, and everything goes on: %j", async (variables, complaint) => {
    for (const [name, each] of Object.entries(variables)) vi.stubEnv(name, each);
    const { ports, rotate } = world();
    {
      await using telemetry = await startTelemetry({ log, version });
      const record = await rotate(telemetry.hooks(ports.secrets));
      expect(record).toMatchObject({ state: { phase: "idle" }, debts: [] });
    }
    expect(lines.join()).toContain(complaint);
  });

  it("OTEL_LOG_LEVEL does not make the exporters write where results go", async () => {
    vi.stubEnv("OTEL_LOG_LEVEL", "debug");
    const words = ["debug", "info", "log", "warn", "error"] as const;
    const spoken = words.map((word) => vi.spyOn(console, word));
    const { ports, rotate } = world();
    {
      await using telemetry = await startTelemetry({ log, version });
      await rotate(telemetry.hooks(ports.secrets));
    }
    expect(spoken.flatMap(({ mock }) => mock.calls)).toEqual([]);
    expect(receiver.spans().length).toBeGreaterThan(5);
    vi.restoreAllMocks();
  });
});
