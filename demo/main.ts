import { short } from "../cli/terminal.ts";
import { startFleet } from "./fleet.ts";
import { Picture } from "./picture.ts";
import { ref, type Service, type Stage, setStage } from "./stage.ts";
import { isRefused, Watch } from "./watch.ts";

/** What `npm run demo -- --json` prints as its last line; every number is measured. Times are milliseconds. */
interface DemoResult {
  readonly rotations: number;
  readonly agents: number;
  readonly queries: number;
  readonly failedQueries: number;
  readonly adoptedMs: { readonly p50: number; readonly p99: number };
  readonly killedWorkers: number;
  readonly heldTransactions: number;
  readonly revoke: {
    readonly identifiedMs: number;
    readonly refusedMs: number;
    readonly sessionsEnded: number;
    readonly fleetAdoptedMs: number;
  };
  readonly auditVerified: boolean;
}

const json = process.argv.includes("--json");
const heldMs = 8_000;
const picture = new Picture();

try {
  const result = await demo();
  picture.end();
  summary(result);
  if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
  const right =
    result.failedQueries === 0 &&
    result.auditVerified &&
    result.heldTransactions === 1 &&
    result.killedWorkers === 1;
  process.exitCode = right ? 0 : 1;
} catch (error) {
  picture.end();
  picture.line(error instanceof Error ? (error.stack ?? error.message) : String(error), "bad");
  process.exitCode = 1;
}

async function demo(): Promise<DemoResult> {
  picture.line("Starting PostgreSQL, and putting it under Keyturn by `keyturn init`", "bold");
  await using stage = await setStage({ maxConnections: 1_000 });
  const service = await stage.serve();
  const first = await stage.keyturn<{ version: string }>(["rotate", ref, "--json"]);
  picture.line(
    `The first credential is version ${short(first.version)}; 200 agents in 4 processes begin to query`,
  );
  const fleet = await startFleet(stage, { hosts: 4, agentsPerHost: 50 });
  const secret = await stage.opened.secret(ref);
  const watch = new Watch(secret, fleet, picture);
  await watch.until("every agent to be live", async () => watch.allAdopted(first.version));
  try {
    return await acts(stage, service, fleet, watch);
  } finally {
    await fleet.stop();
    await service.stop();
  }
}

async function acts(
  stage: Stage,
  service: Service,
  fleet: Awaited<ReturnType<typeof startFleet>>,
  watch: Watch,
): Promise<DemoResult> {
  const adopted: number[] = [];

  picture.line("Rotation 1 of 3", "bold");
  adopted.push(...(await rotation(stage, watch, async () => undefined)));

  picture.line("Rotation 2 of 3, with the service's worker killed in the middle", "bold");
  let killed = 0;
  adopted.push(
    ...(await rotation(stage, watch, async (version) => {
      await watch.until("the worker to be in the middle", ({ state }) => midway(state.phase), 1);
      const pid = service.workerPid();
      process.kill(pid, "SIGKILL");
      killed += 1;
      const { state } = await watch.record();
      picture.line(`SIGKILL to the worker, process ${pid}: ${short(version)} was in ${state.phase}`, "bad");
    })),
  );

  picture.line(`Rotation 3 of 3, while one agent keeps a transaction open for ${heldMs / 1_000} s`, "bold");
  const held = fleet.transaction(heldMs);
  adopted.push(...(await rotation(stage, watch, async () => undefined)));
  const transaction = await held;
  picture.line(
    transaction.committed
      ? `The transaction of ${transaction.login} committed after ${Math.round(transaction.ms)} ms; its login was retired only then`
      : "The transaction was cut",
    transaction.committed ? "good" : "bad",
  );

  picture.line("A value has leaked: it is piped into `keyturn revoke --leaked`", "bold");
  const revoke = await leak(stage, watch);
  await fleet.stop();
  const audit = await stage.keyturn<{ verified: boolean }>(["audit", "verify", "--json"]);
  const { queries, failed, lastError } = fleet.counts();
  if (lastError !== undefined) picture.line(`A query failed: ${lastError}`, "bad");
  return {
    rotations: 3,
    agents: fleet.agents,
    queries,
    failedQueries: failed,
    adoptedMs: { p50: percentile(adopted, 50), p99: percentile(adopted, 99) },
    killedWorkers: killed,
    heldTransactions: transaction.committed ? 1 : 0,
    revoke,
    auditVerified: audit.verified,
  };
}

/** One rotation to its end; gives how long each agent took to adopt it. */
async function rotation(
  stage: Stage,
  watch: Watch,
  meanwhile: (version: string) => Promise<void>,
): Promise<number[]> {
  const old = await watch.login();
  const version = await watch.rotate();
  await meanwhile(version);
  const announced = await watch.until("the new version", ({ current }) => current?.version === version);
  await watch.until("every agent to adopt", async () => watch.allAdopted(version));
  const times = await watch.adoptionMs(version, announced.current?.since ?? 0);
  await watch.until(
    "the old one to be retired",
    ({ state, debts }) => state.phase === "idle" && debts.length === 0,
  );
  if (!(await isRefused(stage.postgres, old))) throw new Error(`${old.username} can still log in`);
  picture.line(`Every agent is on ${short(version)}; PostgreSQL refuses the old credential`, "good");
  return times;
}

function midway(phase: string): boolean {
  return phase === "set" || phase === "test" || phase === "finish" || phase === "announce";
}

async function leak(stage: Stage, watch: Watch): Promise<DemoResult["revoke"]> {
  const leaked = await watch.login();
  const started = Date.now();
  const answer = stage.keyturn<{
    revoked: {
      refused: boolean;
      identifiedMs: number;
      refusedMs: number;
      sessionsEnded: number;
      successor: string;
    }[];
  }>(["revoke", "--leaked", "--json"], `${leaked.password}\n`);
  const { revoked } = await answer;
  const [one] = revoked;
  if (one?.refused !== true) throw new Error("the leaked value was not refused");
  if (!(await isRefused(stage.postgres, leaked))) throw new Error("the leaked value still logs in");
  const fast = `found after ${Math.round(one.identifiedMs)} ms, refused after ${Math.round(one.refusedMs)} ms`;
  picture.line(`The leaked value was ${fast}; ${one.sessionsEnded} sessions ended`, "good");
  await watch.until("every agent to adopt the successor", async () => watch.allAdopted(one.successor));
  const fleetAdoptedMs = Date.now() - started;
  picture.line(`Every agent is on the successor ${short(one.successor)} after ${fleetAdoptedMs} ms`, "good");
  return {
    identifiedMs: one.identifiedMs,
    refusedMs: one.refusedMs,
    sessionsEnded: one.sessionsEnded,
    fleetAdoptedMs,
  };
}

function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? Number.NaN;
}

function summary(result: DemoResult): void {
  const { adoptedMs, revoke } = result;
  picture.line(
    `${result.queries} queries by ${result.agents} agents, ${result.failedQueries} failed`,
    "bold",
  );
  picture.line(`  adopted after ${adoptedMs.p50} ms (median), ${adoptedMs.p99} ms (99 of 100)`);
  picture.line(
    `  leaked value refused after ${revoke.refusedMs} ms, whole fleet on its successor after ${revoke.fleetAdoptedMs} ms`,
  );
  picture.line(`  audit ${result.auditVerified ? "verified: every chain is unbroken" : "BROKEN"}`);
}
