import { setTimeout as sleep } from "node:timers/promises";
import { request } from "../core/operate.ts";
import { reconcile } from "../core/reconcile.ts";
import { ref } from "../demo/stage.ts";
import { median } from "./median.ts";
import type { BenchStage, Spy } from "./stage.ts";

const rounds = 12;

export interface RotationBench {
  /** From the request to the announced new version, store, journal and audit included. */
  readonly keyturnMs: number;
  /** The same statements on as many connections by the driver alone. */
  readonly bareMs: number;
  readonly ratio: number;
  readonly connections: {
    readonly throughFinish: number;
    readonly throughFinishFailing: number;
    readonly retire: number;
    readonly retireRefused: number;
  };
}

export async function benchRotation(bench: BenchStage): Promise<RotationBench> {
  const { spy } = bench;
  // The first makes the first login, the second the other: from then on every rotation is like the last.
  for (let warmUp = 0; warmUp < 3; warmUp += 1) {
    await rotate(bench);
    await rest(bench);
  }
  const pairs: { keyturn: number; bare: number }[] = [];
  let connections = { throughFinish: 0, throughFinishFailing: 0, retire: 0, retireRefused: 0 };
  for (let round = 0; round < rounds; round += 1) {
    spy.clear();
    const keyturn = await rotate(bench);
    const through = spy.logins;
    const statements = [...spy.statements];
    spy.clear();
    await rest(bench);
    connections = {
      throughFinish: through.length,
      throughFinishFailing: through.filter(({ failed }) => failed).length,
      retire: spy.logins.filter(({ failed }) => !failed).length,
      retireRefused: spy.logins.filter(({ failed }) => failed).length,
    };
    pairs.push({ keyturn, bare: await replay(bench, statements) });
  }
  return {
    keyturnMs: median(pairs.map((pair) => pair.keyturn)),
    bareMs: median(pairs.map((pair) => pair.bare)),
    ratio: median(pairs.map((pair) => pair.keyturn / pair.bare)),
    connections,
  };
}

async function rotate({ secret }: BenchStage): Promise<number> {
  const started = performance.now();
  await request(ref, secret.ports, { kind: "rotate", by: "bench" });
  await reconcile(ref, secret.ports, { worker: "bench" });
  return performance.now() - started;
}

/** Grace and retire, to the end; what takes longer than this has gone wrong. */
async function rest({ secret }: BenchStage): Promise<void> {
  const patience = performance.now() + 10_000;
  for (;;) {
    if (performance.now() > patience) throw new Error("a rotation of the bench does not end");
    const { until, record } = await reconcile(ref, secret.ports, { worker: "bench" });
    if (record.state.phase === "idle" && record.debts.length === 0) return;
    await sleep(Math.max(1, (until ?? 0) - Date.now()));
  }
}

/** How far a replay raises the fences; the journal follows, lest it find itself superseded. */
const raise = 1_000;

/** Sends what Keyturn has sent once more, the fences' epochs raised so that the server does the same work again. */
async function replay({ stage, secret }: BenchStage, statements: Spy["statements"]): Promise<number> {
  const current = await secret.ports.store.read(ref, "current");
  const admin = await secret.ports.store.read(secret.managed.admin ?? "", "current");
  const logins = [admin, current].map((stored) => JSON.parse(stored?.value.reveal() ?? "null"));
  const started = performance.now();
  for (const { username, password } of logins) {
    const client = await stage.postgres.client({ username, password });
    for (const { user, text, values } of statements) {
      if (user === username) await client.query(raised(text), values);
    }
    await client.end();
  }
  const ms = performance.now() - started;
  const loaded = await secret.ports.journal.load(ref);
  if (loaded === undefined) throw new Error("the bench has no record");
  await secret.ports.journal.save({ ...loaded.record, epoch: loaded.record.epoch + raise }, loaded.revision);
  return ms;
}

function raised(text: string): string {
  return text
    .replace(/(my_epoch constant bigint := )(\d+)/, (_, before, epoch) => `${before}${Number(epoch) + raise}`)
    .replace(/(epoch|seen)=(\d+)/g, (_, name, epoch) => `${name}=${Number(epoch) + raise}`);
}
