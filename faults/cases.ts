/** What happens to a worker at a boundary: before the call that waits there, or, where the reply is lost, behind it. */
export type Fault = "killed" | "failed" | "reply lost" | "stopped";

/** What happens at that moment, and afterwards. */
export type FollowUp = "retried" | "cancelled" | "superseded" | "emergency";

/**
 * - `converged`: the newest value is current and accepted, every other one is refused, and nothing is owed.
 * - `undone`: the candidate was taken back, as a cancel asks for, and the rotation after it has converged.
 * - `halted`: a person is needed.
 * - `stuck`: it does not come to rest, or something was left behind: a debt, a role, a session, a value that still works.
 * - `lost`: a reader found no credential that works, or a compromised value is back.
 */
export type Ending = "converged" | "undone" | "halted" | "stuck" | "lost";

export const endings = [
  "converged",
  "undone",
  "halted",
  "stuck",
  "lost",
] as const satisfies readonly Ending[];

export interface Case {
  readonly fault: Fault;
  readonly followUp: FollowUp;
  /** Both, in a person's words: the first column of the tables. */
  readonly story: string;
  /** How it may end. Nothing here needs a person. */
  readonly mayEnd: readonly Ending[];
}

const faults = {
  killed: "The worker is killed (SIGKILL)",
  failed: "A call fails",
  "reply lost": "A call is carried out, and its reply is lost",
} as const satisfies Partial<Record<Fault, string>>;

const followUps = {
  retried: { story: "the rotation goes on", mayEnd: ["converged"] },
  // Once the new version is out a cancel is refused, and the rotation converges.
  cancelled: { story: "the rotation is cancelled, and another begun", mayEnd: ["converged", "undone"] },
  emergency: { story: "the current value leaks at that moment", mayEnd: ["converged"] },
} as const satisfies Partial<Record<FollowUp, Pick<Case, "story" | "mayEnd">>>;

const stopped = "The worker is stopped (SIGSTOP)";

/** Every case, each of which is tried at the boundaries of every subject. */
export const cases: readonly Case[] = [
  ...byFault("killed"),
  ...byFault("failed"),
  ...byFault("reply lost"),
  {
    fault: "stopped",
    followUp: "superseded",
    story: `${stopped}; another cancels the rotation and carries out a second one; then the first worker goes on`,
    mayEnd: ["converged", "undone"],
  },
  {
    fault: "stopped",
    followUp: "emergency",
    story: `${stopped}; the current value leaks, and another cuts it off; then the first worker goes on`,
    mayEnd: ["converged"],
  },
];

function byFault(fault: keyof typeof faults): readonly Case[] {
  return (["retried", "cancelled", "emergency"] as const).map((followUp) => {
    const { story, mayEnd } = followUps[followUp];
    return { fault, followUp, story: `${faults[fault]}; ${story}`, mayEnd };
  });
}

/** A lost reply is a fault of its own only where the call has changed something. */
export function applies({ fault }: Case, boundary: { readonly changes: boolean }): boolean {
  return fault !== "reply lost" || boundary.changes;
}

/** So many of them, evenly spread, the first by chance; all of them where there are no more. `chance` is from 0 to below 1. */
export function spread<Item>(items: readonly Item[], count: number, chance: number): readonly Item[] {
  if (items.length <= count) return items;
  const step = items.length / count;
  return Array.from({ length: count }, (_, index) => items[Math.floor((index + chance) * step)]).filter(
    (item) => item !== undefined,
  );
}
