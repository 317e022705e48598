import * as z from "zod/mini";
import { KeyturnError } from "./errors.ts";

/**
 * The events that Keyturn publishes: CloudEvents 1.0, in their JSON format. `subject` is the secret's reference; `id` is
 * reference, epoch and step, the key to deduplicate by. No event holds a value, and none is a reason to do more than read
 * the store again with one's own identity.
 */
const envelope = {
  specversion: z.literal("1.0"),
  id: z.string(),
  /** `keyturn/<installation>` */
  source: z.string(),
  subject: z.string(),
  /** RFC 3339, UTC. */
  time: z.string(),
  datacontenttype: z.literal("application/json"),
};

const version = z.string();
const epoch = z.number();

/** A new version is current. Agents change over; `urgent` ones at once. */
export const SecretRotated = z.object({
  ...envelope,
  type: z.literal("dev.keyturn.secret.rotated.v1"),
  data: z.object({ epoch, version, previous: z.optional(version), urgent: z.boolean() }),
});

/** A version was reported as leaked and is being cut off. */
export const SecretRevoked = z.object({
  ...envelope,
  type: z.literal("dev.keyturn.secret.revoked.v1"),
  data: z.object({ epoch, version }),
});

/** Every live agent has used the new version and dropped the old one. */
export const SecretAdopted = z.object({
  ...envelope,
  type: z.literal("dev.keyturn.secret.adopted.v1"),
  data: z.object({ epoch, version, agents: z.number() }),
});

/** The target was seen to refuse a version. */
export const SecretRetired = z.object({
  ...envelope,
  type: z.literal("dev.keyturn.secret.retired.v1"),
  data: z.object({ epoch, version, sessionsEnded: z.number() }),
});

/** A rotation was undone, halted, or is late. `reason` is for a person. */
export const RotationFailed = z.object({
  ...envelope,
  type: z.literal("dev.keyturn.rotation.failed.v1"),
  data: z.object({
    epoch,
    outcome: z.enum(["undone", "halted", "delayed", "laggards"]),
    code: z.string(),
    reason: z.string(),
  }),
});

export const RotationEvent = z.discriminatedUnion("type", [
  SecretRotated,
  SecretRevoked,
  SecretAdopted,
  SecretRetired,
  RotationFailed,
]);
export type RotationEvent = z.infer<typeof RotationEvent>;
export type EventType = RotationEvent["type"];

/** The data of an event type. */
export type EventData<Type extends EventType> = Extract<RotationEvent, { type: Type }>["data"];

/** Reads an event that came from outside; whatever is not one of ours is `input-invalid`. */
export function parseEvent(json: unknown): RotationEvent {
  const parsed = z.safeParse(RotationEvent, json);
  if (parsed.success) return parsed.data;
  const where = parsed.error.issues.map((issue) => issue.path.join(".") || "event").join(", ");
  throw new KeyturnError("input-invalid", `not an event of Keyturn: ${where}`);
}
