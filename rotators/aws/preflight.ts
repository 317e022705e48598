import { asKeyturnError } from "../../core/errors.ts";
import type { Finding } from "../../core/rotator.ts";
import { administer } from "./clients.ts";
import type { Context, Credential } from "./config.ts";
import { type Key, keysMax, readUser, type User } from "./keys.ts";
import { fatesOf, slotsTaken } from "./mint.ts";
import type { Fate } from "./slots.ts";

/** Looks at the user, its marks and its slots, and changes nothing. An outage is thrown: it says nothing of how things are set up. */
export async function preflight(context: Context, adopting?: Credential): Promise<readonly Finding[]> {
  const { config, fence } = context;
  const check = `user ${config.userName}`;
  const call = await administer(context);
  let user: User;
  try {
    user = await readUser(call, context);
  } catch (thrown) {
    const { disposition, code, message } = asKeyturnError(thrown);
    if (disposition === "retry" && code !== "role-lacks-rights") throw thrown;
    return [{ check, ok: false, message, code }];
  }
  const { installation, keys } = user.marks;
  const seen = Math.max(0, ...keys.map(({ verb, epoch }) => (verb === "create" ? 0 : epoch)));
  const stand =
    installation === undefined ? "is not under Keyturn yet" : `is ours, and has seen epoch ${seen}`;
  const findings: Finding[] = [{ check, ok: true, message: stand }];
  if (seen > fence.epoch) {
    const message = `has seen epoch ${seen}, and the journal is at ${fence.epoch}: was it restored from a backup?`;
    findings.push({ check: "epoch", ok: false, message, code: "superseded" });
  }
  if (adopting !== undefined) findings.push(adoptionFinding(user, adopting, config.userName));
  findings.push(slotFinding(await fatesOf(call, user, context), user, context, adopting));
  return findings;
}

/** Whether the next rotation finds a slot. One that brings an old key back needs none. */
function slotFinding(
  fates: readonly (readonly [Key, Fate])[],
  { keys }: User,
  { config, fence }: Context,
  adopting: Credential | undefined,
): Finding {
  const check = "slots";
  const taken = keys.length;
  const isRollback = keys.some(
    ({ mark }) => mark !== undefined && mark.fingerprint === fence.fingerprint && fence.fingerprint !== "",
  );
  const serves = ([key, { kind }]: readonly [Key, Fate]) =>
    kind === "serves" || key.accessKeyId === adopting?.accessKeyId;
  if (taken < keysMax) return { check, ok: true, message: `${taken} of ${keysMax} access keys are there` };
  if (fates.some(([, { kind }]) => kind === "goes")) {
    return { check, ok: true, message: "a key that nobody needs any more makes room" };
  }
  if (isRollback || fates.every(serves)) {
    return {
      check,
      ok: true,
      message: "both keys are in service: the next one is made when the old one is retired",
    };
  }
  return { check, ok: false, ...slotsTaken(fates, config.userName) };
}

/** What has to be true of a key that is about to be imported. */
export function adoptionFinding({ keys }: User, { accessKeyId }: Credential, userName: string): Finding {
  const check = `key ${accessKeyId}`;
  const key = keys.find((each) => each.accessKeyId === accessKeyId);
  if (key === undefined) {
    return { check, ok: false, message: `user ${userName} has no such key`, code: "credential-invalid" };
  }
  return key.isActive
    ? { check, ok: true, message: "is there, and active" }
    : { check, ok: false, message: "is inactive", code: "login-refused" };
}
