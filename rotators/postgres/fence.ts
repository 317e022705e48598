import type { Fence } from "../../core/rotator.ts";
import type { Session } from "./connection.ts";
import { fenceBlock } from "./fence-block.ts";
import { literal, markerOf, slotsOf } from "./names.ts";

/** What is done to a login under the fence. `clear` takes what lived in a slot out of it; `set` puts the new value in. */
export type Verb = "clear" | "set" | "retire";

/** One login of an owner role, and who wants to change it. */
export interface FencedLogin {
  readonly owner: string;
  readonly username: string;
  readonly fence: Fence;
}

/**
 * Changes a login in one `DO` block: lock, read the fence, decide, alter, write the fence. The block is one statement, so a client
 * that is stopped or torn away at any point leaves all of it done or none. It throws `superseded`, `fence-conflict` or
 * `not-managed` before anything has changed, and returns quietly when it was done before.
 *
 * `forced` also ends the login's sessions before it alters: one of them may hold a lock on its own role.
 */
export async function changeLogin(
  session: Session,
  login: FencedLogin,
  change: { readonly verb: Verb; readonly verifier?: string; readonly forced?: boolean },
): Promise<void> {
  const { owner, username, fence } = login;
  const sibling = slotsOf(owner).find((slot) => slot !== username) ?? "";
  const text = (value: string) => `constant text := ${literal(value)}`;
  const block = `DECLARE
  my_owner ${text(owner)};
  my_login ${text(username)};
  my_sibling ${text(sibling)};
  my_marker ${text(markerOf(owner))};
  my_verb ${text(change.verb)};
  my_forced constant boolean := ${change.forced === true};
  my_verifier ${text(change.verifier ?? "")};
  my_epoch constant bigint := ${fence.epoch};
  my_fingerprint ${text(encode(fence.fingerprint))};
  my_rotation ${text(encode(fence.rotationId))};
  my_fence ${text(fenceText(change.verb, fence))};
  my_secret ${text(encode(fence.ref))};
  my_installation ${text(encode(fence.installation))};
${fenceBlock}`;
  await session.query(`DO ${literal(block)}`);
}

/**
 * The fence as a person finds it in the role's comment. `seen` is the highest epoch that has passed by, which is greater than
 * `epoch` where a credential was retired that this login does not hold any more.
 */
function fenceText(verb: Verb, fence: Fence): string {
  const { epoch, fingerprint, rotationId } = fence;
  return `[keyturn v1 ${verb} epoch=${epoch} fingerprint=${encode(fingerprint)} rotation=${encode(rotationId)} ${ownerText(fence)} seen=${epoch}]`;
}

/** A regular expression for the comment of a login that was shut by this owner, and has seen this epoch last. */
export function shutPattern(fence: Fence): string {
  return `\\[keyturn v1 (clear|retire) [^\\]]* ${ownerText(fence)} seen=${fence.epoch}\\]`;
}

function ownerText({ ref, installation }: Fence): string {
  return `secret=${encode(ref)} installation=${encode(installation)}`;
}

/** The fence in a comment: whose it is and how far it has come, or that there is none. */
export function readFence(
  comment: string,
): { secret: string; installation: string; seen: number } | undefined {
  const [, secret, installation, seen] =
    /\[keyturn v1 [^\]]* secret=([^ \]]*) installation=([^ \]]*) seen=(\d+)\]/.exec(comment) ?? [];
  if (secret === undefined || installation === undefined) return undefined;
  return {
    secret: decodeURIComponent(secret),
    installation: decodeURIComponent(installation),
    seen: Number(seen),
  };
}

/** Free of spaces, quotes, brackets and whatever else means something to anyone on the way, and still readable. */
function encode(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(
    /[!'()*~]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
