import * as z from "zod/mini";
import { asKeyturnError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import { reconcile } from "../core/reconcile.ts";
import { startTelemetry } from "../telemetry/start.ts";
import { traceFields } from "../telemetry/trace-fields.ts";
import { openManifest } from "./open.ts";
import { reloadManifest } from "./reload.ts";
import { SchedulerQuotas } from "./scheduler-quota.ts";
import { version } from "./version.ts";
import { isGone, workerName } from "./who.ts";

/**
 * The process that `serve` works in. It reads the manifest and opens the stores itself; its parent only names secrets. It may
 * be killed at any line: its parent starts another, which sees whose leases are void.
 */
export const WorkerOrder = z.discriminatedUnion("do", [
  /** Comes first: the store's key, where the parent has it from its environment. */
  z.object({ do: z.literal("begin"), key: z.optional(z.string()) }),
  z.object({ do: z.literal("reconcile"), ref: z.string() }),
  /** The manifest has changed. */
  z.object({ do: z.literal("reload") }),
  z.object({ do: z.literal("stop") }),
]);
export type WorkerOrder = z.infer<typeof WorkerOrder>;

export const WorkerReport = z.discriminatedUnion("said", [
  z.object({ said: z.literal("ready"), worker: z.string() }),
  z.object({
    said: z.literal("done"),
    ref: z.string(),
    phase: z.string(),
    busyUntil: z.optional(z.number()),
    error: z.optional(z.object({ code: z.string(), message: z.string() })),
  }),
  /** Said all the time: a worker that is silent is frozen, and is replaced. */
  z.object({ said: z.literal("alive") }),
  z.object({
    said: z.literal("log"),
    level: z.enum(["debug", "info", "warn", "error"]),
    message: z.string(),
    fields: z.record(z.string(), z.unknown()),
  }),
]);
export type WorkerReport = z.infer<typeof WorkerReport>;

const aliveMs = 1_000;

async function main(manifestPath: string): Promise<void> {
  const say = (report: WorkerReport): void => void process.send?.(report);
  const log: Log = (level, message, fields) =>
    say({ said: "log", level, message, fields: { ...traceFields(), ...fields } });
  const worker = workerName("serve");
  const opened = await openManifest(manifestPath, log);
  const telemetry = await startTelemetry({ log, version });
  const hooks = telemetry.hooks({
    get: (ref) => opened.manifest.secrets.get(ref),
    refs: () => opened.manifest.secrets.refs(),
  });
  const quotas = new SchedulerQuotas(() => opened.manifest.stores);
  const underWay = new Set<Promise<void>>();

  const work = async (ref: string): Promise<void> => {
    try {
      const { ports, storeName } = await opened.secret(ref);
      const quota = quotas.of(storeName);
      const options = { worker, isGone, ...hooks, ...(quota === undefined ? {} : { quota }) };
      const before = opened.manifest;
      const { result, until, record } = await reconcile(ref, ports, options);
      // What rests by the old manifest may rest for too long.
      if (opened.manifest !== before) return await work(ref);
      say({ said: "done", ref, phase: record.state.phase, busyUntil: result === "busy" ? until : undefined });
    } catch (thrown) {
      const { code, message } = asKeyturnError(thrown);
      telemetry.failed(ref, code);
      say({ said: "done", ref, phase: "unknown", error: { code, message } });
    }
  };
  process.on("message", (json) => {
    const order = z.parse(WorkerOrder, json);
    if (order.do === "stop") return void stop();
    if (order.do === "reload") return void reloadManifest(opened, log);
    if (order.do !== "reconcile") return;
    const job = work(order.ref).finally(() => underWay.delete(job));
    underWay.add(job);
  });
  const stop = async (): Promise<void> => {
    await Promise.all(underWay);
    await telemetry[Symbol.asyncDispose]();
    await opened[Symbol.asyncDispose]();
    process.disconnect();
  };
  // A parent that is gone gives no more orders.
  process.on("disconnect", () => process.exit(0));
  // Ctrl-C reaches the whole process group: the parent says when to stop.
  process.on("SIGINT", () => undefined);
  setInterval(() => say({ said: "alive" }), aliveMs).unref();
  say({ said: "ready", worker });
}

const [, , manifestPath] = process.argv;
if (process.send !== undefined && manifestPath !== undefined) {
  process.once("message", (json) => {
    const order = z.parse(WorkerOrder, json);
    if (order.do === "begin" && order.key !== undefined) process.env.KEYTURN_KEY = order.key;
    void main(manifestPath);
  });
}
