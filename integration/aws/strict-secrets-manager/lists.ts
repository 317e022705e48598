import type { HeldSecret } from "./held.ts";
import type { RequestOf } from "./requests.ts";
import { ServiceError } from "./service-error.ts";

type Filters = RequestOf<"ListSecrets">["Filters"];

/** https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecrets.html: what waits for its deletion is left out, unless asked for. */
export function listSecrets(
  secrets: readonly HeldSecret[],
  region: string,
  request: RequestOf<"ListSecrets">,
): { readonly SecretList: readonly { readonly Name: string }[]; readonly NextToken: string | undefined } {
  const wanted = secrets
    .filter(({ deletedAt }) => deletedAt === undefined || request.IncludePlannedDeletion === true)
    .filter((secret) => (request.Filters ?? []).every((filter) => passes(secret, filter)));
  const ordered = request.SortOrder === "asc" ? wanted : wanted.toReversed();
  const { items, next } = pageOf(ordered, request);
  return {
    SecretList: items.map((secret) => ({
      ...secret.describe(region),
      Name: secret.name,
      SecretVersionsToStages: secret.stages(),
    })),
    NextToken: next,
  };
}

/** https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecretVersionIds.html */
export function listVersions(
  secret: HeldSecret,
  request: RequestOf<"ListSecretVersionIds">,
): Readonly<Record<string, unknown>> {
  secret.assertAlive();
  const versions = [...secret.versions.values()].filter(
    ({ id }) => request.IncludeDeprecated === true || secret.labelsOf(id).length > 0,
  );
  const { items, next } = pageOf(versions, request);
  return {
    ARN: secret.arn,
    Name: secret.name,
    Versions: items.map(({ id, createdAt }) => ({
      VersionId: id,
      VersionStages: secret.labelsOf(id),
      CreatedDate: createdAt / 1_000,
    })),
    NextToken: next,
  };
}

/** A name is found by its beginning, and by its case; a value that begins with `!` leaves out what it finds. */
function passes(secret: HeldSecret, { Key, Values }: NonNullable<Filters>[number]): boolean {
  const attributes = {
    name: [secret.name],
    "tag-key": [...secret.tags.keys()],
    "tag-value": [...secret.tags.values()],
    "owning-service": [secret.owningService ?? ""],
    "primary-region": [secret.region],
  };
  if (Key === "all" || Key === "description") {
    throw new ServiceError("InvalidParameterException", `The filter ${Key} is not part of this model.`);
  }
  const begins = (text: string): boolean => attributes[Key].some((each) => each.startsWith(text));
  return Values.some((text) => (text.startsWith("!") ? !begins(text.slice(1)) : begins(text)));
}

function pageOf<Item>(
  all: readonly Item[],
  { MaxResults = 100, NextToken }: { MaxResults?: number | undefined; NextToken?: string | undefined },
): { readonly items: readonly Item[]; readonly next: string | undefined } {
  const begin = NextToken === undefined ? 0 : Number(/^page-(\d+)$/.exec(NextToken)?.[1] ?? "x");
  if (Number.isNaN(begin)) throw new ServiceError("InvalidNextTokenException", "The NextToken is invalid.");
  const end = begin + MaxResults;
  return { items: all.slice(begin, end), next: end < all.length ? `page-${end}` : undefined };
}
