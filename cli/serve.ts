import { Command } from "commander";
import { acceptReports } from "../core/accept-reports.ts";
import { asKeyturnError } from "../core/errors.ts";
import { enrolSchedules, forgetSilentAgents } from "../core/operate.ts";
import type { Log } from "../core/ports.ts";
import { serveAgents } from "../local/server.ts";
import { loadRotator } from "../rotators/registry.ts";
import { signByPulse } from "./audit-pulse.ts";
import { chosenStore } from "./chosen-store.ts";
import { action, type CommandContext } from "./command.ts";
import { exitCodes } from "./exit.ts";
import { type Measured, measure, serviceLog } from "./measure.ts";
import { startNotifications } from "./notifications.ts";
import { type LocalOpenStore, localOf, type OpenManifest, openManifest } from "./open.ts";
import { followManifest } from "./reload.ts";
import { Scheduler } from "./scheduler.ts";
import { WorkerProcess } from "./worker-process.ts";

/** How long a worker may finish what it has begun when the service stops. */
const stopGraceMs = 10_000;

export function serveCommand(): Command {
  const command = new Command("serve")
    .description(
      "the service: finds what is due, and lets agents read, subscribe and report through its socket",
    )
    .option("--store <name>", "the store to serve; needed only if the manifest has several")
    .option("--verbose", "every turn of work, too")
    .addHelpText("after", "\nExample:\n  $ keyturn serve");
  // It has its own time for an orderly end.
  return command.action(action(command, serve, { farewellMs: Number.POSITIVE_INFINITY }));
}

async function serve(
  context: CommandContext,
  options: { readonly store?: string; readonly verbose?: boolean },
): Promise<number> {
  const log = serviceLog(context.terminal.json, options.verbose === true);
  await using opened = await openManifest(context.manifestPath, log);
  const store = await chosenStore(opened, options.store);
  const local = localOf(store, "functions serve it, by the schedule that is deployed with them");
  await enrolSchedules(store.ports);
  await forgetSilentAgents(store.ports);

  // The socket first: whoever cannot have it must not work either.
  let wake = (): void => undefined;
  await using measured = await measure(() => opened.manifest, store, log);
  await using server = await listen(opened, { ...store, local }, log, measured, () => wake());
  await using notifications = await startNotifications(opened, { ...store, local }, log, measured.notified);
  const worker = new WorkerProcess(context.manifestPath, log, (ref, busyUntil) =>
    scheduler.done(ref, busyUntil),
  );
  const scheduler = new Scheduler(store.ports.journal, worker, () => store.ports.clock.now(), log);
  wake = () => scheduler.wake();
  const witness = signByPulse(store, log);
  try {
    using _followed = followManifest({ opened, store, worker, scheduler, notifications, log });
    scheduler.wake();
    log("info", "serving", { store: store.name, socket: local.socketPath, pid: process.pid });
    await aborted(context.signal);
    log("info", "stopping", {});
    await server.close();
  } finally {
    await scheduler.stop();
    await worker.stop(stopGraceMs);
    // Last: what they still wrote is in it.
    await witness.stop();
  }
  return exitCodes.done;
}

async function listen(
  opened: OpenManifest,
  { name, local, ports }: LocalOpenStore,
  log: Log,
  measured: Measured,
  onWake: () => void,
) {
  const mine = () => ports.secrets.refs().flatMap((ref) => ports.secrets.get(ref) ?? []);
  if (mine().length === 0) log("warn", `no secret of ${opened.manifest.path} is in store ${name}`, {});
  const server = await serveAgents({
    socketPath: local.socketPath,
    tokens: local.tokens,
    secrets: { get: ports.secrets.get, values: mine },
    store: local.store,
    bus: local.bus,
    overlapOf: async (type) => (await loadRotator(type)).overlap,
    acceptReports: async (reports) => {
      const accepted = await acceptReports(ports, reports);
      measured.reported(reports);
      return accepted;
    },
    onWake,
    log,
  });
  return {
    close: () => server.close(),
    [Symbol.asyncDispose]: async () => {
      await server.close().catch((thrown: unknown) => {
        log("warn", "the socket did not close cleanly", { message: asKeyturnError(thrown).message });
      });
    },
  };
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
