import { isCompromised } from "../core/transition.ts";
import type { RevokedVersion, RevokeResult } from "./results/revoke.ts";
import type { Cut } from "./revoke-cut.ts";
import { isRefused } from "./revoke-follow.ts";
import { duration, short, type Terminal } from "./terminal.ts";

/** When things happened, in milliseconds since 1970 UTC. */
export interface Times {
  /** When the alert came: what is refused is counted from there. */
  readonly alertAt: number;
  /** From the start, or the end of standard input. */
  readonly identifiedMs: number;
}

/** What came of one version, for the incident report. */
export function revokedVersion({ target, record }: Cut, { alertAt, identifiedMs }: Times): RevokedVersion {
  const { ref, version, mark } = target;
  const entry = record?.compromised.find((one) => one.version === version);
  // What the store has disabled was proven refused long ago.
  const isGone = mark === undefined;
  const refusedAt = isGone ? alertAt : entry?.refusedAt;
  const hasSuccessor = record?.current !== undefined && (isGone || !isCompromised(record, record.current));
  const { state } = record ?? {};
  return {
    ref,
    version,
    refused: isGone || isRefused(record, version),
    identifiedMs,
    ...(refusedAt === undefined ? {} : { refusedMs: Math.max(0, refusedAt - alertAt) }),
    sessionsEnded: entry?.sessionsEnded ?? 0,
    survives: [...(entry?.survives ?? [])],
    ...(hasSuccessor ? { successor: record.current?.version } : {}),
    phase: state?.phase ?? "idle",
    ...(state?.phase === "halted" ? { reason: `${state.code}: ${state.reason}` } : {}),
  };
}

/** The longest time from the alert to a refusal; undefined while one is not refused. */
export function containedMs(revoked: readonly RevokedVersion[]): number | undefined {
  const times = revoked.map(({ refusedMs }) => refusedMs);
  return times.length === 0 || times.includes(undefined)
    ? undefined
    : Math.max(...times.map((ms) => ms ?? 0));
}

/** With more than this many only those that need a person are shown one by one. */
const linesMax = 20;

export function showReport(terminal: Terminal, result: RevokeResult): void {
  const { revoked } = result;
  const isWell = (one: RevokedVersion): boolean => one.refused && one.successor !== undefined;
  const shown = revoked.length > linesMax ? revoked.filter((one) => !isWell(one)) : revoked;
  for (const one of shown) terminal.show(line(one));
  if (revoked.length > 1) {
    const refused = revoked.filter((one) => one.refused).length;
    const sessions = revoked.reduce((sum, { sessionsEnded }) => sum + sessionsEnded, 0);
    const when = result.containedMs === undefined ? "" : `, the last after ${duration(result.containedMs)}`;
    terminal.show(
      `${refused} of ${revoked.length} are refused by their targets${when}; ${sessions} sessions ended`,
    );
  }
  const { agent } = result;
  if (agent !== undefined) {
    terminal.show(
      `host ${agent.principal}: ${agent.tokensRevoked} tokens ended; it can read nothing of ${agent.fleets.join(", ") || "any fleet"} any more`,
    );
  }
}

function line(one: RevokedVersion): string {
  const name = `${one.ref}  ${short(one.version)}`;
  if (!one.refused && one.reason !== undefined) {
    return `${name} is NOT proven refused: halted, ${one.reason}; --cut-first cuts it off without a successor`;
  }
  if (!one.refused) {
    return `${name} is NOT yet proven refused (${one.phase}); \`keyturn serve\`, functions on AWS, or this command again goes on`;
  }
  const when = one.refusedMs === undefined ? "" : ` after ${duration(one.refusedMs)}`;
  const survives = one.survives.length === 0 ? "nothing survives" : `survives: ${one.survives.join(", ")}`;
  const successor = one.successor === undefined ? "NOT out yet" : short(one.successor);
  const halted = one.reason === undefined ? "" : `; halted: ${one.reason}`;
  return `${name} is refused by its target${when}; ${one.sessionsEnded} sessions ended; ${survives}; successor ${successor}${halted}`;
}
