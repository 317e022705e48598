import type { ManagedSecret } from "../core/ports.ts";

/** Everything that keyturn.yaml and the files it includes say, checked, with every default filled in. */
export interface Manifest {
  /** The file that was asked for, as an absolute path. */
  readonly path: string;
  /** That file and all that it includes, as absolute paths, in the order in which they were read. */
  readonly files: readonly string[];
  readonly stores: ReadonlyMap<string, StoreEntry>;
  readonly policies: readonly PolicyEntry[];
  /** The secrets that are rotated, in the shape in which core asks for them. */
  readonly secrets: {
    get(ref: string): ManifestSecret | undefined;
    refs(): readonly string[];
  };
  /** The secrets that are only kept, administering logins for example: `type: held`. */
  readonly held: ReadonlyMap<string, HeldSecret>;
  /** Every fleet that a secret names, in order. */
  readonly fleets: readonly string[];
  /** Accepted and kept; this version notifies nobody. */
  readonly notify: ReadonlyMap<string, unknown>;
}

/** Files on this machine; the one kind of store that this version has. */
export interface StoreEntry {
  readonly kind: "local";
  readonly name: string;
  /** Absolute. */
  readonly path: string;
  /** The file of the key that encrypts the store, absolute. Undefined: where the store keeps it by default. */
  readonly key: string | undefined;
}

export interface ManifestSecret extends ManagedSecret {
  /** The name of its store. */
  readonly store: string;
  /** Accepted and kept. */
  readonly notify: readonly string[];
  /** `file:line:column`, for the messages of those who check more than the manifest can. */
  readonly where: string;
}

export interface HeldSecret {
  readonly ref: string;
  readonly store: string;
}

/** What holds for every secret whose reference matches. Of two that match, the one that is read first has the say. */
export interface PolicyEntry {
  readonly match: string;
  /** Accepted and kept; this version does not enforce it. */
  readonly maxAgeMs: number | undefined;
  /** Accepted and kept; this version does not enforce it. */
  readonly requires: readonly "both-live"[];
  /** The grace window of secrets that do not give their own. */
  readonly grace: GraceEntry | undefined;
}

export interface GraceEntry {
  readonly atLeastMs: number | undefined;
  readonly atMostMs: number | undefined;
  readonly onLaggards: "hold" | "retire" | undefined;
}
