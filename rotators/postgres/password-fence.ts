import type { Fence } from "../../core/rotator.ts";
import type { Session } from "./connection.ts";
import { encode, fenceText } from "./fence.ts";
import { fenceRoleOf, literal, markerOf } from "./names.ts";
import { passwordBlock } from "./password-block.ts";

/** A role whose password is changed, and who wants to change it. */
export interface FencedRole {
  readonly username: string;
  /** The administering login. It may be the role itself. */
  readonly admin: string;
  /** Whether it is made where it does not exist. */
  readonly creates: boolean;
  readonly fence: Fence;
}

/** `adopts` only writes the fence of a set: the role has the value already. `forced` first ends the role's sessions that hold a lock on it. */
export interface PasswordChange {
  readonly verb: "set" | "retire";
  readonly verifier?: string;
  readonly adopts?: boolean;
  readonly forced?: boolean;
}

/** A time, in microseconds since 1970 by the server's clock, in which whoever came in had a certain value. `to` is the first without it. */
export interface Period {
  readonly from: number;
  readonly to: number;
}

/**
 * Changes a role's password, or shuts it, in one `DO` block: lock, read the fence, decide, alter, write the fence. A client that is stopped
 * or torn away at any point leaves the change done or undone; the moment of the change, which the block notes after it, is noted by
 * the next one that comes by. It throws `superseded`, `fence-conflict` or `not-managed` before anything has changed, and returns quietly
 * when it was done before. A value that was replaced already is not retired again: only its epoch is noted.
 */
export async function changePassword(
  session: Session,
  role: FencedRole,
  change: PasswordChange,
): Promise<void> {
  const { username, fence } = role;
  const text = (value: string) => `constant text := ${literal(value)}`;
  const flag = (value: boolean | undefined) => `constant boolean := ${value === true}`;
  const block = `DECLARE
  my_login ${text(username)};
  my_place ${text(placeOf(role))};
  my_lock ${text(markerOf(username))};
  my_self ${flag(isSelf(role))};
  my_creates ${flag(role.creates)};
  my_verb ${text(change.verb)};
  my_adopts ${flag(change.adopts)};
  my_forced ${flag(change.forced)};
  my_verifier ${text(change.verifier ?? "")};
  my_epoch constant bigint := ${fence.epoch};
  my_fingerprint ${text(encode(fence.fingerprint))};
  my_rotation ${text(encode(fence.rotationId))};
  my_fence ${text(fenceText(change.verb, fence))};
  my_secret ${text(encode(fence.ref))};
  my_installation ${text(encode(fence.installation))};
${passwordBlock}`;
  await session.query(`DO ${literal(block)}`);
}

export function isSelf({ username, admin }: Pick<FencedRole, "username" | "admin">): boolean {
  return username === admin;
}

/** The role whose comment has the fence. */
export function placeOf(role: Pick<FencedRole, "username" | "admin">): string {
  return isSelf(role) ? fenceRoleOf(role.username) : role.username;
}

/** When those came in who have the value of this fingerprint, by the comment that has the fence. All of time where it is silent. */
export function periodsOf(comment: string, fingerprint: string): readonly Period[] {
  const [, list] = /\[keyturn sessions ([^\]]*)\]/.exec(comment) ?? [];
  if (list === undefined) return [{ from: 0, to: Number.MAX_SAFE_INTEGER }];
  const entries = list.split(",").map((entry) => {
    const [, value, from, since] = /^(.*)@(\d+)-(\d*)$/.exec(entry) ?? [];
    return { value, from: Number(from ?? 0), since: since ? Number(since) : Number.MAX_SAFE_INTEGER };
  });
  const known = entries.flatMap(({ value, from }, index) => {
    const to = entries[index - 1]?.since ?? Number.MAX_SAFE_INTEGER;
    return value === encode(fingerprint) ? [{ from, to }] : [];
  });
  // What is not on the list is older than everything that is.
  return known.length > 0 ? known : [{ from: 0, to: entries.at(-1)?.from ?? 0 }];
}
