import { createHash } from "node:crypto";
import * as z from "zod/mini";
import { KeyturnError } from "./errors.ts";
import { AgentReport } from "./fleet.ts";

/**
 * What hosts and the service say to each other where no connection joins them: a host speaks by events on a bus that vouches for who speaks, and
 * hears by a queue of its own. A host is a process, named as its agents are: the principal that the cloud knows it by, or `principal/name`.
 */
export const hostEvents = {
  enrolled: "dev.keyturn.host.enrolled.v1",
  reported: "dev.keyturn.host.reported.v1",
  left: "dev.keyturn.host.left.v1",
} as const;

/** Every event of a host has a source that begins so. */
export const hostSourcePrefix = "dev.keyturn.host.";

/** The one source under which a principal may speak for a fleet. */
export function hostSource(fleet: string, principal: string): string {
  return `${hostSourcePrefix}${fleet}.${principal}`;
}

/** A process that shares its principal with others has a name besides, without a slash: so `a/b` is b of a, and nobody else. */
export function hostId(principal: string, name?: string): string {
  if (name === undefined) return principal;
  if (/^[\w.@:+-]{1,128}$/.test(name)) return `${principal}/${name}`;
  throw new KeyturnError(
    "input-invalid",
    `${JSON.stringify(name.slice(0, 200))} is no name of a host: up to 128 letters, digits and . _ @ : + -`,
  );
}

/** A host listens from now on, or still does; or it has stopped. */
export const HostNotice = z.object({ host: z.string() });
export type HostNotice = z.infer<typeof HostNotice>;

/** What the agents of a host report. */
export const HostReport = z.object({
  host: z.string(),
  reports: z.array(AgentReport),
  /** References of which something else is said than before: a rotation may have waited for that. Only a hint. */
  news: z.array(z.string()),
  /** The host waits for a `heard` that names this. */
  answer: z.optional(z.string()),
});
export type HostReport = z.infer<typeof HostReport>;

/** What a host's fleet may read, and how. */
export const HostSecret = z.object({
  ref: z.string(),
  type: z.string(),
  overlap: z.enum(["both-live", "cutover"]),
  cacheTtlMs: z.number(),
});
export type HostSecret = z.infer<typeof HostSecret>;

/** To one host, on its queue. */
export const HostMessage = z.discriminatedUnion("say", [
  /** Says all of what the fleet may read. */
  z.object({ say: z.literal("welcome"), secrets: z.array(HostSecret) }),
  /** Reports are in the journal, and these of their holds are not granted. */
  z.object({ say: z.literal("heard"), answer: z.string(), refusedHolds: z.array(z.string()) }),
]);
export type HostMessage = z.infer<typeof HostMessage>;

/** A message on a host's queue is a HostMessage if it has this attribute. What comes by way of the fleet's topic cannot have one. */
export const hostMessageMark = "keyturn-host";

/** A fleet's topic: what is published there goes to the queue of each of its hosts. */
export function fleetTopicName(installation: string, fleet: string): string {
  const name = `keyturn-${installation}-${fleet}`;
  if (/^[\w-]{1,63}$/.test(name)) return name;
  throw new KeyturnError(
    "config-invalid",
    `${name} cannot name a topic and queues: letters, digits, _ and -, 63 at the most`,
  );
}

/** A host's queue: both sides know its name, and nobody has to be told. */
export function hostQueueName(installation: string, fleet: string, host: string): string {
  // A dash may be in every part: only the hash tells the queues of two installations apart for certain.
  const hash = createHash("sha256").update([installation, fleet, host].join("\n")).digest("hex");
  return `${fleetTopicName(installation, fleet)}-${hash.slice(0, 16)}`;
}
