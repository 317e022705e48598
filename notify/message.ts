import type { Secret } from "../core/secret.ts";
import type { Notice } from "./notice.ts";

/** Who speaks: which machine, and which store's secrets it looks after. */
export interface Sender {
  readonly installation: string;
  readonly host: string;
  readonly store: string;
}

/** What is posted to a channel, and what of it must never be repeated in an error or a log. */
export interface Message {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly secrets: readonly Secret[];
}

/** Makes one notice into the message of one kind of channel. */
export interface MessageContext {
  readonly notice: Notice;
  readonly sender: Sender;
  readonly now: number;
}

/** Cut so that whoever takes only so many characters takes it; never in the middle of one. */
export function cut(text: string, lengthMax: number): string {
  if (text.length <= lengthMax) return text;
  return `${text.slice(0, lengthMax - 1).replace(/[\uD800-\uDBFF]$/, "")}…`;
}
