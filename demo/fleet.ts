import { type ChildProcess, fork } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as z from "zod/mini";
import { localOf } from "../cli/open.ts";
import { type HostOrder, HostReport } from "./host.ts";
import { fleet, ref, type Stage } from "./stage.ts";

/** The agents, in several processes. */
export interface Fleet {
  readonly agents: number;
  counts(): { readonly queries: number; readonly failed: number; readonly lastError: string | undefined };
  /** One agent holds a transaction open that long; resolves when it has ended. */
  transaction(
    ms: number,
  ): Promise<{ readonly committed: boolean; readonly login: string; readonly ms: number }>;
  stop(): Promise<void>;
}

interface Host {
  readonly child: ChildProcess;
  counts: { queries: number; failed: number; lastError?: string | undefined };
}

export async function startFleet(
  stage: Stage,
  size: { hosts: number; agentsPerHost: number },
): Promise<Fleet> {
  const local = localOf(await stage.opened.store("here"), "the demo runs on one");
  const hosts: Host[] = [];
  const running = Array.from({ length: size.hosts }, async (_, index) => {
    const principal = `host-${index}`;
    const tokenFile = join(stage.directory, `${principal}.token`);
    await stage.keyturn(["enrol", principal, "--fleet", fleet, "--out", tokenFile, "--json"]);
    const host = startHost();
    hosts.push(host);
    const started = heard(host.child, "running");
    order(host.child, {
      do: "start",
      settings: {
        socket: local.socketPath,
        token: readFileSync(tokenFile, "utf8").trim(),
        principal,
        fleet,
        ref,
        ca: stage.postgres.ca,
        agents: size.agentsPerHost,
        queriesPerSecond: 5,
        spreadMs: 1_000,
      },
    });
    await started;
  });
  await Promise.all(running);
  const all = [...hosts];
  const [first] = hosts;
  if (first === undefined) throw new Error("a fleet needs a host");
  return {
    agents: size.hosts * size.agentsPerHost,
    counts: () => total(all),
    transaction: async (ms) => {
      const ended = heard(first.child, "transaction");
      order(first.child, { do: "transaction", ms });
      return ended;
    },
    stop: async () => {
      await Promise.all(hosts.splice(0).map((host) => stopHost(host)));
    },
  };
}

function startHost(): Host {
  const child = fork(fileURLToPath(new URL("./host.ts", import.meta.url)), {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  process.once("exit", () => child.kill("SIGKILL"));
  const host: Host = { child, counts: { queries: 0, failed: 0 } };
  child.on("message", (json) => {
    const report = z.parse(HostReport, json);
    if (report.said === "count") host.counts = report;
  });
  return host;
}

async function stopHost({ child }: Host): Promise<void> {
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  order(child, { do: "stop" });
  await gone;
}

function total(hosts: readonly Host[]) {
  return {
    queries: hosts.reduce((sum, { counts }) => sum + counts.queries, 0),
    failed: hosts.reduce((sum, { counts }) => sum + counts.failed, 0),
    lastError: hosts.find(({ counts }) => counts.lastError !== undefined)?.counts.lastError,
  };
}

function order(child: ChildProcess, what: HostOrder): void {
  child.send(what);
}

async function heard<Said extends HostReport["said"]>(
  child: ChildProcess,
  said: Said,
): Promise<Extract<HostReport, { said: Said }>> {
  return new Promise((resolve, reject) => {
    const died = (): void => reject(new Error("a host of the fleet died"));
    child.once("exit", died);
    const listen = (json: unknown): void => {
      const report = z.parse(HostReport, json);
      if (!isSaid(report, said)) return;
      child.off("message", listen).off("exit", died);
      resolve(report);
    };
    child.on("message", listen);
  });
}

function isSaid<Said extends HostReport["said"]>(
  report: HostReport,
  said: Said,
): report is Extract<HostReport, { said: Said }> {
  return report.said === said;
}
