import { constants, setPriority } from "node:os";
import { parentPort, workerData } from "node:worker_threads";
import * as z from "zod/mini";
import { ProcessLook } from "./process-look.ts";

/** A process that lives for 20 ms is still there at one of these looks, and they cost less than a fortieth of a core. */
const newEveryMs = 8;
/** What has become another program long after it began. */
const allEveryMs = 1_000;

try {
  // Of this thread alone: where all cores are busy it comes first, for it is done at once.
  setPriority(0, constants.priority.PRIORITY_HIGHEST);
} catch {
  // Not every user may. It looks a little later then.
}
// Each process that is gone is an error, of which nobody asks where it was.
Error.stackTraceLimit = 0;
const look = new ProcessLook(z.parse(z.object({ file: z.string() }), workerData).file);
look.atAll();
look.atNew(performance.now());
setInterval(() => look.atNew(performance.now()), newEveryMs);
setInterval(() => look.atAll(), allEveryMs);
parentPort?.postMessage("looking");
