import { identify } from "../core/identify.ts";
import { LeakedText } from "../core/leaked.ts";
import { request, versionMark } from "../core/operate.ts";
import { reconcile } from "../core/reconcile.ts";
import { Secret } from "../core/secret.ts";
import { ref } from "../demo/stage.ts";
import type { BenchStage } from "./stage.ts";

const sessions = 90;

export interface RevokeBench {
  readonly sessions: number;
  readonly sessionsEnded: number;
  /** From the leaked text to its proven refusal. */
  readonly refusedMs: number;
}

/** A leaked value, while agents have that many sessions open with it. */
export async function benchRevoke({ stage, secret }: BenchStage): Promise<RevokeBench> {
  const { ports } = secret;
  const stored = await ports.store.read(ref, "current");
  const { username, password } = JSON.parse(stored?.value.reveal() ?? "null");
  const clients = await Promise.all(
    Array.from({ length: sessions }, () => stage.postgres.client({ username, password })),
  );
  const started = performance.now();
  const [match] = await identify(ports, new LeakedText(new Secret(`${password}\n`)));
  if (match === undefined) throw new Error("the leaked value was not found");
  const version = await versionMark(ref, ports, match.version);
  await request(ref, ports, { kind: "emergency", by: "bench", version, cutFirst: false });
  const { record } = await reconcile(ref, ports, { worker: "bench" });
  const refusedMs = performance.now() - started;
  const entry = record.compromised.find((one) => one.version === match.version);
  if (entry?.refusedAt === undefined) throw new Error("the leaked value was not refused");
  await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
  return { sessions, sessionsEnded: entry.sessionsEnded ?? 0, refusedMs };
}
