import { randomBytes } from "node:crypto";
import type { StoredSecret } from "../core/ports.ts";
import { Secret } from "../core/secret.ts";
import type { NotifyChannel } from "../manifest/manifest.ts";
import type { ReadSecret } from "./channel-secret.ts";
import type { DeliverOptions } from "./deliver.ts";
import { type Condition, type Notice, opening } from "./notice.ts";
import type { Receiver } from "./receiver.contract.ts";

export type Kind = NotifyChannel["kind"];
export const kinds: readonly Kind[] = ["webhook", "slack", "pagerduty"];

/** What a receiver is told besides what everybody is. */
const on = ["failed", "revoked"] as const;

export function channelTo(
  receiver: Pick<Receiver, "url" | "ca">,
  kind: Kind,
  changes: Partial<{ name: string; on: NotifyChannel["on"]; ca: string | undefined }> = {},
): NotifyChannel {
  const base = { name: `a-${kind}`, on, ca: receiver.ca, ...changes };
  switch (kind) {
    case "webhook":
      return { ...base, kind, url: `${receiver.url}/hook`, signingSecret: "ops/signing" };
    case "slack":
      return { ...base, kind, url: "ops/slack" };
    case "pagerduty":
      return { ...base, kind, routingKey: "ops/routing", url: `${receiver.url}/v2/enqueue` };
  }
}

/** Values that may be seen nowhere but where the protocol wants them. */
export const canaries = {
  signing: `whsec_${randomBytes(32).toString("base64")}`,
  slackPath: "/services/T00CANARY/B00CANARY/canarySlackPath7Qx",
  routing: "canary0routing0key0123456789abcd",
} as const;

export function channelValues(receiver: Pick<Receiver, "url">): Record<string, string> {
  return {
    "ops/signing": canaries.signing,
    "ops/slack": `${receiver.url}${canaries.slackPath}`,
    "ops/routing": canaries.routing,
  };
}

/** Secrets as `keyturn put` stores them; what begins with `{` is stored as it is. */
export function readerOf(values: Readonly<Record<string, string | undefined>>, createdAt = 0): ReadSecret {
  return async (ref, stage) => {
    const value = values[stage === "current" ? ref : `${ref}@${stage}`];
    if (value === undefined) return undefined;
    const text = value.startsWith("{") ? value : JSON.stringify({ value });
    return { ref, version: "v1", value: new Secret(text), createdAt } satisfies StoredSecret;
  };
}

export const sender = { installation: "installation-1", host: "keys-1.internal", store: "main" };

export function deliverOptions(
  readSecret: ReadSecret,
  changes: Partial<DeliverOptions> = {},
): DeliverOptions {
  return {
    sender,
    readSecret,
    now: () => Date.now(),
    timeoutMs: 10_000,
    signal: new AbortController().signal,
    ...changes,
  };
}

export const condition: Condition = {
  kind: "halted",
  key: "billing/db/halted",
  id: "billing/db/halted/1767225600000",
  since: Date.UTC(2026, 0, 1),
  secret: "billing/db",
  tenant: "acme",
  version: "0198-version",
  severity: "critical",
  summary: "the rotation of billing/db is halted",
  detail: "In set: superseded: epoch 7 <!channel> & more > others",
  remedy: "Another installation holds the target.",
  commands: ["keyturn status billing/db", "keyturn resume billing/db"],
};

export const notice: Notice = opening(condition);
