import type { Log } from "../core/ports.ts";
import type { SecretCalls } from "./secret-calls.ts";
import { pinOf, type Stages } from "./secret-stages.ts";

/** AWS allows 20 labels on all versions of a secret together; what one rotation adds has to find room: its pin, AWSPENDING, AWSPREVIOUS, a mark. */
const labelsMost = 16;

/** Whoever was frozen and goes on with an id that was put aside is refused by its mark, for so many of the last ones at least. */
const marksKept = 3;

interface Idle {
  readonly version: string;
  readonly labels: readonly string[];
  readonly createdAt: number;
}

/**
 * Takes labels of ours away where a secret has nearly as many as AWS allows: from ids that were put aside first, then from the values that were
 * pinned longest ago. Those are readable as long as AWS keeps them, which is a day at least, and until there are more than 100 versions.
 */
export async function makeRoom(calls: SecretCalls, ref: string, stages: Stages, log: Log): Promise<void> {
  let excess = stages.size - labelsMost;
  if (excess <= 0) return;
  const idle: readonly Idle[] = (await calls.versions(ref))
    .map(({ VersionId: version = "", VersionStages: labels = [], CreatedDate }) => ({
      version,
      labels,
      createdAt: CreatedDate?.getTime() ?? 0,
    }))
    .filter(({ labels }) => labels.every((label) => label.startsWith("keyturn-")))
    .toSorted((one, other) => one.createdAt - other.createdAt);
  const pinned = idle.filter(isPinned);
  const marked = idle.filter((each) => !isPinned(each));
  const last = Math.max(0, marked.length - marksKept);
  for (const each of [...marked.slice(0, last), ...pinned, ...marked.slice(last)]) {
    if (excess <= 0) return;
    if (isPinned(each)) {
      log("warn", "an old version is pinned no longer: the secret has as many labels as AWS allows", {
        ref,
        version: each.version,
      });
    }
    for (const label of each.labels) {
      // Where somebody else was faster there is the more room.
      await calls.move(ref, label, undefined, each.version);
      excess -= 1;
    }
  }
}

function isPinned({ version, labels }: Idle): boolean {
  return labels.includes(pinOf(version));
}
