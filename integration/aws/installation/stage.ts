import { installation } from "./installation.ts";
import { stageOf } from "./stage-of.ts";

/** The installation that all files of this folder share. */
export const { current, letsIn, record, atRest, order, begun, rotateSecret, rotated, tick, processesOf } =
  stageOf(installation);
