import { dirname, resolve } from "node:path";
import { heldType } from "./check-secrets.ts";
import type { Entry } from "./gather.ts";
import type { HeldSecret, ManifestSecret, NotifyChannel, PolicyEntry, StoreEntry } from "./manifest.ts";
import { policiesFor, policyFor, ruling } from "./policy.ts";
import { formatPlace } from "./problem.ts";
import type { SecretContent, StoreContent } from "./schema.ts";
import { type ChannelContent, pagerdutyUrl } from "./schema-notify.ts";

/** A store that is used; none where its schema refused what it is. */
export function readStore({ name, content, file }: Entry<StoreContent>): readonly [string, StoreEntry][] {
  const { local, aws } = content;
  const quota = content.quota && { rotations: content.quota.rotations, perMs: content.quota.per };
  if (aws !== undefined) {
    const { account, region, installation = name, secretsBy = "name", role } = aws;
    return [[name, { kind: "aws", name, account, region, installation, secretsBy, role, quota }]];
  }
  if (local === undefined) return [];
  const path = resolve(dirname(file), local.path);
  const key = local.key === undefined ? undefined : resolve(dirname(file), local.key);
  return [[name, { kind: "local", name, path, key, quota }]];
}

/** A secret that is rotated. */
export function readSecret(
  entry: Entry<SecretContent>,
  policies: readonly PolicyEntry[],
): readonly [string, ManifestSecret][] {
  const { name: ref, content, file } = entry;
  const { store, account, type, config = {}, admin, fleets = [], tenant } = content;
  if (store === undefined || type === undefined || type === heldType) return [];
  const matching = policiesFor(ref, policies);
  const secret: ManifestSecret = {
    ref,
    type,
    config: withResolvedPaths(config, dirname(file)),
    admin: admin?.secret,
    policy: policyFor(ref, content, matching),
    fleets: [...new Set(fleets)],
    tenant,
    store,
    account,
    notify: [...new Set(content.notify ?? ruling(matching, "notify"))],
    secondPerson: ruling(matching, "secondPerson") ?? [],
    maxAffected: ruling(matching, "maxAffected"),
    schedule: content.schedule,
    where: formatPlace(entry.problem([], "")),
  };
  return [[ref, secret]];
}

/** A secret that is only kept. */
export function readHeld({ name: ref, content }: Entry<SecretContent>): readonly [string, HeldSecret][] {
  const { store, account, type, tenant } = content;
  return store === undefined || type !== heldType ? [] : [[ref, { ref, store, account, tenant }]];
}

/** Someone who is told. */
export function readChannel({
  name,
  content,
  file,
}: Entry<ChannelContent>): readonly [string, NotifyChannel][] {
  const { webhook, slack, pagerduty, on = ["failed", "revoked"] } = content;
  const channel = (kind: { readonly tls?: { readonly ca?: string | undefined } | undefined }) => ({
    name,
    on,
    ca: kind.tls?.ca === undefined ? undefined : resolve(dirname(file), kind.tls.ca),
  });
  if (webhook !== undefined) {
    const { url, signingSecret } = webhook;
    return [[name, { kind: "webhook", url, signingSecret: signingSecret.secret, ...channel(webhook) }]];
  }
  if (slack !== undefined) return [[name, { kind: "slack", url: slack.url.secret, ...channel(slack) }]];
  if (pagerduty === undefined) return [];
  const { routingKey, url = pagerdutyUrl } = pagerduty;
  return [[name, { kind: "pagerduty", routingKey: routingKey.secret, url, ...channel(pagerduty) }]];
}

/** `tls.ca` is a file beside the manifest for whoever writes it; rotators run elsewhere and get it absolute. */
function withResolvedPaths(
  config: Readonly<Record<string, unknown>>,
  folder: string,
): Record<string, unknown> {
  const { tls } = config;
  const { ca }: { readonly ca?: unknown } = Object(tls);
  if (typeof ca !== "string") return config;
  return { ...config, tls: { ...Object(tls), ca: resolve(folder, ca) } };
}
