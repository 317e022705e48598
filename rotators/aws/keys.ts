import type { AccessKeyMetadata, Tag } from "@aws-sdk/client-iam";
import { KeyturnError } from "../../core/errors.ts";
import type { CallIam } from "./clients.ts";
import type { Config, Context } from "./config.ts";
import { assertOwn, type KeyMark, keyTag, type Marks, readMarks } from "./marks.ts";

/** An access key as IAM lists it, with what our tags say of it. */
export interface Key {
  readonly accessKeyId: string;
  readonly isActive: boolean;
  readonly createdAt: number;
  readonly mark: KeyMark | undefined;
}

export interface User {
  readonly keys: readonly Key[];
  readonly marks: Marks;
}

/** When and for what a key was used; AWS may be late to say so. */
export interface LastUse {
  readonly at: number;
  readonly what: string;
}

/** So many access keys may a user have. AWS raises it for nobody. */
export const keysMax = 2;

/** The keys of the user and its tags. Throws `not-managed` where it belongs to another secret, `config-invalid` where there is no such user. */
export async function readUser(call: CallIam, { config, fence }: Context): Promise<User> {
  const { userName } = config;
  const doing = `user ${userName}`;
  const listed: AccessKeyMetadata[] = [];
  const tags: Tag[] = [];
  await call(doing, async (iam, sdk, options) => {
    const input = { UserName: userName };
    for (let next: string | undefined = ""; next !== undefined; ) {
      const page = { ...input, ...(next && { Marker: next }) };
      const answer: import("@aws-sdk/client-iam").ListAccessKeysCommandOutput = await iam.send(
        new sdk.ListAccessKeysCommand(page),
        options,
      );
      listed.push(...(answer.AccessKeyMetadata ?? []));
      next = answer.IsTruncated === true ? answer.Marker : undefined;
    }
    for (let next: string | undefined = ""; next !== undefined; ) {
      const page = { ...input, ...(next && { Marker: next }) };
      const answer: import("@aws-sdk/client-iam").ListUserTagsCommandOutput = await iam.send(
        new sdk.ListUserTagsCommand(page),
        options,
      );
      tags.push(...(answer.Tags ?? []));
      next = answer.IsTruncated === true ? answer.Marker : undefined;
    }
  });
  const marks = readMarks(tags);
  assertOwn(marks, fence, userName);
  const keys = listed.map(({ AccessKeyId = "", Status, CreateDate }) => ({
    accessKeyId: AccessKeyId,
    isActive: Status !== "Inactive",
    createdAt: CreateDate?.getTime() ?? 0,
    mark: marks.keys.find(({ accessKeyId }) => accessKeyId === AccessKeyId),
  }));
  return { keys, marks };
}

export async function lastUse(call: CallIam, accessKeyId: string): Promise<LastUse | undefined> {
  const { AccessKeyLastUsed } = await call(`the last use of ${accessKeyId}`, (iam, sdk, options) =>
    iam.send(new sdk.GetAccessKeyLastUsedCommand({ AccessKeyId: accessKeyId }), options),
  );
  const { LastUsedDate, ServiceName, Region } = AccessKeyLastUsed ?? {};
  if (LastUsedDate === undefined) return undefined;
  const what = `for ${ServiceName} in ${Region}, last at ${LastUsedDate.toISOString()}`;
  return { at: LastUsedDate.getTime(), what };
}

export async function tagUser(call: CallIam, { userName }: Config, tags: readonly Tag[]): Promise<void> {
  await call(`tagging user ${userName}`, (iam, sdk, options) =>
    iam.send(new sdk.TagUserCommand({ UserName: userName, Tags: [...tags] }), options),
  );
}

export async function untagUser(
  call: CallIam,
  { userName }: Config,
  names: readonly string[],
): Promise<void> {
  if (names.length === 0) return;
  await call(`untagging user ${userName}`, (iam, sdk, options) =>
    iam.send(new sdk.UntagUserCommand({ UserName: userName, TagKeys: [...names] }), options),
  );
}

/** A key that is gone by now is as good as inactive, and cannot be made active. */
export async function setActive(
  call: CallIam,
  { userName }: Config,
  accessKeyId: string,
  isActive: boolean,
): Promise<void> {
  const status = isActive ? "Active" : "Inactive";
  await call(`making ${accessKeyId} ${status.toLowerCase()}`, async (iam, sdk, options) => {
    try {
      await iam.send(
        new sdk.UpdateAccessKeyCommand({ UserName: userName, AccessKeyId: accessKeyId, Status: status }),
        options,
      );
    } catch (thrown) {
      if (!(thrown instanceof sdk.NoSuchEntityException)) throw thrown;
      if (isActive)
        throw new KeyturnError("login-refused", `user ${userName} has no key ${accessKeyId} any more`);
    }
  });
}

/** Inactive before it is gone, so that whoever depends on it may be heard of while there is a way back. Twice is once. */
export async function deleteKey(call: CallIam, config: Config, key: Key): Promise<void> {
  const { accessKeyId } = key;
  if (key.isActive) await setActive(call, config, accessKeyId, false);
  await call(`deleting ${accessKeyId}`, async (iam, sdk, options) => {
    try {
      await iam.send(
        new sdk.DeleteAccessKeyCommand({ UserName: config.userName, AccessKeyId: accessKeyId }),
        options,
      );
    } catch (thrown) {
      if (!(thrown instanceof sdk.NoSuchEntityException)) throw thrown;
    }
  });
  await untagUser(call, config, [keyTag(accessKeyId)]);
}
