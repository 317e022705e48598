import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod/mini";
import { connectHost, type KeyturnClient } from "../agent/index.ts";
import { createPool, type RotatingPgPool } from "../agent/pg.ts";

/** One process of the demo's fleet: many agents, each with its own pool, that query all the time. */
const Settings = z.object({
  socket: z.string(),
  token: z.string(),
  principal: z.string(),
  fleet: z.string(),
  ref: z.string(),
  ca: z.string(),
  agents: z.number(),
  queriesPerSecond: z.number(),
  spreadMs: z.number(),
});
type Settings = z.infer<typeof Settings>;

export const HostOrder = z.discriminatedUnion("do", [
  z.object({ do: z.literal("start"), settings: Settings }),
  /** One agent keeps a transaction open that long. */
  z.object({ do: z.literal("transaction"), ms: z.number() }),
  z.object({ do: z.literal("stop") }),
]);
export type HostOrder = z.infer<typeof HostOrder>;

export const HostReport = z.discriminatedUnion("said", [
  z.object({ said: z.literal("running"), agents: z.number() }),
  z.object({
    said: z.literal("count"),
    queries: z.number(),
    failed: z.number(),
    lastError: z.optional(z.string()),
  }),
  z.object({ said: z.literal("transaction"), committed: z.boolean(), login: z.string(), ms: z.number() }),
]);
export type HostReport = z.infer<typeof HostReport>;

const count: { queries: number; failed: number; lastError?: string } = { queries: 0, failed: 0 };
let stopping = false;

async function run(settings: Settings): Promise<() => Promise<void>> {
  const { socket, token, principal, fleet, ref, ca, agents, queriesPerSecond, spreadMs } = settings;
  const host = await connectHost({ socket, token, principal, spreadMs });
  const clients: KeyturnClient[] = [];
  const loops: Promise<void>[] = [];
  for (let index = 0; index < agents; index += 1) {
    const client = host.agent(`agent-${index}`, fleet);
    const pool = createPool(client, ref, {
      max: 2,
      ssl: { ca },
      idempotent: true,
      application_name: client.agent,
      idleTimeoutMillis: 60_000,
    });
    clients.push(client);
    pools.push(pool);
    loops.push(query(pool, 1_000 / queriesPerSecond));
  }
  await Promise.all(pools.map((pool) => pool.query("SELECT 1")));
  say({ said: "running", agents });
  return async () => {
    stopping = true;
    await Promise.all(loops);
    await Promise.all(pools.map((pool) => pool.end()));
    await host.close();
  };
}

const pools: RotatingPgPool[] = [];

async function query(pool: RotatingPgPool, pauseMs: number): Promise<void> {
  // Agents do not march in step.
  await sleep(Math.random() * pauseMs);
  while (!stopping) {
    const started = performance.now();
    count.queries += 1;
    try {
      await pool.query("SELECT count(*) FROM orders WHERE id <= $1", [20]);
    } catch (error) {
      count.failed += 1;
      count.lastError = error instanceof Error ? error.message : String(error);
    }
    await sleep(Math.max(1, pauseMs - (performance.now() - started)));
  }
}

async function transaction(pool: RotatingPgPool, ms: number): Promise<void> {
  const started = performance.now();
  const client = await pool.connect();
  let committed = false;
  let login = "";
  try {
    await client.query("BEGIN");
    const { rows } = await client.query<{ login: string }>("SELECT session_user AS login");
    login = rows[0]?.login ?? "";
    await client.query("INSERT INTO orders (note) VALUES ('held across a rotation')");
    await sleep(ms);
    await client.query("SELECT count(*) FROM orders");
    await client.query("COMMIT");
    committed = true;
  } catch (error) {
    count.failed += 1;
    count.lastError = error instanceof Error ? error.message : String(error);
  } finally {
    client.release();
  }
  say({ said: "transaction", committed, login, ms: performance.now() - started });
}

function say(report: HostReport): void {
  process.send?.(report);
}

let stop: (() => Promise<void>) | undefined;

async function obey(order: HostOrder): Promise<void> {
  switch (order.do) {
    case "start":
      stop = await run(order.settings);
      return;
    case "transaction": {
      const [pool] = pools;
      if (pool !== undefined) await transaction(pool, order.ms);
      return;
    }
    case "stop":
      await stop?.();
      say({ said: "count", ...count });
      process.disconnect();
  }
}

process.on("message", (json) => void obey(z.parse(HostOrder, json)));
process.on("SIGINT", () => undefined);
process.on("disconnect", () => process.exit(0));
setInterval(() => say({ said: "count", ...count }), 250).unref();
