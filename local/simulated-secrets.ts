import type { Journal, ManagedSecret, Ports } from "../core/ports.ts";
import type { RotationRecord } from "../core/record.ts";
import { every } from "../core/schedule.ts";
import { Secret } from "../core/secret.ts";
import type { Chance } from "./chance.ts";
import { defaultTestPolicy, memoryPorts } from "./memory-ports.ts";
import type { ModelTarget } from "./model-target.ts";

export type Overlap = "both-live" | "cutover";

/** One secret of a simulated world. */
export interface SimulatedSecret {
  readonly ref: string;
  readonly overlap: Overlap;
  readonly admin: string | undefined;
  readonly isScheduled: boolean;
  readonly confirmEveryMs: number;
  /** The login that was there before Keyturn, and is taken over as it is. */
  readonly imports: Secret | undefined;
}

/** The administering login of a world: none, one that is rotated by itself like any other, or one that a person changes by hand. */
export const adminRef = "ops/admin";

export interface Cast {
  readonly secrets: readonly SimulatedSecret[];
  /** The administering login is one that a person changes by hand. */
  readonly isAdminHeld: boolean;
}

/** Both overlaps side by side, mostly with an administering login, sometimes with one that is imported in the middle of it all. */
export function cast(chance: Chance): Cast {
  const kind = chance.pick(["none", "rotated", "rotated", "held"]);
  const admin = kind === "none" ? undefined : adminRef;
  const one = (ref: string, overlap: Overlap, imports?: Secret): SimulatedSecret => ({
    ref,
    overlap,
    admin,
    isScheduled: chance.next() < 0.3,
    confirmEveryMs: chance.pick([1_000, 4_000, 4_000]),
    imports,
  });
  const overlap = () => chance.pick<Overlap>(["both-live", "cutover"]);
  const secrets = [one("shop/db", "both-live"), one("mail/db", "cutover")];
  if (kind === "rotated") secrets.unshift(one(adminRef, "cutover", loginTo(adminRef, "first")));
  if (chance.next() < 0.3) secrets.push(one("maps/db", overlap()));
  if (chance.next() < 0.3) {
    const taken = overlap();
    const name = taken === "cutover" ? "past/db" : "past/db_a";
    secrets.push(one("past/db", taken, loginTo(name, "of old")));
  }
  return { secrets, isAdminHeld: kind === "held" };
}

/** The JSON text of a login. */
export function loginTo(username: string, password: string): Secret {
  return new Secret(JSON.stringify({ username, password }));
}

/** The same login, as another person would write it. */
export function inOtherWords(value: Secret, words: number): Secret {
  return new Secret(JSON.stringify({ ...JSON.parse(value.reveal()), words }));
}

/**
 * One store, one journal, one bus, one audit and one clock for all of them. `records` has what was saved last, for whoever looks after every
 * call: to read it from the journal each time would be most of the work.
 */
export function portsFor({ secrets }: Cast, target: ModelTarget, seed: number) {
  const memory = memoryPorts(target.bothLive, { seed });
  const managed = new Map(secrets.map((secret) => [secret.ref, managedBy(secret)]));
  const records = new Map<string, RotationRecord>();
  const ports: Ports = {
    ...memory.ports,
    journal: readThrough(records, memory.ports.journal, { asText: seed % 8 === 0 }),
    secrets: { get: (ref) => managed.get(ref), refs: () => [...managed.keys()] },
    rotators: { load: async (type) => (type === "model-cutover" ? target.cutover : target.bothLive) },
  };
  const endSchedules = () => {
    for (const [ref, secret] of managed) {
      managed.set(ref, { ...secret, policy: { ...secret.policy, schedule: undefined } });
    }
  };
  return { ports, clock: memory.clock, records, endSchedules };
}

/**
 * Hands out the records as they were saved, frozen: to write and to read each as text would be a third of the work. Some worlds do it
 * nevertheless, as every other journal does.
 */
function readThrough(
  records: Map<string, RotationRecord>,
  journal: Journal,
  { asText }: { readonly asText: boolean },
): Journal {
  const revisions = new Map<string, number>();
  return {
    ...journal,
    async load(ref) {
      const [record, revision] = [records.get(ref), revisions.get(ref)];
      return asText || record === undefined || revision === undefined
        ? journal.load(ref)
        : { record, revision };
    },
    async save(record, revision) {
      const saved = await journal.save(record, revision);
      records.set(record.ref, frozen(record));
      revisions.set(record.ref, saved);
      return saved;
    },
  };
}

/** With all that is in it, so that whoever would change what was saved finds out. */
function frozen<Part>(part: Part): Part {
  if (typeof part !== "object" || part === null || Object.isFrozen(part)) return part;
  for (const inner of Object.values(part)) frozen(inner);
  return Object.freeze(part);
}

function managedBy({ ref, overlap, admin, isScheduled, confirmEveryMs }: SimulatedSecret): ManagedSecret {
  return {
    ref,
    type: `model-${overlap}`,
    config: { owner: ref },
    admin,
    policy: {
      ...defaultTestPolicy,
      graceAtMostMs: 20_000,
      stepDeadlineMs: 3_000,
      confirmEveryMs,
      schedule: isScheduled ? every(60_000) : undefined,
    },
    fleets: ["agents"],
    tenant: undefined,
  };
}
