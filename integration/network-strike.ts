import type pg from "pg";
import type { Outcome } from "../core/outcome.ts";
import type { StepUnderWay } from "../core/reconcile.ts";
import { locksLeft, type Subject } from "./network-subjects.ts";
import type { Limits, NetworkWorld } from "./network-world.ts";
import type { Beginning, Outage } from "./tcp-proxy.ts";

export type Step = StepUnderWay["step"];

/** A step that was carried out over a network that failed, and what there was when it had ended. */
export interface Strike {
  readonly step: Step;
  readonly outcome: Outcome;
  /** The message of the step at which the network failed; undefined: the step did not get so far. */
  readonly at: Beginning | undefined;
  readonly tookMs: number;
  /** What anybody's sessions had locks on, of those that the step made or could have made. */
  readonly locks: readonly unknown[];
  /** Whether somebody could log in by another network, by the readers' rules. */
  readonly loggedIn: boolean;
}

/** Of an outage by which nothing comes back in time a step learns only by its limits: these are short, so that it can be waited for. */
const short = { connectTimeoutMs: 1_200, lockTimeoutMs: 200, statementTimeoutMs: 300 } as const;
/** A machine with much else to do does not come near these, by whatever else a step may end. */
const patient = { connectTimeoutMs: 10_000, lockTimeoutMs: 1_000, statementTimeoutMs: 5_000 } as const;

export function limitsFor(outage: Outage): Limits {
  return outage === "refused" || outage === "reset" || outage === "slow" ? patient : short;
}

/** A slow network takes its time, and is let through. */
export function deadlineFor(outage: Outage): number {
  return outage === "slow" ? 30_000 : 8_000;
}

/** How long a session that nobody speaks for any more may still be there: what the server gives it, and a busy machine. */
export function silenceMaxMs({ statementTimeoutMs, connectTimeoutMs }: Limits): number {
  return 3 * statementTimeoutMs + connectTimeoutMs + 1_000 + 5_000;
}

/** Asking for TLS, greeting, naming the login, and two for the password. */
export const loginMessages = 5;

/** Carries a step out, lets the network fail at that message of it (0: before it begins), and heals it again. */
export async function strike(
  superuser: pg.Client,
  subject: Subject,
  world: NetworkWorld,
  { outage, message }: { readonly outage: Outage; readonly message: number },
  { step }: StepUnderWay,
  carryOut: () => Promise<Outcome>,
): Promise<Strike> {
  await world.proxy.fail(outage, message);
  const began = performance.now();
  const outcome = await carryOut();
  const tookMs = performance.now() - began;
  const locks = await locksLeft(superuser, subject);
  const loggedIn = await world.someLogsIn();
  const at = await world.proxy.heal();
  return { step, outcome, at, tookMs, locks, loggedIn };
}

/** What a step comes to that is struck there, and fails. */
export function codeOf({ connection, message }: Beginning): "unreachable" | "not-proven" {
  // Behind the administering session come logins that only prove something: a proof that could not be asked for is none, whatever kept it from that.
  return connection > 1 && message <= loginMessages ? "not-proven" : "unreachable";
}

export function resultOf({ outcome }: Strike): string {
  return outcome.result === "failed" ? outcome.code : outcome.result;
}

/** What each step comes to once it is let through. */
export const endings = {
  create: "saved",
  set: "done",
  test: "done",
  finish: "done",
  announce: "done",
  undo: "done",
  confirm: "works",
  retire: "refused",
} as const satisfies Readonly<Record<Step, string>>;
