import type { Fence, Mark } from "../../core/rotator.ts";
import type { Session } from "./connection.ts";
import { fenceBlock } from "./fence-block.ts";
import { literal, markerOf, slotsOf } from "./names.ts";

/** What is done to a login under the fence. `clear` takes what lived in a slot out of it; `set` puts the new value in. */
export type Verb = "clear" | "set" | "retire";

/** One login of an owner role, and who wants to change it. A login that is no slot of the owner's is a legacy login. */
export interface FencedLogin {
  readonly owner: string;
  readonly username: string;
  readonly fence: Fence;
  /** The login that it takes over from, whose limits and settings it gets; without it, the owner's other slot. */
  readonly predecessor?: string | undefined;
}

/**
 * Changes a login in one `DO` block: lock, read the fence, decide, alter, write the fence. The block is one statement, so a client
 * that is stopped or torn away at any point leaves all of it done or none. It throws `superseded`, `fence-conflict` or
 * `not-managed` before anything has changed, and returns quietly when it was done before.
 *
 * `adopts` only writes the fence of a set: the login has the value already.
 *
 * `forced` also ends the login's sessions before it alters: one of them may hold a lock on its own role.
 */
export async function changeLogin(
  session: Session,
  login: FencedLogin,
  change: {
    readonly verb: Verb;
    readonly verifier?: string;
    readonly forced?: boolean;
    readonly adopts?: boolean;
  },
): Promise<void> {
  const { owner, username, fence } = login;
  const sibling = login.predecessor ?? slotsOf(owner).find((slot) => slot !== username) ?? "";
  const text = (value: string) => `constant text := ${literal(value)}`;
  const block = `DECLARE
  my_owner ${text(owner)};
  my_login ${text(username)};
  my_sibling ${text(sibling)};
  my_marker ${text(markerOf(owner))};
  my_verb ${text(change.verb)};
  my_legacy constant boolean := ${!slotsOf(owner).includes(username)};
  my_adopts constant boolean := ${change.adopts === true};
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
export function fenceText(verb: Verb, fence: Fence): string {
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

const fencePattern =
  /\[keyturn v1 (?<verb>\w+) epoch=(?<epoch>\d+) fingerprint=(?<fingerprint>[^ \]]*) rotation=(?<rotationId>[^ \]]*) secret=(?<ref>[^ \]]*) installation=(?<installation>[^ \]]*) seen=(?<seen>\d+)\]/;

/** The fence in a comment: whose it is, what was done last, and how far it has come; or that there is none. */
export function readFence(comment: string): Omit<Mark, "login" | "accepts"> | undefined {
  const found = fencePattern.exec(comment)?.groups;
  if (found === undefined) return undefined;
  const text = (name: string): string => decode(found[name] ?? "");
  return {
    verb: text("verb"),
    epoch: Number(found.epoch),
    seen: Number(found.seen),
    fingerprint: text("fingerprint"),
    rotationId: text("rotationId"),
    ref: text("ref"),
    installation: text("installation"),
  };
}

/** A person may have written into it. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Free of spaces, quotes, brackets and whatever else means something to anyone on the way, and still readable. */
export function encode(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(
    /[!'()*~]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
