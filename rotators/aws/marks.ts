import type { Tag } from "@aws-sdk/client-iam";
import { KeyturnError } from "../../core/errors.ts";
import type { Fence } from "../../core/rotator.ts";

/** `create`: made, and never set yet. */
export type Verb = "create" | "set" | "retire";

/** What a tag of the user says of one of its keys: access keys themselves bear no tags. */
export interface KeyMark {
  readonly accessKeyId: string;
  readonly verb: Verb;
  readonly epoch: number;
  /** Empty until it is set: the value is not known before it is made. */
  readonly fingerprint: string;
  readonly rotationId: string;
  /** When it was marked, in milliseconds; of a retired key, since when it is inactive. */
  readonly at: number;
  /** A person's key that was handed over. */
  readonly imported: boolean;
  /** It was retired as the newest of all: a candidate that was taken back, or what was cut off. Nobody is to need it again. */
  readonly newest: boolean;
}

/** Said before a key is made, and taken back once it is marked: an interrupted create leaves it there. */
export interface Intent {
  readonly rotationId: string;
  readonly at: number;
  /** The keys that were there before. */
  readonly known: readonly string[];
}

/** All that the tags of a user say. */
export interface Marks {
  readonly installation: string | undefined;
  readonly secret: string | undefined;
  readonly intent: Intent | undefined;
  readonly keys: readonly KeyMark[];
}

export const installationTag = "keyturn:installation";
export const secretTag = "keyturn:secret";
export const intentTag = "keyturn:minting";
const keyPrefix = "keyturn:key:";

export function keyTag(accessKeyId: string): string {
  return `${keyPrefix}${accessKeyId}`;
}

export function ownerTags({ installation, ref }: Fence): readonly Tag[] {
  return [
    { Key: installationTag, Value: encode(installation) },
    { Key: secretTag, Value: encode(ref) },
  ];
}

export function intentTags({ rotationId, at, known }: Intent): readonly Tag[] {
  return [{ Key: intentTag, Value: [encode(rotationId), String(at), ...known].join(" ") }];
}

export function markTag(mark: KeyMark): Tag {
  const traits = [mark.imported ? "imported" : "made", ...(mark.newest ? ["newest"] : [])].join("+");
  const fingerprint = mark.fingerprint === "" ? "-" : encode(mark.fingerprint);
  const words = [mark.verb, mark.epoch, fingerprint, encode(mark.rotationId), mark.at, traits];
  return { Key: keyTag(mark.accessKeyId), Value: words.join(" ") };
}

/** What it does not understand it leaves out: a person's tag is no mark. */
export function readMarks(tags: readonly Tag[]): Marks {
  const textOf = (key: string) => tags.find((tag) => tag.Key === key)?.Value;
  const [installation, secret] = [textOf(installationTag), textOf(secretTag)];
  const [rotationId, at, ...known] = (textOf(intentTag) ?? "").split(" ");
  return {
    installation: installation === undefined ? undefined : decode(installation),
    secret: secret === undefined ? undefined : decode(secret),
    intent: rotationId && isCount(at) ? { rotationId: decode(rotationId), at: Number(at), known } : undefined,
    keys: tags.flatMap(readKeyMark),
  };
}

function readKeyMark({ Key = "", Value = "" }: Partial<Tag>): readonly KeyMark[] {
  const [verb, epoch, fingerprint = "", rotationId = "", at, traits = ""] = Value.split(" ");
  if (!Key.startsWith(keyPrefix) || !isVerb(verb) || !isCount(epoch) || !isCount(at)) return [];
  return [
    {
      accessKeyId: Key.slice(keyPrefix.length),
      verb,
      epoch: Number(epoch),
      fingerprint: fingerprint === "-" ? "" : decode(fingerprint),
      rotationId: decode(rotationId),
      at: Number(at),
      imported: traits.split("+").includes("imported"),
      newest: traits.split("+").includes("newest"),
    },
  ];
}

function isVerb(text: string | undefined): text is Verb {
  return text === "create" || text === "set" || text === "retire";
}

function isCount(text: string | undefined): text is string {
  return text !== undefined && /^\d{1,15}$/.test(text);
}

/** A tag may have letters, digits and `_ . : / = + - @` only; the `@` is ours, for whatever else there is. */
function encode(text: string): string {
  return text.replace(/[^A-Za-z0-9_.:/=+-]/gu, (letter) =>
    [...Buffer.from(letter)].map((byte) => `@${byte.toString(16).padStart(2, "0")}`).join(""),
  );
}

function decode(text: string): string {
  return text.replace(/(?:@[0-9a-f]{2})+/g, (bytes) =>
    Buffer.from(bytes.replaceAll("@", ""), "hex").toString(),
  );
}

/** A user belongs to one secret of one installation. */
export function assertOwn({ installation, secret }: Marks, fence: Fence, userName: string): void {
  const isFree = installation === undefined && secret === undefined;
  if (isFree || (installation === fence.installation && secret === fence.ref)) return;
  throw new KeyturnError(
    "not-managed",
    `user ${userName} belongs to secret ${secret} of installation ${installation}`,
  );
}

/**
 * Whether a verb on a key is done already. A greater epoch at this key, or of a set at any, has superseded it; two keys set at one epoch are two
 * rotations that do not know of each other, except where one rotation marks what it takes over from. In whatever words a key is told, it is retired once.
 */
export function fencedBefore(
  { keys }: Marks,
  verb: "set" | "retire",
  accessKeyId: string,
  { epoch, fingerprint, rotationId }: Fence,
): boolean {
  const own = keys.find((mark) => mark.accessKeyId === accessKeyId && mark.verb !== "create");
  const sets = keys.filter((mark) => mark.verb === "set");
  const later = [own, ...sets].find((mark) => mark !== undefined && mark.epoch > epoch);
  if (later !== undefined) {
    throw new KeyturnError(
      "superseded",
      `${later.accessKeyId} has seen epoch ${later.epoch}, and this is epoch ${epoch}`,
    );
  }
  const isValue = own?.fingerprint === fingerprint || verb === "retire";
  const isSame = own?.epoch === epoch && own.verb === verb && isValue;
  const isOther = (mark: KeyMark) => mark.accessKeyId !== accessKeyId && mark.rotationId !== rotationId;
  const others = verb === "set" ? sets.filter(isOther) : [];
  const rival = [...others, ...(own === undefined || isSame ? [] : [own])].find(
    (mark) => mark.epoch === epoch,
  );
  if (rival !== undefined) {
    throw new KeyturnError("fence-conflict", `${rival.accessKeyId} was ${rival.verb} at epoch ${epoch}, too`);
  }
  return isSame;
}
