import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import { viewFleet } from "../core/fleet.ts";
import { inParallel } from "../core/parallel.ts";
import type { Ports } from "../core/ports.ts";
import { type Compromised, newRecord, type RotationRecord, type VersionMark } from "../core/record.ts";
import { namesOf } from "../core/same-login.ts";
import { rotationOf } from "../core/transition.ts";
import type { OpenManifest, OpenSecret } from "./open.ts";
import type { AffectedSecret } from "./results/revoke.ts";
import type { Chosen } from "./revoke-choose.ts";

/** One version to cut off, and what is known of it before anything changes. */
export interface Target {
  readonly secret: OpenSecret;
  readonly ref: string;
  readonly version: string;
  /** Undefined: the store has disabled the version, as it does once the target is proven to refuse it. */
  readonly mark: VersionMark | undefined;
  readonly affected: AffectedSecret;
}

export interface Aimed {
  readonly targets: readonly Target[];
  readonly failures: readonly KeyturnError[];
}

/**
 * Finds the version that each secret means. What was begun after `begunSince` is gone on with: its successor is not what leaked, and
 * whoever repeats an interrupted revocation must not cut that off, too.
 */
export async function aim(opened: OpenManifest, chosen: Chosen, begunSince: number): Promise<Aimed> {
  const administered = administeredBy(opened);
  const settled = await inParallel(chosen.versions, 16, async ({ ref, which }) => {
    const secret = await opened.secret(ref).catch((thrown: unknown) => {
      throw held(opened, ref) ?? thrown;
    });
    const isAlone = !chosen.isWide && chosen.versions.length === 1;
    const found = await standingOf(secret, ref, which, { begunSince, isAlone, isFound: chosen.isFound });
    if (found === undefined && chosen.isWide) return undefined;
    if (found === undefined) throw new KeyturnError("secret-missing", `${ref} has no version ${which}`);
    const { version, mark, standing } = found;
    const known = await affectedBy(secret, ref, version);
    const affected = { ...known, standing, administers: [...(administered.get(ref) ?? [])] };
    return { ref, version, mark, secret, affected };
  });
  const failures = settled.flatMap((one) => (one.status === "rejected" ? [asKeyturnError(one.reason)] : []));
  return {
    targets: settled.flatMap((one) => (one.status === "fulfilled" ? (one.value ?? []) : [])),
    failures,
  };
}

function held({ manifest }: OpenManifest, ref: string): KeyturnError | undefined {
  if (!manifest.held.has(ref)) return undefined;
  return new KeyturnError(
    "request-refused",
    `${ref} is only held, so nobody but you can cut it off: change it where it is accepted, then \`keyturn put ${ref}\``,
  );
}

interface Found {
  readonly version: string;
  readonly mark: VersionMark | undefined;
  readonly standing: AffectedSecret["standing"];
}

interface How {
  readonly begunSince: number;
  readonly isAlone: boolean;
  readonly isFound: boolean;
}

/** Undefined: there is no such version. */
async function standingOf(
  { ports }: OpenSecret,
  ref: string,
  which: string,
  how: How,
): Promise<Found | undefined> {
  const incident = which === "current" ? how : undefined;
  const { record, begun } = await begunAt(ports, ref, incident, undefined);
  if (begun !== undefined) return begun;
  const isStage = which === "current" || which === "previous" || which === "pending";
  const stored = await ports.store.read(ref, isStage ? which : { version: which });
  if (stored === undefined)
    return how.isFound ? { version: which, mark: undefined, standing: "cut" } : undefined;
  const { version } = stored;
  if (version !== record?.current?.version) {
    // A successor may have come out since the record was read, or be out and not in the record yet.
    const later = await begunAt(ports, ref, incident, version);
    if (later.begun !== undefined) return later.begun;
  }
  const mark = { version, fingerprint: ports.fingerprinter.fingerprint(stored.value.reveal()) };
  const entry = record?.compromised.find((one) => one.version === version);
  return { version, mark, standing: entry === undefined ? "live" : standingBy(entry) };
}

/** What the incident has struck already, where it is about what is current. */
async function begunAt(ports: Ports, ref: string, incident: How | undefined, stored: string | undefined) {
  const record = (await ports.journal.load(ref))?.record;
  const entry = incident && record && begunFor(record, incident, stored);
  const begun: Found | undefined = entry && {
    version: entry.version,
    mark: markOf(entry),
    standing: standingBy(entry),
  };
  return { record, begun };
}

function standingBy({ refusedAt }: Compromised): AffectedSecret["standing"] {
  return refusedAt === undefined ? "under way" : "cut";
}

function markOf({ version, fingerprint }: Compromised): VersionMark | undefined {
  return fingerprint === undefined ? undefined : { version, fingerprint };
}

/**
 * The emergency that has made what is current now, or is about to: what the store has current already and the record only as its
 * candidate. Whoever names one secret a second time, after the first was refused, means its successor; whoever repeats a wide one does not.
 */
function begunFor(
  { compromised, current, state, sameLogin }: RotationRecord,
  { begunSince, isAlone }: How,
  stored: string | undefined,
): Compromised | undefined {
  if (current === undefined) return undefined;
  const isOut = stored !== undefined && rotationOf(state)?.id === stored;
  const names = namesOf({ sameLogin }, current.version);
  return compromised.findLast(
    (entry) =>
      entry.at >= begunSince &&
      (names.includes(entry.version) ? isOut : current.since >= entry.at) &&
      !(isAlone && entry.refusedAt !== undefined),
  );
}

async function affectedBy({ ports, managed, storeName }: OpenSecret, ref: string, version: string) {
  const [loaded, agents] = await Promise.all([ports.journal.load(ref), ports.journal.agents(ref)]);
  const old = namesOf(loaded?.record ?? newRecord(ref), version);
  const { live, holders } = viewFleet(agents, { old, new: "" }, managed.policy, ports.clock.now());
  const { type, tenant, fleets } = managed;
  return {
    ref,
    store: storeName,
    version,
    type,
    ...(tenant === undefined ? {} : { tenant }),
    fleets: [...fleets],
    agents: live,
    holders: [...holders],
  };
}

/** Which secrets each login administers. */
function administeredBy({ manifest }: OpenManifest): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const ref of manifest.secrets.refs()) {
    const admin = manifest.secrets.get(ref)?.admin;
    if (admin === undefined || admin === ref) continue;
    found.set(admin, [...(found.get(admin) ?? []), ref]);
  }
  return found;
}
