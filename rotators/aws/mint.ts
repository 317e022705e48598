import { type ErrorCode, KeyturnError } from "../../core/errors.ts";
import { Secret } from "../../core/secret.ts";
import type { CallIam } from "./clients.ts";
import type { Context, Credential } from "./config.ts";
import {
  deleteKey,
  type Key,
  keysMax,
  lastUse,
  readUser,
  setActive,
  tagUser,
  type User,
  untagUser,
} from "./keys.ts";
import { intentTag, intentTags, keyTag, markTag, ownerTags } from "./marks.ts";
import { type Fate, fateOf, mintingMs } from "./slots.ts";

/** What becomes of each key. */
export async function fatesOf(
  call: CallIam,
  user: User,
  { config, clock, urgent = false }: Context,
): Promise<readonly (readonly [Key, Fate])[]> {
  const fates: (readonly [Key, Fate])[] = [];
  for (const key of user.keys) {
    const serves = key.mark?.verb === "set";
    const used = serves ? undefined : await lastUse(call, key.accessKeyId);
    fates.push([key, fateOf(key, user, used, { config, now: clock.now(), urgent })]);
  }
  return fates;
}

/** Deletes what interrupted creates and old rotations left, and forgets what was said of keys that are gone. */
export async function sweep(call: CallIam, context: Context): Promise<void> {
  const { config, log } = context;
  const user = await readUser(call, context);
  for (const [key, fate] of await fatesOf(call, user, context)) {
    if (fate.kind !== "goes") continue;
    log("info", `access key ${key.accessKeyId} is deleted`, { user: config.userName, why: fate.why });
    await deleteKey(call, config, key);
  }
  const there = user.keys.map(({ accessKeyId }) => accessKeyId);
  const gone = user.marks.keys.filter(({ accessKeyId }) => !there.includes(accessKeyId));
  const names = gone.map(({ accessKeyId }) => keyTag(accessKeyId));
  // By now no key is there that it could tell anything about.
  const told = user.keys.every(({ mark }) => mark !== undefined) && user.marks.intent !== undefined;
  await untagUser(call, config, told ? [...names, intentTag] : names);
}

/**
 * Makes a key, and says so twice: that one will come, with those that are there, and then which it is. Whoever dies in between leaves the first
 * word, and the next sweep knows by it whose the key is that nobody has the secret of.
 */
export async function mint(
  call: CallIam,
  current: Credential | undefined,
  context: Context,
): Promise<Credential> {
  const { config, fence, clock } = context;
  let user = await readUser(call, context);
  if (context.urgent === true && user.keys.length >= keysMax)
    user = await makeRoom(call, user, current, context);
  if (user.keys.length >= keysMax) throw await noSlot(call, user, context);
  const { rotationId, epoch } = fence;
  const announced = clock.now();
  const known = user.keys.map(({ accessKeyId }) => accessKeyId);
  await tagUser(call, config, [...ownerTags(fence), ...intentTags({ rotationId, at: announced, known })]);
  if (clock.now() - announced > mintingMs / 2) {
    throw new KeyturnError("timeout", "too much time has passed since the key was announced");
  }
  const made = await call(`making a key for user ${config.userName}`, (iam, sdk, options) =>
    iam.send(new sdk.CreateAccessKeyCommand({ UserName: config.userName }), options),
  );
  const { AccessKeyId: accessKeyId = "", SecretAccessKey: secret = "" } = made.AccessKey ?? {};
  const mark = {
    verb: "create",
    epoch,
    fingerprint: "",
    rotationId,
    imported: false,
    newest: false,
  } as const;
  await tagUser(call, config, [markTag({ accessKeyId, at: clock.now(), ...mark })]);
  await untagUser(call, config, [intentTag]);
  return { accessKeyId, secretAccessKey: new Secret(secret) };
}

/**
 * An emergency has to have a successor: the key of ours that is not the one in use, an old one in its grace or a candidate, is given up for it. It is
 * owed by then, and its holders lose by it as they would in any other type whose slot is taken. One that a person has made is a person's to delete.
 */
async function makeRoom(
  call: CallIam,
  user: User,
  current: Credential | undefined,
  context: Context,
): Promise<User> {
  const { config, fence, clock, log } = context;
  const [victim, ...others] = user.keys.filter(
    ({ mark, accessKeyId }) => mark?.verb === "set" && accessKeyId !== current?.accessKeyId,
  );
  if (victim?.mark === undefined || others.length > 0) return user;
  const { accessKeyId } = victim;
  if (victim.mark.imported && !config.deleteImported) {
    throw new KeyturnError(
      "not-managed",
      `user ${config.userName} has as many access keys as it may have, and what has leaked needs a successor: ${accessKeyId} was imported, and a person has to delete it`,
    );
  }
  const used = await lastUse(call, accessKeyId);
  log("warn", `access key ${accessKeyId} makes room for the successor of what has leaked`, {
    user: config.userName,
    used: used?.what ?? "never",
  });
  const mark = { ...victim.mark, verb: "retire", epoch: fence.epoch, at: clock.now(), newest: true } as const;
  await tagUser(call, config, [markTag(mark)]);
  await setActive(call, config, accessKeyId, false);
  await deleteKey(call, config, { ...victim, isActive: false });
  return { ...user, keys: user.keys.filter((key) => key !== victim) };
}

/** Who holds the slots, and what is to be done about it. */
export async function noSlot(call: CallIam, user: User, context: Context): Promise<KeyturnError> {
  const { code, message } = slotsTaken(await fatesOf(call, user, context), context.config.userName);
  return new KeyturnError(code, message);
}

export function slotsTaken(
  fates: readonly (readonly [Key, Fate])[],
  userName: string,
): { readonly code: ErrorCode; readonly message: string } {
  const staying = fates.flatMap(([, fate]) => (fate.kind === "stays" ? [fate.code] : []));
  // A person has to do something about one of them: that is what is told.
  const code: ErrorCode = staying.find((each) => each !== "target-busy") ?? "target-busy";
  const list = fates.map(([{ accessKeyId }, fate]) => {
    const why = fate.kind === "serves" ? "is in service, by its mark" : fate.why;
    return `${accessKeyId} ${why}`;
  });
  return { code, message: `user ${userName} has as many access keys as it may have: ${list.join("; ")}` };
}
