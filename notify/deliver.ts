import { readFile } from "node:fs/promises";
import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import { Redactor } from "../core/redact.ts";
import type { Secret } from "../core/secret.ts";
import type { NotifyChannel } from "../manifest/manifest.ts";
import { channelSecret, formerSecret, type ReadSecret } from "./channel-secret.ts";
import type { Message, MessageContext, Sender } from "./message.ts";
import type { Notice } from "./notice.ts";
import { pagerDutyMessage } from "./pagerduty.ts";
import { post, type Reply } from "./post.ts";
import { slackMessage } from "./slack.ts";
import { webhookMessage } from "./webhook.ts";

export interface DeliverOptions {
  readonly sender: Sender;
  readonly readSecret: ReadSecret;
  readonly now: () => number;
  /** For one request and its reply; Standard Webhooks asks for 15 to 30 s. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** What came of one try. */
export type Outcome =
  | { readonly result: "delivered"; readonly status: number; readonly host: string }
  /** It is tried again, not before the receiver wants it. */
  | { readonly result: "failed"; readonly error: KeyturnError; readonly retryAfterMs: number }
  /** This message will never be taken. */
  | { readonly result: "refused"; readonly error: KeyturnError }
  /** The receiver wants to hear nothing more. */
  | { readonly result: "gone"; readonly error: KeyturnError };

/** A receiver says when it wants to be asked again; longer than this it is not left alone. */
const retryAfterMaxMs = 60 * 60_000;
/** How long the receiver of a webhook may go on with the signing secret before. */
const formerForMs = 24 * 60 * 60_000;
/** No spelling that the redactor knows is longer: JSON makes six letters of a control character. */
const spellingFactorMax = 6;

/** Tries once to give a notice to a channel. Rejects only if the signal ends it. */
export async function deliver(
  channel: NotifyChannel,
  notice: Notice,
  options: DeliverOptions,
): Promise<Outcome> {
  const redactor = new Redactor();
  try {
    const ca = await authority(channel);
    const context = { notice, sender: options.sender, now: options.now() };
    const message = await messageFor(channel, context, options.readSecret);
    for (const secret of message.secrets) redactor.add(secret);
    const reply = await post(message.url, message.headers, message.body, { ...options, ca });
    const words = printable(withoutSecrets(reply, message.secrets, redactor));
    return judge(channel, message.url.host, reply, words, options.now());
  } catch (thrown) {
    options.signal.throwIfAborted();
    const { code, message } = asKeyturnError(thrown);
    const error = new KeyturnError(code, redactor.redact(message));
    return { result: "failed", error, retryAfterMs: 0 };
  }
}

/** Whether a message for the channel could be made, by what is stored: nothing is sent. Throws what `deliver` would fail with. */
export async function assertUsable(
  channel: NotifyChannel,
  notice: Notice,
  { sender, now, readSecret }: Pick<DeliverOptions, "sender" | "now" | "readSecret">,
): Promise<void> {
  await authority(channel);
  await messageFor(channel, { notice, sender, now: now() }, readSecret);
}

async function authority({ name, ca }: NotifyChannel): Promise<string | undefined> {
  if (ca === undefined) return undefined;
  try {
    return await readFile(ca, "utf8");
  } catch (thrown) {
    throw new KeyturnError("config-invalid", `the authority of channel ${name} cannot be read: ${ca}`, {
      cause: thrown,
    });
  }
}

async function messageFor(
  channel: NotifyChannel,
  context: MessageContext,
  readSecret: ReadSecret,
): Promise<Message> {
  const { name } = channel;
  switch (channel.kind) {
    case "webhook": {
      const { value, createdAt } = await channelSecret(channel.signingSecret, name, readSecret);
      const isNew = context.now - createdAt < formerForMs;
      const former = isNew ? await formerSecret(channel.signingSecret, name, readSecret) : undefined;
      return webhookMessage(channel, former === undefined ? [value] : [value, former], context);
    }
    case "slack":
      return slackMessage(channel, (await channelSecret(channel.url, name, readSecret)).value, context);
    case "pagerduty": {
      const { value } = await channelSecret(channel.routingKey, name, readSecret);
      return pagerDutyMessage(channel, value, context);
    }
  }
}

function judge(
  { name, kind }: NotifyChannel,
  host: string,
  { status, retryAfter }: Reply,
  words: string,
  now: number,
): Outcome {
  if (status >= 200 && status < 300) return { result: "delivered", status, host };
  const said = `channel ${name}: ${host} answers ${status}${words === "" ? "" : `: ${words}`}`;
  const retryAfterMs = parseRetryAfter(retryAfter, now);
  if (status === 429) {
    return { result: "failed", error: new KeyturnError("throttled", said), retryAfterMs };
  }
  if (status >= 500) {
    return { result: "failed", error: new KeyturnError("unreachable", said), retryAfterMs };
  }
  if (status === 410) return { result: "gone", error: new KeyturnError("target-rejected", said) };
  if (status >= 300 && status < 400) {
    const error = new KeyturnError("target-rejected", `${said}; a redirect is not followed: name its end`);
    return { result: "failed", error, retryAfterMs };
  }
  const error = new KeyturnError("target-rejected", said);
  // These two say by it that the message itself is wrong; of others nobody knows.
  const isFinal = kind !== "webhook" && (status === 400 || status === 413);
  return isFinal ? { result: "refused", error } : { result: "failed", error, retryAfterMs };
}

/** Seconds or a date; what is neither asks for nothing. */
function parseRetryAfter(text: string | undefined, now: number): number {
  if (text === undefined) return 0;
  const ms = /^\d+$/.test(text.trim()) ? Number(text) * 1_000 : Date.parse(text) - now;
  return Number.isFinite(ms) ? Math.min(Math.max(0, ms), retryAfterMaxMs) : 0;
}

/** Before anything is cut off: nobody knows a part of a secret again. So the end is left out, too, where it may be the beginning of one. */
function withoutSecrets({ text, isWhole }: Reply, secrets: readonly Secret[], redactor: Redactor): string {
  const clean = redactor.redact(text);
  if (isWhole) return clean;
  const longest = Math.max(0, ...secrets.map((secret) => Buffer.byteLength(secret.reveal())));
  return clean.slice(0, Math.max(0, clean.length - longest * spellingFactorMax));
}

/** One short line of what a stranger sent. */
function printable(text: string): string {
  return text
    .replaceAll(/[^\x20-\x7e]+/g, " ")
    .trim()
    .slice(0, 200);
}
