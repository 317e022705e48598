import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import { identify } from "../core/identify.ts";
import type { LeakedText } from "../core/leaked.ts";
import { inParallel } from "../core/parallel.ts";
import type { FingerprintMatch } from "../core/ports.ts";
import type { ManifestSecret } from "../manifest/manifest.ts";
import type { OpenManifest, OpenStore } from "./open.ts";
import type { RevokeOptions, Selector } from "./revoke-options.ts";

/** Which secrets are meant, before anything is known of them. */
export interface Chosen {
  readonly versions: readonly {
    readonly ref: string;
    /** A stage, or a version's id. */
    readonly which: string;
  }[];
  /** It was named as a whole, so that secrets without a value are passed over. */
  readonly isWide: boolean;
  /** The versions were found by their fingerprints, so that they exist, or have existed. */
  readonly isFound: boolean;
  readonly agent: ChosenAgent | undefined;
  /** What could not be asked, and must not keep the rest alive. */
  readonly failures: readonly KeyturnError[];
}

export interface ChosenAgent {
  readonly principal: string;
  readonly fleets: readonly string[];
}

/** Throws where nothing is meant, and where a guard forbids it; nothing has changed then. */
export async function choose(
  opened: OpenManifest,
  selector: Selector,
  { which, tenant }: RevokeOptions,
  leaked: LeakedText | undefined,
  enrolledSince: number,
): Promise<Chosen> {
  const chosen = await select(opened, selector, which, leaked, enrolledSince);
  guardTenant(opened, chosen, tenant);
  return chosen;
}

async function select(
  opened: OpenManifest,
  selector: Selector,
  which: string,
  leaked: LeakedText | undefined,
  enrolledSince: number,
): Promise<Chosen> {
  switch (selector.kind) {
    case "secrets":
      // Asked for by name: an unknown one ends it all, before anything has changed.
      for (const ref of selector.refs) await opened.secret(ref);
      return { versions: selector.refs.map((ref) => ({ ref, which })), isWide: false, ...plain };
    case "fleet":
      return wide(opened, which, `no secret in the manifest names the fleet ${selector.name}`, ({ fleets }) =>
        fleets.includes(selector.name),
      );
    case "tenant":
      return wide(
        opened,
        which,
        `no secret in the manifest is of the tenant ${selector.name}`,
        ({ tenant }) => tenant === selector.name,
      );
    case "agent":
      return ofAgent(opened, selector.name, which, enrolledSince);
    case "leaked":
      return leaked === undefined ? { versions: [], isWide: false, ...plain } : search(opened, leaked);
  }
}

const plain = { isFound: false, agent: undefined, failures: [] } as const;

function wide(
  { manifest }: OpenManifest,
  which: string,
  otherwise: string,
  isMeant: (secret: ManifestSecret) => boolean,
): Chosen {
  const refs = managedSecrets(manifest)
    .filter(isMeant)
    .map(({ ref }) => ref);
  if (refs.length === 0) throw new KeyturnError("input-invalid", otherwise);
  return { versions: refs.map((ref) => ({ ref, which })), isWide: true, ...plain };
}

function managedSecrets(manifest: OpenManifest["manifest"]): readonly ManifestSecret[] {
  return manifest.secrets.refs().flatMap((ref) => manifest.secrets.get(ref) ?? []);
}

/** Everything that the host may have read: what its fleets may read, and what it has reported on. */
async function ofAgent(
  opened: OpenManifest,
  principal: string,
  which: string,
  enrolledSince: number,
): Promise<Chosen> {
  const stores = await opened.stores();
  const failures: KeyturnError[] = [];
  const fleets = new Set<string>();
  for (const { name, local } of stores) {
    // A store that cannot say who is enrolled still knows who has reported.
    const enrolments = await (local?.tokens.list() ?? Promise.resolve([])).catch((thrown: unknown) => {
      failures.push(inStore(thrown, name, `the enrolments of ${principal} cannot be read`));
      return [];
    });
    for (const one of enrolments) {
      if (one.principal !== principal || (one.revokedAt ?? Number.POSITIVE_INFINITY) < enrolledSince)
        continue;
      for (const fleet of one.fleets) fleets.add(fleet);
    }
  }
  const secrets = managedSecrets(opened.manifest);
  const settled = await inParallel(secrets, 16, async (managed) => {
    if (managed.fleets.some((fleet) => fleets.has(fleet))) return true;
    const { ports } = await opened.store(managed.store);
    const agents = await ports.journal.agents(managed.ref);
    return agents.some(({ agent }) => agent === principal || agent.startsWith(`${principal}/`));
  });
  const refs = secrets.filter((_, index) => {
    const one = settled[index];
    return one?.status === "fulfilled" && one.value;
  });
  for (const one of settled) if (one.status === "rejected") failures.push(asKeyturnError(one.reason));
  if (refs.length === 0 && fleets.size === 0 && failures.length === 0) {
    throw new KeyturnError(
      "secret-missing",
      `no host ${principal} is enrolled, and none has reported on a secret`,
    );
  }
  return {
    versions: refs.map(({ ref }) => ({ ref, which })),
    isWide: true,
    isFound: false,
    agent: { principal, fleets: [...fleets].sort() },
    failures,
  };
}

/** In every store; a version whose several fields match is one. */
async function search(opened: OpenManifest, leaked: LeakedText): Promise<Chosen> {
  const stores = await opened.stores();
  const settled = await Promise.allSettled(stores.map(({ ports }: OpenStore) => identify(ports, leaked)));
  const matches: readonly FingerprintMatch[] = settled.flatMap((one) =>
    one.status === "fulfilled" ? one.value : [],
  );
  const failures = settled.flatMap((one, index) =>
    one.status === "rejected"
      ? [inStore(one.reason, stores[index]?.name ?? "", "the journal cannot be searched")]
      : [],
  );
  const versions = new Map(matches.map(({ ref, version }) => [`${ref} ${version}`, { ref, which: version }]));
  return { versions: [...versions.values()], isWide: false, isFound: true, agent: undefined, failures };
}

function inStore(thrown: unknown, store: string, what: string): KeyturnError {
  const { code, message } = asKeyturnError(thrown);
  return new KeyturnError(code, `store ${store}: ${what}: ${message}`, { cause: thrown });
}

function guardTenant({ manifest }: OpenManifest, { versions }: Chosen, tenant: string | undefined): void {
  if (tenant === undefined) return;
  const others = versions
    .map(({ ref }) => ({ ref, of: (manifest.secrets.get(ref) ?? manifest.held.get(ref))?.tenant }))
    .filter(({ of }) => of !== tenant)
    .map(({ ref, of }) => `${ref} (${of ?? "no tenant"})`);
  if (others.length === 0) return;
  throw new KeyturnError(
    "request-refused",
    `not of the tenant ${tenant}: ${others.slice(0, 10).join(", ")}${others.length > 10 ? ` and ${others.length - 10} more` : ""}`,
  );
}
