import { expect } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { type NativeStep, nativeStep, nativeSteps } from "./native.ts";
import { request } from "./operate.ts";
import type { Ports } from "./ports.ts";
import { type ReconcileOptions, reconcile } from "./reconcile.ts";

export const nativeRef = "app/db";
export const overlaps = ["both-live", "cutover"] as const;

/** A Keyturn with one secret that is at rest, and somebody who takes Secrets Manager's part. */
export async function openNative(overlap: (typeof overlaps)[number] = "both-live") {
  const target = modelTarget();
  const rotator = overlap === "both-live" ? target.bothLive : target.cutover;
  const memory = memoryPorts(rotator, { policy: { graceAtMostMs: 3_000, onLaggards: "retire" } });
  const { clock } = memory;
  const slept: number[] = [];
  const ports: Ports = {
    ...memory.ports,
    clock: {
      now: () => clock.now(),
      // Whoever waits without a signal waits for time to pass; deadlines have one.
      sleep: async (ms, signal) => {
        if (signal !== undefined) return clock.sleep(ms, signal);
        slept.push(ms);
        clock.advance(ms);
      },
    },
  };
  const record = async () => {
    const loaded = await ports.journal.load(nativeRef);
    if (loaded === undefined) throw new Error("no record");
    return loaded.record;
  };
  const drive = (step: NativeStep, token: string, through: Ports = ports, budgetMs = 20_000) =>
    nativeStep({ step, ref: nativeRef, token }, through, { until: clock.now() + budgetMs });
  const rotate = async (token: string) => {
    for (const step of nativeSteps) await drive(step, token);
  };
  const tick = (options: Partial<ReconcileOptions> = {}) =>
    reconcile(nativeRef, ports, { worker: "tick", ...options });
  /** The tick, as often as something is due. */
  const settle = async (options: Partial<ReconcileOptions> = {}) => {
    for (let turn = 0; turn < 100; turn += 1) {
      const { until, record: after } = await tick(options);
      if (until === undefined) return after;
      clock.advance(Math.max(1, until - clock.now()));
    }
    throw new Error("it never ends");
  };
  const loginOf = async (stage: "current" | "pending" | { version: string }) => {
    const stored = await ports.store.read(nativeRef, stage);
    const login: { username: string; password: string } = JSON.parse(stored?.value.reveal() ?? "{}");
    return login;
  };
  const expectSettled = async (version: string) => {
    const { state, debts, current } = await record();
    expect({ phase: state.phase, debts, current: current?.version }).toEqual({
      phase: "idle",
      debts: [],
      current: version,
    });
    const { username, password } = await loginOf("current");
    expect(target.accepts(username, password)).toBe(true);
    expect(target.live()).toEqual([username]);
    expect(await ports.store.read(nativeRef, "pending")).toBeUndefined();
  };
  await request(nativeRef, ports, { kind: "rotate", by: "tester" });
  await settle();
  const before = (await record()).current?.version ?? "";
  return {
    target,
    rotator,
    ports,
    clock,
    slept,
    bus: memory.bus,
    lines: memory.lines,
    record,
    drive,
    rotate,
    tick,
    settle,
    loginOf,
    expectSettled,
    before,
  };
}

export type NativeWorld = Awaited<ReturnType<typeof openNative>>;
