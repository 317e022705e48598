import { KeyturnError } from "../core/errors.ts";
import { request, versionMark } from "../core/operate.ts";
import type { Ports } from "../core/ports.ts";
import type { Secret } from "../core/secret.ts";
import type { Chance } from "./chance.ts";
import { inOtherWords } from "./simulated-secrets.ts";
import type { WatchedSecret } from "./simulated-watch.ts";

/** What may be asked for at any moment without a leak, and what for a leaked version. */
export const peaceful = [
  "rotate",
  "cancel",
  "rollback",
  "resume",
  "pause",
  "hold",
  "release",
  "retire",
  "import",
] as const;
export const emergencies = [
  "leak current",
  "leak previous",
  "leak pending",
  "leak older",
  "cut first",
] as const;
export const everyRequest = [...peaceful, ...emergencies] as const;
export type Asked = (typeof everyRequest)[number];

/** Whoever asks may be another than whoever asked before: only one's own hold is replaced, and each is released by name or all at once. */
const people = ["ann", "bob"] as const;

interface Circumstances {
  readonly chance: Chance;
  readonly isPeaceful: boolean;
}

/** Asks, and gives the answer in a word: what may not be done now is refused by its code. */
export async function ask(
  kind: Exclude<Asked, "import">,
  watched: WatchedSecret,
  ports: Ports,
  { chance, isPeaceful }: Circumstances,
): Promise<string> {
  const { ref } = watched;
  const by = chance.pick(people);
  const insist = chance.next() < 0.5;
  const send = async () => {
    switch (kind) {
      case "rotate":
      case "resume":
        return request(ref, ports, { kind, by });
      case "cancel":
      case "rollback":
        return request(ref, ports, { kind, by, insist });
      case "pause":
        return request(ref, ports, { kind, by, reason: "simulated" });
      case "hold":
        return request(ref, ports, { kind, by, reason: "simulated", until: ports.clock.now() + 15_000 });
      case "release":
        return request(ref, ports, { kind, by, whose: insist ? undefined : chance.pick(people) });
      case "retire":
        // Who insists cuts off whoever still needs the old credential: that is no peace.
        return request(ref, ports, { kind, by, insist: !isPeaceful && insist });
      case "leak current":
      case "leak previous":
      case "leak pending":
      case "leak older":
      case "cut first": {
        const version = await versionMark(ref, ports, chance.pick(named(kind, watched)));
        const cutFirst = kind === "cut first";
        if (cutFirst) watched.willBeCutFirst(version.version);
        return request(ref, ports, { kind: "emergency", by, version, cutFirst });
      }
    }
  };
  try {
    return (await send()).answer;
  } catch (thrown) {
    if (thrown instanceof KeyturnError) return thrown.code;
    throw thrown;
  }
}

function named(kind: string, { versions }: WatchedSecret): readonly string[] {
  if (kind === "leak older") return versions;
  return [/^leak (previous|pending)$/.exec(kind)?.[1] ?? "current"];
}

/**
 * What an import brings: what is current, again, or what was there before Keyturn; it may be in other words.
 */
export async function broughtFor(
  { ref, secret: { imports } }: WatchedSecret,
  ports: Ports,
  chance: Chance,
  words: number,
): Promise<Secret | undefined> {
  const value = (await ports.store.read(ref, "current"))?.value ?? imports;
  const rewords = chance.next() < 0.5;
  return value !== undefined && rewords ? inOtherWords(value, words) : value;
}
