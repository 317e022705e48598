import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { adopt } from "./adopt.ts";
import type { ManagedSecret, Ports } from "./ports.ts";
import { newRecord, type RotationRecord } from "./record.ts";
import type { Mark, RawContext, Rotator } from "./rotator.ts";
import { Secret } from "./secret.ts";

/** What the tests of an import share: a login that exists, and what is brought of it. */
export const ref = "app/db";
export const password = "legacy-canary-3Vq81";
export const secretOf = (word: string, words = "mine") =>
  new Secret(JSON.stringify({ username: "app", password: word, words }));
export const value = secretOf(password);
export const other = secretOf("another-canary-9Xw2");

export interface Given {
  readonly managed?: Partial<ManagedSecret>;
  readonly verbs?: Partial<Rotator>;
  readonly store?: (own: Ports["store"]) => Partial<Ports["store"]>;
  readonly journal?: (own: Ports["journal"]) => Partial<Ports["journal"]>;
}

/** A login that exists, and a Keyturn in memory that tells in which surroundings its verbs are called. */
export function world({ managed = {}, verbs = {}, store, journal }: Given = {}) {
  const target = modelTarget();
  target.meddle("app", password);
  const memory = memoryPorts(target.bothLive);
  const own = memory.ports;
  const contexts: (readonly [string, RawContext])[] = [];
  const told = { ...target.bothLive, ...verbs };
  const rotator: Rotator = {
    ...told,
    inspect: (context) => {
      contexts.push(["inspect", context]);
      return told.inspect(context);
    },
    preflight: (context, adopting) => {
      contexts.push([`preflight ${adopting === value}`, context]);
      return told.preflight(context, adopting);
    },
    test: (change, context) => {
      contexts.push([`test ${change.pending === value} ${change.current}`, context]);
      return told.test(change, context);
    },
    adopt:
      told.adopt &&
      (async (taken, context) => {
        contexts.push(["adopt", context]);
        await told.adopt?.(taken, context);
      }),
  };
  const secret = { ...memory.managed, ...managed };
  const ports: Ports = {
    ...own,
    store: { ...own.store, ...store?.(own.store) },
    journal: { ...own.journal, ...journal?.(own.journal) },
    secrets: { get: (name) => (name === ref ? secret : undefined), refs: () => [ref] },
    rotators: { load: async () => rotator },
  };
  const print = (of: Secret) => ports.fingerprinter.fingerprint(of.reveal());
  const bring = () => adopt(ref, ports, value, "ann");
  return {
    ...memory,
    ports,
    target,
    contexts,
    print,
    bring,
    failure: () =>
      bring().then(
        () => "none",
        (thrown: unknown) => thrown,
      ),
    put: (changes: Partial<RotationRecord>) => own.journal.save({ ...newRecord(ref), ...changes }, undefined),
    keep: async (version: string, kept: Secret) => {
      await own.store.savePending(ref, version, kept);
      await own.store.promote(ref, version, undefined);
    },
    current: async () => own.store.read(ref, "current"),
  };
}
export const markOf = (changes: Partial<Mark>): Mark => ({
  login: "app",
  verb: "set",
  epoch: 3,
  seen: 4,
  fingerprint: "print of another",
  rotationId: "v0",
  ref,
  installation: "test",
  accepts: true,
  ...changes,
});
export const marked = (...marks: readonly Mark[]): Given => ({ verbs: { inspect: async () => marks } });
