import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import { request } from "../core/operate.ts";
import { inParallel } from "../core/parallel.ts";
import type { RotationRecord } from "../core/record.ts";
import type { CommandContext } from "./command.ts";
import { goesOn } from "./open.ts";
import type { Target } from "./revoke-aim.ts";
import { follow, isRefused } from "./revoke-follow.ts";
import { RevokeProgress } from "./revoke-progress.ts";
import { Slots } from "./slots.ts";
import { workerName } from "./who.ts";

/** How many are worked on at once: enough to hide what each waits for, few enough for the connections of one server. */
const most = 16;
/** A turn that takes longer, on a target that does not answer, makes room for the others. */
const sliceMs = 2_000;

interface CutOptions {
  readonly by: string;
  readonly cutFirst: boolean;
  readonly timeoutMs: number;
}

/** What came of one version: the record as it was seen last, or why not even that is known. */
export interface Cut {
  readonly target: Target;
  readonly record: RotationRecord | undefined;
  readonly error: KeyturnError | undefined;
}

/**
 * Reports every version before the first is waited for, then works on all of them, a few at a time: a target that is down keeps none of
 * the others alive, and what is reported goes on by the service or the same command again, should this one end.
 */
export async function cutAll(
  { terminal, signal }: CommandContext,
  targets: readonly Target[],
  options: CutOptions,
): Promise<readonly Cut[]> {
  const known = new Map<string, RotationRecord>();
  const failed = new Map<Target, KeyturnError>();
  const failedWith = (target: Target, thrown: unknown): void => {
    const { code, message } = asKeyturnError(thrown);
    failed.set(target, new KeyturnError(code, `${target.ref}: ${message}`, { cause: thrown }));
  };
  const open = targets.filter(({ mark }) => mark !== undefined);
  const progress = new RevokeProgress(terminal, new Set(open.map(({ ref }) => ref)).size);
  try {
    const struck = await inParallel(open, most, async (target) => {
      signal.throwIfAborted();
      const record = await strike(target, options);
      known.set(target.ref, record);
      progress.show(record);
    });
    for (const [index, one] of struck.entries()) {
      const target = open[index];
      if (one.status === "rejected" && target !== undefined) failedWith(target, one.reason);
    }
    await wake(open);
    signal.throwIfAborted();
    const slots = new Slots(most, sliceMs);
    const over = AbortSignal.any([signal, AbortSignal.timeout(options.timeoutMs)]);
    const following = { worker: workerName("cli"), slots, over, progress, known };
    const followed = Map.groupBy(
      open.filter((target) => !failed.has(target)),
      ({ ref }) => ref,
    );
    await Promise.all(
      [...followed.values()].map((group) =>
        follow(group, following).catch((thrown: unknown) => {
          for (const target of group) failedWith(target, thrown);
        }),
      ),
    );
    signal.throwIfAborted();
  } catch (thrown) {
    if (signal.aborted) terminal.warn(farewell(open, known));
    throw thrown;
  } finally {
    await wake(open);
  }
  const load = async (target: Target): Promise<Cut> => {
    const { ports } = target.secret;
    const record = known.get(target.ref) ?? (await ports.journal.load(target.ref))?.record;
    return { target, record, error: failed.get(target) };
  };
  return Promise.all(targets.map(load));
}

/** Marks the version as compromised: from here on the service, or whoever comes next, cuts it off. */
async function strike(target: Target, { by, cutFirst }: CutOptions): Promise<RotationRecord> {
  const { secret, ref, mark, affected } = target;
  if (mark === undefined) throw new KeyturnError("internal", `${ref} has no version to report`);
  // What is refused already is not cut anew: that would take back what is proven.
  const emergency = {
    kind: "emergency",
    by,
    version: mark,
    cutFirst: cutFirst && affected.standing !== "cut",
  } as const;
  const { record } = await request(ref, secret.ports, emergency);
  return record;
}

/** One sign a store: the service looks for all that is due. */
async function wake(targets: readonly Target[]): Promise<void> {
  const stores = Map.groupBy(targets, ({ secret }) => secret.wake);
  await Promise.all([...stores].map(([wakeAll, its]) => wakeAll([...new Set(its.map(({ ref }) => ref))])));
}

function farewell(open: readonly Target[], known: ReadonlyMap<string, RotationRecord>): string {
  const reported = open.filter(({ ref }) => known.has(ref));
  const refused = reported.filter(({ ref, version }) => isRefused(known.get(ref), version));
  const ways = [...new Set(open.map(({ secret }) => goesOn(secret)))];
  return `${reported.length} of ${open.length} are reported and ${refused.length} refused; what is reported goes on ${ways.join(" or ")}, and all of it by the same command again`;
}
