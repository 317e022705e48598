import type { Phase } from "../core/record.ts";
import type { Answer } from "../core/request.ts";
import type { Ending, FollowUp } from "./cases.ts";

/** What the requests have come to, and with that what has to be so in the end. */
export interface Told {
  /** What was current when the worker began with what it was struck in. */
  readonly before: string | undefined;
  /** The rotation that was struck. */
  readonly first: string;
  /** In which state the record was when the fault struck. */
  phase?: Phase;
  followUp?: FollowUp;
  /** What a cancel was answered. */
  answer?: Answer["answer"];
  /** The rotation that was begun when all was at rest. */
  second?: string | undefined;
  /** The version that leaked, and whether readers were to lose it before there is another. */
  leaked?: { readonly version: string; readonly cutFirst: boolean };
}

/** The row of the table of requests: undone before finish, and refused once the new version may be out. */
const cancelAnswers: Partial<Record<Phase, Answer["answer"]>> = {
  idle: "nothing",
  create: "began",
  set: "began",
  test: "began",
  finish: "refused",
  announce: "refused",
  grace: "refused",
  retire: "refused",
};

/** By the state that the fault met: whether the value that was current then is the one from before, or the one that the rotation has made. */
const leakedAt: Partial<Record<Phase, readonly ("before" | "first")[]>> = {
  idle: ["first"],
  create: ["before"],
  set: ["before"],
  test: ["before"],
  // The store may have it already, and the record not yet.
  finish: ["before", "first"],
  announce: ["first"],
  grace: ["first"],
  retire: ["first"],
};

/** The one right end: undone exactly where the cancel came in time. */
export function dueEnding({ answer }: Told): Ending {
  return answer === "began" ? "undone" : "converged";
}

/** What is not as the tables say; `current` is the version that is current in the end. */
export function objections(told: Told, current: string | undefined): readonly string[] {
  return [...wronglyAnswered(told), ...wronglyLeaked(told), ...wronglyCurrent(told, current)];
}

function wronglyAnswered({ phase, answer, followUp }: Told): readonly string[] {
  if (followUp !== "cancelled" && followUp !== "superseded") return [];
  const due = phase && cancelAnswers[phase];
  return answer === due ? [] : [`a cancel in ${phase} was answered ${answer}, not ${due}`];
}

function wronglyLeaked({ phase, leaked, followUp, before, first }: Told): readonly string[] {
  if (followUp !== "emergency") return [];
  const due = ((phase && leakedAt[phase]) ?? []).map((which) => (which === "before" ? before : first));
  return leaked !== undefined && due.includes(leaked.version)
    ? []
    : [`what was current in ${phase} was none of ${due.join(", ")}`];
}

function wronglyCurrent(
  { before, first, second, leaked, followUp, answer }: Told,
  current: string | undefined,
): readonly string[] {
  const found: string[] = [];
  if (current === undefined || current === before) found.push("what was current before is current again");
  // A candidate that was on its way already is the successor of what leaked; of a candidate that leaked itself another one is.
  const follows = leaked?.version === first ? undefined : first;
  const another = isFollowed(followUp) || answer !== undefined;
  const due = another ? second : follows;
  if (another && second === undefined) found.push("no other rotation began");
  if (due !== undefined && current !== due) found.push("another version is current than was asked for");
  if (due === undefined && current === first) found.push("a version that was given up is current");
  if (answer === "began" && current === first) found.push("what was cancelled is current");
  return found;
}

/** Another rotation is begun when all is at rest. */
export function isFollowed(followUp: FollowUp | undefined): boolean {
  return followUp === "cancelled" || followUp === "superseded" || followUp === "overtaken";
}
