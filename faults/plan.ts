import { seededRandom } from "../local/memory.ts";
import { applies, type Case, type Course, casesOf, spread } from "./cases.ts";
import type { Lane } from "./lane.ts";
import type { Options } from "./options.ts";
import { dryPass, type Numbered } from "./run.ts";
import type { Subject } from "./subject.ts";

export interface Planned {
  readonly subject: Subject;
  readonly one: Case;
  readonly boundaries: number;
  /** The numbers of the boundaries at which it is tried. */
  readonly chosen: readonly number[];
}

interface Wanted extends Pick<Options, "full" | "only" | "at"> {
  /** At how many boundaries a case is tried, where not at all of them. Plain rotations have the most; of the others a case has a third of it. */
  readonly share: number;
}

const shareOf = ({ course }: Case, share: number): number =>
  course === "rotation" ? share : Math.ceil(share / 3);

/** Which boundaries there are shows each course once, with nothing happening to it. */
export async function plan(
  subjects: readonly Subject[],
  lanes: readonly Lane[],
  { full, only, at, share }: Wanted,
  seed: number,
): Promise<readonly Planned[]> {
  const wanted = subjects.flatMap((subject) =>
    casesOf(subject).flatMap((one) => (nameOf(subject, one).includes(only) ? [{ subject, one }] : [])),
  );
  const passes = new Map<string, readonly Numbered[]>();
  const keyOf = (subject: Subject, course: Course): string => `${subject.name}/${course}`;
  const unseen = new Map(wanted.map(({ subject, one }) => [keyOf(subject, one.course), { subject, one }]));
  const jobs = unseen.entries();
  await Promise.all(
    lanes.map(async (lane) => {
      for (const [key, { subject, one }] of jobs) passes.set(key, await dryPass(one.course, subject, lane));
    }),
  );
  const random = seededRandom(seed);
  const chance = () => (random.bytes(1)[0] ?? 0) / 256;
  return wanted.map(({ subject, one }) => {
    const boundaries = passes.get(keyOf(subject, one.course)) ?? [];
    const numbers = boundaries.flatMap((boundary, index) => (applies(one, boundary) ? [index + 1] : []));
    const count = full ? numbers.length : shareOf(one, share);
    return { subject, one, boundaries: numbers.length, chosen: at ?? spread(numbers, count, chance()) };
  });
}

/** By which `--only` finds it. */
export function nameOf(subject: Subject, { course, fault, followUp }: Case): string {
  return `${subject.name}, ${course}, ${fault}, ${followUp}`;
}
