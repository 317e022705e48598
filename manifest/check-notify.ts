import { checkConfig } from "./check-secrets.ts";
import type { Section } from "./gather.ts";
import type { Problem } from "./problem.ts";
import type { ChannelContent, PersonContent } from "./schema-notify.ts";

const kinds = ["webhook", "slack", "pagerduty"] as const;

/** A channel is of one kind, and what it refers to is there. */
export function checkChannels(
  channels: Section<ChannelContent>,
  secrets: ReadonlySet<string>,
): readonly Problem[] {
  return channels.entries.flatMap((entry) => {
    const problems = [...checkConfig(entry, entry.content, [], secrets)];
    const [first, ...others] = kinds.filter(
      (kind) => entry.content[kind] !== undefined || entry.refused.has(kind),
    );
    if (first === undefined) {
      const message = "tells nobody; write `webhook`, `slack` or `pagerduty`";
      if (entry.refused.size === 0) problems.push(entry.problem([], message));
    }
    const message = `stands beside \`${first}\`: a channel is of one kind, so make two of it`;
    return [...problems, ...others.map((kind) => entry.problem([kind], message))];
  });
}

/**
 * Two names with one key would let a person consent to their own request; and who may change an included file would name a second
 * person of their own, and so undo what the main file's policies ask for.
 */
export function checkPeople(people: Section<PersonContent>, mainFile: string): readonly Problem[] {
  const owners = new Map<string, string>();
  return people.entries.flatMap((entry) => {
    const { key } = entry.content;
    const other = owners.get(key);
    if (other === undefined) owners.set(key, entry.name);
    const message = "stands in an included file: only the main file says who may agree";
    return [
      ...(entry.file === mainFile ? [] : [entry.problem([], message, "name")]),
      ...(other === undefined ? [] : [entry.problem(["key"], `is the key of ${other}, too`)]),
    ];
  });
}
