import type { ErrorCode } from "../../core/errors.ts";
import type { Config } from "./config.ts";
import type { Key, LastUse, User } from "./keys.ts";

/** What becomes of a key when the next one is to be made. */
export type Fate =
  /** It is the fleet's, or a rotation's. */
  | { readonly kind: "serves" }
  /** It is ours, and nobody can need it any more. */
  | { readonly kind: "goes"; readonly why: string }
  /** It keeps its slot; what that means for a rotation that needs one. */
  | { readonly kind: "stays"; readonly code: ErrorCode; readonly why: string };

/** Whom it is asked for. */
export interface Asking {
  readonly config: Pick<Config, "keepInactiveMs" | "deleteImported">;
  readonly now: number;
  /** An emergency does not wait for those who may still need an inactive key. */
  readonly urgent: boolean;
}

/** Within so long after it was announced is a key made, or else nobody can tell whose it is. AWS's clock and ours differ by a little. */
export const mintingMs = 60_000;
const clocksDifferMs = 5_000;
/** AWS lets an inactive key in for some moments still. */
const settlesMs = 300_000;

/**
 * Decides about one key. Only keys go that we made (a mark says so, or an interrupted create has announced it), that are of no rotation's any more, and
 * that nobody has used since they became inactive. What cannot be told apart for sure stays.
 */
export function fateOf(key: Key, { marks }: User, used: LastUse | undefined, asking: Asking): Fate {
  const { mark } = key;
  if (mark === undefined) return unmarked(key, marks.intent, used);
  switch (mark.verb) {
    case "create":
      return used === undefined
        ? { kind: "goes", why: `rotation ${mark.rotationId} made it, and came to nothing` }
        : stays(
            "request-refused",
            `was made by rotation ${mark.rotationId}, never set, and is used ${used.what}`,
          );
    case "set":
      return { kind: "serves" };
    case "retire":
      return retired(key, mark, used, asking);
  }
}

function retired(
  { isActive }: Key,
  { at, imported, newest }: NonNullable<Key["mark"]>,
  used: LastUse | undefined,
  { config, now, urgent }: Asking,
): Fate {
  const since = timeOf(at);
  if (isActive) {
    return stays("request-refused", `was retired at ${since}, and somebody has made it active again`);
  }
  if (used !== undefined && used.at > at + settlesMs) {
    return stays("request-refused", `is inactive since ${since}, and was used since, ${used.what}`);
  }
  if (imported && !config.deleteImported) {
    return stays("not-managed", `is inactive since ${since}; it was imported, and a person has to delete it`);
  }
  const until = at + (newest || urgent ? 0 : config.keepInactiveMs);
  if (now >= until) return { kind: "goes", why: `inactive since ${since}` };
  return stays("target-busy", `is inactive since ${since}, and kept until ${timeOf(until)}`);
}

/** Somebody else's, unless it came within moments after an interrupted create had announced one, and was never used. */
function unmarked(
  { accessKeyId, createdAt }: Key,
  intent: User["marks"]["intent"],
  used: LastUse | undefined,
): Fate {
  const made = `was made at ${timeOf(createdAt)}`;
  if (intent === undefined || intent.known.includes(accessKeyId)) {
    return stays(
      "not-managed",
      `${made} by somebody else${used === undefined ? "" : `, and is used ${used.what}`}`,
    );
  }
  const isInTime = createdAt >= intent.at - clocksDifferMs && createdAt <= intent.at + mintingMs;
  if (isInTime && used === undefined) {
    return { kind: "goes", why: `rotation ${intent.rotationId} made it, and was interrupted` };
  }
  return stays(
    "not-managed",
    `${made}; rotation ${intent.rotationId} was interrupted, and it cannot be told who made it: look for CreateAccessKey in CloudTrail, where Keyturn's has the user agent keyturn/${intent.rotationId}`,
  );
}

function stays(code: ErrorCode, why: string): Fate {
  return { kind: "stays", code, why };
}

function timeOf(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
