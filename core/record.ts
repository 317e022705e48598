import * as z from "zod/mini";
import { AuditEntry } from "./audit.ts";
import { KeyturnError } from "./errors.ts";
import { RotationEvent } from "./events.ts";

/** A version with the keyed fingerprint of its value. */
export const VersionMark = z.object({ version: z.string(), fingerprint: z.string() });
export type VersionMark = z.infer<typeof VersionMark>;

export const Rotation = z.object({
  /** Also the id of the version that it makes. */
  id: z.string(),
  kind: z.enum(["rotate", "rollback"]),
  /** Begun by an emergency: no grace window. */
  urgent: z.boolean(),
  /** The version whose value a rollback brings back. */
  restores: z.optional(VersionMark),
  requestedBy: z.string(),
  startedAt: z.number(),
  /** What it saved as pending. */
  pending: z.optional(VersionMark),
  /** What was current when it began. */
  previous: z.optional(VersionMark),
  /**
   * Versions that are put aside before anything else, with nothing owed for them: of rotations that were overtaken before they had recorded
   * a candidate, and of imports that have not ended, for whoever worked on them may still save one; and a candidate of nobody's that holds
   * what is current.
   */
  aside: z.optional(z.array(z.string())),
  /** Of a cutover type: since when the target may refuse the old value, which is current until finish. */
  cutSince: z.optional(z.number()),
  /** Somebody else takes its steps one by one: until then nobody does so by itself. A rotation that has it goes by an id that was given from outside. */
  handsOffUntil: z.optional(z.number()),
});
export type Rotation = z.infer<typeof Rotation>;

/** The state's tries, and the time before which it is not tried again. */
const tries = { attempts: z.number(), notBefore: z.number() };

export const State = z.discriminatedUnion("phase", [
  z.object({ phase: z.literal("idle") }),
  z.object({ phase: z.literal("create"), rotation: Rotation, ...tries }),
  z.object({ phase: z.literal("set"), rotation: Rotation, ...tries }),
  z.object({ phase: z.literal("test"), rotation: Rotation, ...tries }),
  z.object({ phase: z.literal("finish"), rotation: Rotation, ...tries }),
  z.object({ phase: z.literal("announce"), rotation: Rotation, ...tries }),
  z.object({
    phase: z.literal("grace"),
    rotation: Rotation,
    since: z.number(),
    /** When the new credential is tried again. */
    confirmAt: z.number(),
    /** How often in a row the new credential was refused since. */
    refusals: z.number(),
    /** The adopted event is out. */
    adopted: z.boolean(),
    /** The laggards were named at the end of the longest grace. */
    laggardsNamed: z.boolean(),
    ...tries,
  }),
  z.object({
    phase: z.literal("retire"),
    rotation: Rotation,
    since: z.number(),
    /** Nobody is asked any more: an emergency, or the end of the longest grace. */
    forced: z.boolean(),
    ...tries,
  }),
  z.object({ phase: z.literal("undo"), rotation: Rotation, reason: z.string(), ...tries }),
  z.object({
    phase: z.literal("halted"),
    rotation: z.optional(Rotation),
    from: z.enum(["idle", "create", "set", "test", "finish", "announce", "grace", "retire", "undo"]),
    code: z.string(),
    reason: z.string(),
    at: z.number(),
  }),
]);
export type State = z.infer<typeof State>;
export type Phase = State["phase"];

/** A credential that should be refused and is not yet proven so. Kept by fingerprint: two versions may hold one value. */
export const Debt = z.object({
  version: z.string(),
  fingerprint: z.string(),
  reason: z.enum(["retired", "leaked", "superseded", "foreign"]),
  since: z.number(),
  /** Pay it before anything else, even while it is current. */
  cutFirst: z.boolean(),
  ...tries,
});
export type Debt = z.infer<typeof Debt>;

/** A version that someone else may know. Never the target of an undo or a rollback again. */
export const Compromised = z.object({
  version: z.string(),
  fingerprint: z.optional(z.string()),
  reportedBy: z.string(),
  at: z.number(),
  /** When the target was first seen to refuse it. */
  refusedAt: z.optional(z.number()),
  /** How many sessions were ended for it, and what survives: for the incident report. */
  sessionsEnded: z.optional(z.number()),
  survives: z.optional(z.array(z.string())),
});
export type Compromised = z.infer<typeof Compromised>;

/** What a rotation wants done as soon as its slot is free. */
export const Wish = z.object({
  kind: z.enum(["rotate", "rollback"]),
  requestedBy: z.string(),
  at: z.number(),
});
export type Wish = z.infer<typeof Wish>;

/** A person's word that nothing should happen by itself for now. */
export const Paused = z.object({ by: z.string(), reason: z.string(), at: z.number() });

/** A person's word that the old credential has to live on until that time. */
export const Hold = z.object({ by: z.string(), reason: z.string(), at: z.number(), until: z.number() });
export type Hold = z.infer<typeof Hold>;

const schemaVersion = 1;

/** All that Keyturn knows of one secret; the journal holds one for each. */
export const RotationRecord = z.object({
  schema: z.literal(schemaVersion),
  ref: z.string(),
  /** Only grows: at begin, undo, retire, rollback, emergency and import. The fence at the target. */
  epoch: z.number(),
  state: State,
  current: z.optional(z.extend(VersionMark, { since: z.number() })),
  debts: z.array(Debt),
  compromised: z.array(Compromised),
  wish: z.optional(Wish),
  /** Versions that imports have saved, or may still save, which have not come to their end; until an import has, or a rotation has seen to them. */
  importing: z.optional(z.array(z.string())),
  /** The last pairs of versions that hold one login. */
  sameLogin: z._default(z.array(z.tuple([z.string(), z.string()])), []),
  /** The last versions whose login was proven refused. */
  refused: z._default(z.array(z.string()), []),
  /** The last ids given from outside of which nothing came: no rotation begins by them again. */
  closed: z.optional(z.array(z.string())),
  paused: z.optional(Paused),
  /** Those that are over are dropped when the next one comes. */
  holds: z._default(z.array(Hold), []),
  /** No urgent rotation begins before this time: an emergency that keeps failing must not spin. */
  urgentNotBefore: z.number(),
  urgentAttempts: z.number(),
  /** No scheduled rotation begins before this time, after so many that were undone in a row: what is rejected once is mostly rejected again. */
  scheduleNotBefore: z.number(),
  scheduleFailures: z.number(),
  /** Who works on it, and until when others keep away. Only politeness: safety rests on the compare-and-set and the fences. */
  lease: z.optional(z.object({ holder: z.string(), until: z.number() })),
  /** The end of the audit chain, entries in the outbox included. */
  audit: z.object({ sequence: z.number(), hash: z.string() }),
  /** What must still be written and told; saved with the change that it speaks of, so that no crash can part them. */
  outbox: z.object({ entries: z.array(AuditEntry), events: z.array(RotationEvent), attempts: z.number() }),
  /** When a worker should look at it again; null: only on request. */
  dueAt: z.nullable(z.number()),
});
export type RotationRecord = z.infer<typeof RotationRecord>;

/** Reads a record as a journal kept it. A newer schema halts: older code must not act on what it does not understand. */
export function parseRecord(json: unknown, ref: string): RotationRecord {
  const version = z.safeParse(z.object({ schema: z.number() }), json);
  if (version.success && version.data.schema > schemaVersion) {
    throw new KeyturnError(
      "schema-newer",
      `the record of ${ref} has schema ${version.data.schema}; this Keyturn knows ${schemaVersion}`,
    );
  }
  const parsed = z.safeParse(RotationRecord, json);
  if (parsed.success) return parsed.data;
  const where = parsed.error.issues.map((issue) => issue.path.join(".")).join(", ");
  throw new KeyturnError("data-broken", `the record of ${ref} cannot be read: ${where}`);
}

/** A secret that Keyturn has just been given. */
export function newRecord(ref: string): RotationRecord {
  return {
    schema: schemaVersion,
    ref,
    epoch: 0,
    state: { phase: "idle" },
    debts: [],
    compromised: [],
    holds: [],
    sameLogin: [],
    refused: [],
    urgentNotBefore: 0,
    urgentAttempts: 0,
    scheduleNotBefore: 0,
    scheduleFailures: 0,
    audit: { sequence: 0, hash: "" },
    outbox: { entries: [], events: [], attempts: 0 },
    dueAt: null,
  };
}
