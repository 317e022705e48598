import { KeyturnError } from "../core/errors.ts";
import { type Change, defineRotator, type Fence } from "../core/rotator.ts";
import { Secret } from "../core/secret.ts";
import { administer, type CallIam } from "./aws/clients.ts";
import { Admin, Config, type Context, Credential } from "./aws/config.ts";
import { lastUse, readUser, setActive, tagUser, type User } from "./aws/keys.ts";
import { fencedBefore, type KeyMark, markTag, ownerTags } from "./aws/marks.ts";
import { mint, sweep } from "./aws/mint.ts";
import { adoptionFinding, preflight } from "./aws/preflight.ts";
import { awaitRefusal, proveAccepted, tryKey } from "./aws/trial.ts";

/** What an access key leaves behind: AWS knows no way to end such sessions but a policy that denies them. */
const survives = [
  "sessions that were begun with the key before: by GetSessionToken for up to 36 hours, by AssumeRole for up to 12",
];

const user = "arn:{partition}:iam::{account}:user{path}{userName}";

/**
 * An IAM user has two access keys at the most, and both are good while the fleet changes over. AWS makes the secret, so `create` mints; `set` finds
 * the key active as it was made. `retire` makes it inactive, which can be taken back by hand, and a later rotation deletes it, when it needs the slot.
 *
 * Access keys bear no tags, so the user's tags keep the fence: whose user it is, and for each key the last verb, epoch and fingerprint. Tags
 * and keys do not change in one transaction, and IAM shows a change to different callers at different times. So the mark is written before
 * the change that it speaks of, and read again after it; and what a verb does it does to one key by its id, which AWS gives to no other key
 * ever: whoever was superseded can harm that key alone, which nobody wants any more by then. A create that was superseded makes one
 * more key; the limit of two and the next sweep see to it.
 */
export const rotator = defineRotator<Config, Credential, Admin>({
  type: "aws-iam-access-key",
  overlap: "both-live",
  config: Config,
  credential: Credential,
  admin: Admin,
  namedBy: ["accessKeyId"],
  needs: {
    network: ["internet"],
    aws: [
      {
        actions: [
          "iam:CreateAccessKey",
          "iam:DeleteAccessKey",
          "iam:GetAccessKeyLastUsed",
          "iam:ListAccessKeys",
          "iam:ListUserTags",
          "iam:TagUser",
          "iam:UntagUser",
          "iam:UpdateAccessKey",
        ],
        resource: user,
      },
    ],
  },

  async create(current, context) {
    return mint(await administer(context), current, context);
  },

  async sweep(context) {
    await sweep(await administer(context), context);
  },

  async set({ pending: { accessKeyId } }, context) {
    const call = await administer(context);
    const found = await readUser(call, context);
    const isDone = fencedBefore(found.marks, "set", accessKeyId, context.fence);
    const key = found.keys.find((each) => each.accessKeyId === accessKeyId);
    if (key === undefined) {
      throw new KeyturnError(
        "login-refused",
        `user ${context.config.userName} has no key ${accessKeyId} any more`,
      );
    }
    if (!isDone) await writeMark(call, found, accessKeyId, "set", context);
    if (key.isActive) return;
    await setActive(call, context.config, accessKeyId, true);
    await takeBackIfSuperseded(call, accessKeyId, false, context);
  },

  test: prove,

  async retire(credential, context) {
    const { accessKeyId } = credential;
    const call = await administer(context);
    const found = await readUser(call, context);
    const isDone = fencedBefore(found.marks, "retire", accessKeyId, context.fence);
    const key = found.keys.find((each) => each.accessKeyId === accessKeyId);
    // Ids are never given twice: what is gone stays gone.
    if (key === undefined) return { sessionsEnded: 0, survives };
    if (!isDone) await writeMark(call, found, accessKeyId, "retire", context);
    if (key.isActive) {
      await setActive(call, context.config, accessKeyId, false);
      await takeBackIfSuperseded(call, accessKeyId, true, context);
      await awaitRefusal(credential, context);
    }
    return { sessionsEnded: 0, survives };
  },

  refused(credential, context) {
    return tryKey(() => administer(context), credential, context);
  },

  async usage({ accessKeyId }, context) {
    const used = await lastUse(await administer(context), accessKeyId);
    const isRecent = used !== undefined && used.at > context.clock.now() - context.config.quietMs;
    return isRecent
      ? { sessions: 1, clients: [`whoever used it ${used.what}`] }
      : { sessions: 0, clients: [] };
  },

  preflight,

  async adopt(credential, context) {
    const { accessKeyId } = credential;
    await prove({ pending: credential, current: undefined }, context);
    const call = await administer(context);
    const found = await readUser(call, context);
    const wrong = adoptionFinding(found, credential, context.config.userName);
    if (!wrong.ok)
      throw new KeyturnError(wrong.code ?? "target-rejected", `${wrong.check}: ${wrong.message}`);
    if (fencedBefore(found.marks, "set", accessKeyId, context.fence)) return;
    await writeMark(call, found, accessKeyId, "set", context);
  },

  async inspect(context) {
    const { keys, marks } = await readUser(await administer(context), context);
    const { installation = "", secret: ref = "" } = marks;
    return keys.flatMap(({ accessKeyId, isActive, mark }) => {
      // One that was made and not set yet has no fingerprint to be known by: it is a matter of sweep.
      if (mark === undefined || mark.verb === "create") return [];
      const { verb, epoch, fingerprint, rotationId } = mark;
      return [
        {
          login: accessKeyId,
          verb,
          epoch,
          seen: epoch,
          fingerprint,
          rotationId,
          ref,
          installation,
          accepts: isActive,
        },
      ];
    });
  },

  outline(current, { userName }) {
    const set = { step: "set", change: `user ${userName} gets one more access key` } as const;
    const shut = `${current?.accessKeyId} becomes inactive; a later rotation deletes it`;
    const retire = current === undefined ? [] : [{ step: "retire", change: shut } as const];
    return { changes: [set, ...retire], connections: 5, refusedLogins: 1 };
  },

  async cut(login, context) {
    // Retire goes by the key's id; the value is for the proof, which nobody can give here.
    return this.retire({ accessKeyId: login, secretAccessKey: new Secret("unknown") }, context);
  },
});

/** What a key may do is what its user may do: to be the user's key is all there is to compare. */
async function prove({ pending }: Change<Credential>, context: Context): Promise<void> {
  await proveAccepted(pending, context);
}

/** Says what is about to be done to a key, before it is done: from then on whoever is older is superseded. */
async function writeMark(
  call: CallIam,
  { keys, marks }: User,
  accessKeyId: string,
  verb: "set" | "retire",
  context: Context,
): Promise<void> {
  const { config, fence, clock } = context;
  const { epoch, fingerprint, rotationId } = fence;
  const key = keys.find((each) => each.accessKeyId === accessKeyId);
  const before = key?.mark;
  const sets = marks.keys.filter((mark) => mark.verb === "set" && mark !== before);
  const { epoch: setAt, at } = before?.verb === "set" ? before : { epoch, at: clock.now() };
  // A rotation marks what it takes over from at its own epoch, before it sets the successor.
  const isOlder = (other: KeyMark) => other.epoch < setAt || (other.epoch === setAt && other.at <= at);
  const isNewest = before?.verb === "retire" ? before.newest : sets.every(isOlder);
  const mark: KeyMark = {
    ...{ accessKeyId, verb, epoch, fingerprint, rotationId },
    at: before?.verb === "retire" && key?.isActive === false ? before.at : clock.now(),
    // What bears no mark was made by somebody else, and handed over.
    imported: before === undefined || before.imported,
    newest: verb === "retire" && isNewest,
  };
  await tagUser(call, config, [...ownerTags(fence), markTag(mark)]);
}

/** The fence may have moved while the key was being changed: then what was done is undone, for whoever moved it wants the opposite. */
async function takeBackIfSuperseded(
  call: CallIam,
  accessKeyId: string,
  wasActive: boolean,
  context: Context,
): Promise<void> {
  const { marks } = await readUser(call, context);
  const mark = marks.keys.find((each) => each.accessKeyId === accessKeyId);
  if (mark === undefined || mark.epoch <= context.fence.epoch) return;
  const wanted = mark.verb === "set";
  if (wanted === wasActive) await setActive(call, context.config, accessKeyId, wanted);
  throw supersededBy(mark, context.fence);
}

function supersededBy({ accessKeyId, epoch }: KeyMark, fence: Fence): KeyturnError {
  return new KeyturnError(
    "superseded",
    `${accessKeyId} has seen epoch ${epoch}, and this is epoch ${fence.epoch}`,
  );
}
