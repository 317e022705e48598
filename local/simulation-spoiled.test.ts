import { expect, test } from "vitest";
import type { Ports } from "../core/ports.ts";
import type { RotationRecord } from "../core/record.ts";
import type { Rotator } from "../core/rotator.ts";
import { isCompromised } from "../core/transition.ts";
import { BrokenPromise, simulate } from "./simulation.ts";
import { loginOf } from "./simulation-end.ts";

/** Each of them breaks one promise, as a core would that is wrong in that place. What the simulation excuses must not hide it. */
const spoiled: Readonly<Record<string, readonly [spoil: (ports: Ports) => Ports, found: RegExp]>> = {
  "cuts one of two logins before its successor is out, though nobody asked for it": [
    withSaved((record, overlap) =>
      overlap === "both-live" && isStruckTwice(record) ? { ...record, debts: cutFirst(record) } : record,
    ),
    /no credential that an agent may read works/,
  ],
  "shuts the one login that there is before its successor is set, since other versions have leaked, too": [
    withRotator((rotator, ports) => ({
      ...rotator,
      async create(current, context) {
        const record = (await ports.journal.load(context.fence.ref))?.record;
        if (
          rotator.overlap === "cutover" &&
          record !== undefined &&
          isStruckTwice(record) &&
          current !== undefined
        )
          await rotator.cut?.(loginOf(current.reveal()).username, context);
        return rotator.create(current, context);
      },
    })),
    /no credential that an agent may read works/,
  ],
  "publishes what was never set": [
    withRotator((rotator) => ({
      ...rotator,
      set: async (change, context) => (context.urgent ? undefined : rotator.set(change, context)),
      test: async (change, context) => (context.urgent ? undefined : rotator.test(change, context)),
    })),
    /no credential that an agent may read works/,
  ],
  "shuts the one login when its old value is retired": [
    withRotator((rotator) => ({
      ...rotator,
      async retire(value, context) {
        if (rotator.overlap === "cutover") await rotator.cut?.(loginOf(value.reveal()).username, context);
        return rotator.retire(value, context);
      },
    })),
    /no credential that an agent may read works/,
  ],
  "waits for no agent": [
    (ports) => ({
      ...ports,
      journal: {
        ...ports.journal,
        agents: async (ref) =>
          (await ports.journal.agents(ref)).map((agent) => ({ ...agent, inUse: [], holds: [] })),
      },
    }),
    /was refused under it/,
  ],
  "knows a login by the last of its versions alone": [
    withSaved((record) => ({ ...record, sameLogin: [] })),
    /was refused under it|no credential that an agent may read works/,
  ],
  "forgets what it has retired": [
    withSaved((record) => ({
      ...record,
      debts: record.debts.filter(({ reason }) => reason !== "retired"),
    })),
    /logins are live/,
  ],
  "takes one of two logins for refused that was never shut": [
    withRotator((rotator) =>
      rotator.overlap === "cutover"
        ? rotator
        : {
            ...rotator,
            retire: async () => ({ sessionsEnded: 0, survives: [] }),
            refused: async () => "refused",
          },
    ),
    /works again|logins are live/,
  ],
  "never looks again": [
    withSaved((record) => ({ ...record, dueAt: record.state.phase === "grace" ? null : record.dueAt })),
    /nobody would ever look at it again/,
  ],
};

test.each(Object.entries(spoiled))("a core is found out that %s", async (_, [spoil, found]) => {
  const seedsMax = 200;
  for (let seed = 1; seed <= seedsMax; seed += 1) {
    const broken = await simulate(seed, spoil).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (broken === undefined) continue;
    expect(broken).toBeInstanceOf(BrokenPromise);
    expect(broken).toMatchObject({ why: expect.stringMatching(found) });
    return;
  }
  expect.fail(`none of ${seedsMax} seeds has found it`);
});

/** Current has leaked, and something else as well; and it is not refused yet. */
function isStruckTwice(record: RotationRecord): boolean {
  const { compromised, current } = record;
  const isCut = compromised.some(
    ({ fingerprint, refusedAt }) => fingerprint === current?.fingerprint && refusedAt !== undefined,
  );
  return compromised.length > 1 && isCompromised(record, current) && !isCut;
}

function cutFirst({ debts, current }: RotationRecord): RotationRecord["debts"] {
  if (current === undefined || debts.some(({ cutFirst }) => cutFirst)) return debts;
  const { version, fingerprint } = current;
  return [
    ...debts,
    { version, fingerprint, reason: "leaked", cutFirst: true, since: 0, attempts: 0, notBefore: 0 },
  ];
}

function withSaved(change: (record: RotationRecord, overlap: Rotator["overlap"]) => RotationRecord) {
  return (ports: Ports): Ports => ({
    ...ports,
    journal: {
      ...ports.journal,
      async save(record, revision) {
        const type = ports.secrets.get(record.ref)?.type ?? "";
        return ports.journal.save(change(record, (await ports.rotators.load(type)).overlap), revision);
      },
    },
  });
}

function withRotator(change: (rotator: Rotator, ports: Ports) => Rotator) {
  return (ports: Ports): Ports => ({
    ...ports,
    rotators: { load: async (type) => change(await ports.rotators.load(type), ports) },
  });
}
