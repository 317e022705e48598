import { type ErrorCode, errorCodes } from "../core/errors.ts";
import type { Ports } from "../core/ports.ts";

/** How rotations come to their end, and what may happen on the way. */
export const endings = [
  "converged",
  "converged at once for an emergency",
  "rolled back",
  "undone",
  "overtaken by another rotation",
] as const;
type Ending = (typeof endings)[number];
export const turns = ["halted", "resumed", "emergency", "cut first", "imported", "debt paid"] as const;

/** Where a rotation may come to a halt: nothing is halted that was told already, or is owed. */
export const mayHalt = ["create", "set", "test", "finish", "grace", "undo"] as const;

export function haltedIn(phase: string | undefined): string {
  return `halted in ${phase}`;
}

const turnOf: Readonly<Record<string, (typeof turns)[number]>> = {
  halted: "halted",
  resumed: "resumed",
  "emergency.requested": "emergency",
  imported: "imported",
  "debt.paid": "debt paid",
};

/** Reads from the audit what became of the rotations of a secret: whatever a worker that died has done is in there. */
export async function countEndings(
  ref: string,
  audit: Ports["audit"],
  count: (what: string) => void,
): Promise<void> {
  let under: Ending | undefined;
  for await (const { action, detail } of audit.read(ref)) {
    for (const turn of turnsOf(action, detail)) count(turn);
    const ends = endOf(action, under);
    if (ends !== undefined) count(ends);
    if (beginnings.has(action)) under = action === "rollback.began" ? "rolled back" : aimOf(detail);
    else if (ends !== undefined) under = undefined;
  }
}

function turnsOf(action: string, detail: string): readonly string[] {
  const turn = turnOf[action];
  const more = [
    turn === "halted" ? haltedIn(/^in (\w+)/.exec(detail)?.[1]) : undefined,
    turn === "emergency" && detail !== "" ? "cut first" : undefined,
    action === "rollback.began" && detail === "requested by keyturn" ? "rolls back by itself" : undefined,
  ];
  return [turn, ...more].filter((one) => one !== undefined);
}

const beginnings = new Set(["rotate.began", "rollback.began"]);

/** What the rotation under way comes to by this; undefined: it goes on, or there is none. */
function endOf(action: string, under: Ending | undefined): Ending | undefined {
  if (under === undefined) return undefined;
  if (beginnings.has(action)) return "overtaken by another rotation";
  if (action === "undo.done") return "undone";
  return action === "rotation.ended" ? under : undefined;
}

function aimOf(detail: string): Ending {
  return detail.startsWith("urgent") ? "converged at once for an emergency" : "converged";
}

/** What the faults of the simulation, and those who wait for one another, may be told as. */
const causes: readonly ErrorCode[] = [
  "unreachable",
  "timeout",
  "target-rejected",
  "target-busy",
  "data-broken",
];

/**
 * The first failure in the audit that nothing in the world explains: a step that finds another's fence, a lost candidate or a defect was not where
 * it should have been, even where all is well in the end.
 */
export async function unexplained(
  ref: string,
  audit: Ports["audit"],
  expected: readonly ErrorCode[],
): Promise<string | undefined> {
  const inexplicable = errorCodes.filter((code) => !expected.includes(code) && !causes.includes(code));
  for await (const { action, detail } of audit.read(ref)) {
    if (inexplicable.some((code) => detail.includes(`${code}: `))) return `${action}: ${detail}`;
  }
  return undefined;
}

/** What many simulations came to. */
export function addUp(counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const [what, count] of counts.flatMap((one) => Object.entries(one))) {
    total[what] = (total[what] ?? 0) + count;
  }
  return total;
}
