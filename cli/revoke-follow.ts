import { setTimeout as sleep } from "node:timers/promises";
import type { RotationRecord } from "../core/record.ts";
import { isCompromised } from "../core/transition.ts";
import { carryOn } from "./carry-on.ts";
import type { Target } from "./revoke-aim.ts";
import type { RevokeProgress } from "./revoke-progress.ts";
import type { Slots } from "./slots.ts";
import { isGone } from "./who.ts";

/** How often a record is looked at that another worker has in hand. */
const lookMs = 100;
const pauseMaxMs = 1_000;

interface Following {
  readonly worker: string;
  readonly slots: Slots;
  /** Aborted by Ctrl-C, and when the command's time is over: what is under way then is left to whoever comes next. */
  readonly over: AbortSignal;
  readonly progress: RevokeProgress;
  /** The records as they were seen last, by reference; kept up to date. */
  readonly known: Map<string, RotationRecord>;
}

/** Works on the leaked versions of one secret, or watches another worker do it, until all are refused and agents have a successor. */
export async function follow(
  targets: readonly Target[],
  { worker, slots, over, progress, known }: Following,
): Promise<void> {
  const [first] = targets;
  if (first === undefined) return;
  const { ref, secret } = first;
  const { ports } = secret;
  const saved = ({ record }: { readonly record: RotationRecord }): void => {
    known.set(ref, record);
    progress.show(record);
  };
  while (!over.aborted) {
    // It may have been over before there was room.
    const turn = slots.run(async () =>
      over.aborted ? undefined : carryOn(ref, secret, { worker, isGone, observe: saved }),
    );
    const passed = await until(turn, over);
    if (passed === undefined) return;
    const { record, result, until: due } = passed;
    known.set(ref, record);
    await progress.showAll(record, ports);
    if (isReached(record, targets) || record.state.phase === "halted") return;
    if (result === "waiting" && due === undefined) return;
    const pause = result === "busy" ? lookMs : Math.max(10, (due ?? 0) - ports.clock.now());
    await until(sleep(Math.min(pause, pauseMaxMs)), over);
  }
}

/** Undefined once it is over, whether or not the work ever comes back. */
async function until<Result>(work: Promise<Result>, over: AbortSignal): Promise<Result | undefined> {
  const left = new AbortController();
  const ended = new Promise<undefined>((resolve) => {
    const leave = (): void => resolve(undefined);
    if (over.aborted) leave();
    over.addEventListener("abort", leave, { once: true, signal: left.signal });
  });
  try {
    // What is left alone may still fail, and nobody is there to hear it.
    work.catch(() => undefined);
    return await Promise.race([work, ended]);
  } finally {
    left.abort();
  }
}

function isReached(record: RotationRecord, targets: readonly Target[]): boolean {
  return targets.every(({ version }) => isRefused(record, version)) && !isCompromised(record, record.current);
}

/** The target was seen to refuse it. */
export function isRefused(record: RotationRecord | undefined, version: string): boolean {
  return (
    record?.compromised.some((entry) => entry.version === version && entry.refusedAt !== undefined) === true
  );
}
