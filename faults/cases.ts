/**
 * What happens to a worker at a boundary: before the call that waits there; where it is carried out (`killed amid`, `reply lost`), before
 * its reply has come.
 */
export type Fault = "killed" | "killed amid" | "failed" | "reply lost" | "stopped";

/** What the worker carries out when the fault strikes it. */
export type Course = "rotation" | "undo" | "rollback" | "emergency" | "cut first";

/** What happens at that moment, and afterwards. */
export type FollowUp = "retried" | "overtaken" | "cancelled" | "superseded" | "emergency";

/**
 * - `converged`: the newest value is current and accepted, every other one is refused, and nothing is owed.
 * - `undone`: the candidate was taken back, as a cancel asks for, and the rotation after it has converged.
 * - `halted`: a person is needed.
 * - `stuck`: it does not come to rest, something was left behind (a debt, a role, a session, a value that still works), or another end was due.
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
  readonly course: Course;
  readonly fault: Fault;
  readonly followUp: FollowUp;
  /** All of it, in a person's words. */
  readonly story: string;
  /** The same in the README, where the faults of one course that is no plain rotation share a line. */
  readonly headline: string;
  /** How it may end; which of them is due at a boundary says `due.ts`. Nothing here needs a person. */
  readonly mayEnd: readonly Ending[];
}

const faults = {
  killed: "The worker is killed (SIGKILL) before a call",
  "killed amid": "The worker is killed (SIGKILL) amid a call, which is carried out",
  failed: "A call fails",
  "reply lost": "A call is carried out, and its reply is lost",
} as const satisfies Partial<Record<Fault, string>>;

const followUps = {
  retried: { story: "the rotation goes on", mayEnd: ["converged"] },
  // Once the new version is out a cancel is refused, and the rotation converges.
  cancelled: { story: "the rotation is cancelled, and another begun", mayEnd: ["converged", "undone"] },
  emergency: { story: "the current value leaks at that moment", mayEnd: ["converged"] },
} as const satisfies Partial<Record<FollowUp, Pick<Case, "story" | "mayEnd">>>;

const courses = {
  undo: { in: "an undo", andThen: "; and another rotation is begun", mayEnd: ["undone"] },
  rollback: { in: "a rollback in grace", andThen: "", mayEnd: ["converged"] },
  emergency: { in: "the rotation of a leaked value", andThen: "", mayEnd: ["converged"] },
  "cut first": {
    in: "the rotation of a leaked value that is cut off first",
    andThen: "",
    mayEnd: ["converged"],
  },
} as const satisfies Record<
  Exclude<Course, "rotation">,
  Pick<Case, "mayEnd"> & { readonly in: string; readonly andThen: string }
>;
const otherCourses = ["undo", "rollback", "emergency", "cut first"] as const;

const stopped = "The worker is stopped (SIGSTOP)";

/** Every case, each of which is tried at the boundaries of every subject to which it applies. */
export const cases: readonly Case[] = [
  ...(["killed", "killed amid", "failed", "reply lost"] as const).flatMap((fault) =>
    (["retried", "cancelled", "emergency"] as const).map((followUp) => {
      const { story, mayEnd } = followUps[followUp];
      return plain(fault, followUp, `${faults[fault]}; ${story}`, mayEnd);
    }),
  ),
  plain(
    "stopped",
    "superseded",
    `${stopped}; another cancels the rotation and carries out a second one; then the first worker goes on`,
    ["converged", "undone"],
  ),
  plain(
    "stopped",
    "emergency",
    `${stopped}; the current value leaks, and another cuts it off; then the first worker goes on`,
    ["converged"],
  ),
  ...otherCourses.flatMap((course) =>
    (["killed", "killed amid", "failed", "reply lost"] as const).map((fault) => {
      const { in: where, andThen, mayEnd } = courses[course];
      const goesOn = `${where}, which goes on${andThen}`;
      const headline = `A kill, a failing call or a lost reply in ${goesOn}`;
      const story = `${faults[fault]}, in ${goesOn}`;
      return { course, fault, followUp: "retried" as const, story, headline, mayEnd };
    }),
  ),
  ...otherCourses.map((course) => {
    const { in: where, mayEnd } = courses[course];
    const story = `${stopped} in ${where}; another ends it, and carries out another rotation; then the first worker goes on`;
    return {
      course,
      fault: "stopped" as const,
      followUp: "overtaken" as const,
      story,
      headline: story,
      mayEnd,
    };
  }),
];

function plain(fault: Fault, followUp: FollowUp, story: string, mayEnd: readonly Ending[]): Case {
  return { course: "rotation", fault, followUp, story, headline: story, mayEnd };
}

/** The cases of a subject. A cutover type has one value at its target: to set the successor is the cut, and there is none before it. */
export function casesOf({ overlap }: { readonly overlap: "both-live" | "cutover" }): readonly Case[] {
  return cases.filter(({ course }) => course !== "cut first" || overlap === "both-live");
}

/** Whether a call is carried out makes a difference only where it changes something. */
export function applies({ fault }: Case, boundary: { readonly changes: boolean }): boolean {
  return (fault !== "reply lost" && fault !== "killed amid") || boundary.changes;
}

/** So many of them, evenly spread, the first by chance; all of them where there are no more. `chance` is from 0 to below 1. */
export function spread<Item>(items: readonly Item[], count: number, chance: number): readonly Item[] {
  if (items.length <= count) return items;
  const step = items.length / count;
  return Array.from({ length: count }, (_, index) => items[Math.floor((index + chance) * step)]).filter(
    (item) => item !== undefined,
  );
}
