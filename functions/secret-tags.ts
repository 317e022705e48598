import {
  ListSecretsCommand,
  type SecretsManagerClient,
  TagResourceCommand,
} from "@aws-sdk/client-secrets-manager";
import { KeyturnError } from "../core/errors.ts";
import type { ManagedSecret } from "../core/ports.ts";
import { translateSecretsManager } from "./secret-errors.ts";

type Tagged = Pick<ManagedSecret, "ref" | "type" | "tenant">;

/** A secret that is there and does not bear what the rights of its function go by. */
export interface Untagged {
  readonly ref: string;
  /** What it has to bear, as far as it does not. */
  readonly tags: Readonly<Record<string, string>>;
}

/** What a secret bears where a function's rights go by tags: the conditions of `cdk/secret-rights.ts`. */
export function tagsOf(installation: string, { type, tenant }: Tagged): Readonly<Record<string, string>> {
  return {
    "keyturn:installation": installation,
    "keyturn:type": type,
    ...(tenant === undefined ? {} : { "keyturn:tenant": tenant }),
  };
}

/** A hundred secrets a call. What is not there at all is not found here: its first rotation says so. */
export async function untagged(
  client: SecretsManagerClient,
  installation: string,
  secrets: readonly Tagged[],
): Promise<readonly Untagged[]> {
  const wanted = new Map(secrets.map((secret) => [secret.ref, tagsOf(installation, secret)]));
  const found: Untagged[] = [];
  let next: string | undefined;
  do {
    const page = await client
      .send(new ListSecretsCommand({ MaxResults: 100, NextToken: next }))
      .catch((thrown: unknown) => {
        throw translateSecretsManager(thrown, "of this account", "listing the secrets");
      });
    for (const { Name: ref = "", Tags = [] } of page.SecretList ?? []) {
      const bears = new Map(Tags.map(({ Key = "", Value = "" }) => [Key, Value]));
      const lacks = Object.entries(wanted.get(ref) ?? {}).filter(([key, value]) => bears.get(key) !== value);
      if (lacks.length > 0) found.push({ ref, tags: Object.fromEntries(lacks) });
    }
    next = page.NextToken;
  } while (next !== undefined);
  return found.toSorted((one, other) => (one.ref < other.ref ? -1 : 1));
}

/** Twice is once. */
export async function tag(client: SecretsManagerClient, { ref, tags }: Untagged): Promise<void> {
  const Tags = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
  await client.send(new TagResourceCommand({ SecretId: ref, Tags })).catch((thrown: unknown) => {
    throw translateSecretsManager(thrown, ref, "tagging");
  });
}

/** Throws `config-invalid` that names secrets which no function may touch as they are, and what mends it. */
export async function assertTagged(
  client: SecretsManagerClient,
  installation: string,
  secrets: readonly Tagged[],
): Promise<void> {
  const found = await untagged(client, installation, secrets);
  if (found.length === 0) return;
  const some = found.slice(0, 10).map(({ ref, tags }) => `${ref} (${textOf(tags)})`);
  const rest = found.length > some.length ? ` and ${found.length - some.length} more` : "";
  throw new KeyturnError(
    "config-invalid",
    `secrets lack the tags by which their function may touch them: ${some.join(", ")}${rest}; \`keyturn doctor --fix\` sets them`,
  );
}

function textOf(tags: Readonly<Record<string, string>>): string {
  return Object.entries(tags)
    .map(([key, value]) => `${key}=${value}`)
    .join(" ");
}

/** Where rights go by tags, a call that is refused has most likely met a secret that lacks them: then the error says so, once. */
export async function namingTags<Result>(
  tags: Readonly<Record<string, string>> | undefined,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (thrown) {
    const isRefused = thrown instanceof KeyturnError && thrown.code === "role-lacks-rights";
    if (tags === undefined || !isRefused || !/\(needs secretsmanager:[^()]*\)$/.test(thrown.message))
      throw thrown;
    throw new KeyturnError(
      thrown.code,
      `${thrown.message}: rights go by tags here, does it bear ${textOf(tags)}? \`keyturn doctor --fix\` sets them`,
    );
  }
}
