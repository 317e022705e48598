import { randomBytes } from "node:crypto";
import type { Random } from "../core/ports.ts";

/** The machine's chance. */
export const systemRandom: Random = { bytes: (length) => new Uint8Array(randomBytes(length)) };
