import type { NotifyChannel } from "../manifest/manifest.ts";
import { type NoticeKind, topicOf } from "./notice.ts";

/**
 * The channels that are told: those that the secret names, or every one if it names none. Halted rotations and unpaid debts
 * always find somebody: should every channel of the secret be gone, the others are told.
 */
export function recipients(
  kind: NoticeKind,
  names: readonly string[],
  channels: ReadonlyMap<string, NotifyChannel>,
  gone: ReadonlySet<string>,
): readonly string[] {
  const topic = topicOf(kind);
  const there = [...channels.values()].filter(({ name }) => !gone.has(name));
  const own = there.filter(({ name }) => names.includes(name));
  const namesNone = !names.some((name) => channels.has(name));
  if (topic === "always") return (own.length > 0 ? own : there).map(({ name }) => name);
  return (namesNone ? there : own).filter(({ on }) => on.includes(topic)).map(({ name }) => name);
}
