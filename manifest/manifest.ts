import type { ManagedSecret } from "../core/ports.ts";
import type { ScheduleContent } from "./schedule.ts";

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
  readonly notify: ReadonlyMap<string, NotifyChannel>;
  /** Those who may be asked to agree, by name. */
  readonly people: ReadonlyMap<string, Person>;
}

/** A person who can sign an approval. */
export interface Person {
  readonly name: string;
  /** The public half of an Ed25519 key pair: SPKI, DER, in base64. */
  readonly key: string;
}

interface Channel {
  readonly name: string;
  /** What it is told besides halted rotations and unpaid debts, which every channel is told. */
  readonly on: readonly NotifyTopic[];
  /** The authority that signed the receiver's certificate: a file, absolute. Undefined: the well-known ones. */
  readonly ca: string | undefined;
}

/** What a channel may be told of. */
export type NotifyTopic = "failed" | "revoked" | "rotated" | "adopted" | "retired";

/** Someone who is told. Addresses are https; what is secret is the reference of a secret. */
export type NotifyChannel =
  | (Channel & { readonly kind: "webhook"; readonly url: string; readonly signingSecret: string })
  | (Channel & {
      readonly kind: "slack";
      /** The reference of the secret that is the address. */
      readonly url: string;
    })
  | (Channel & { readonly kind: "pagerduty"; readonly routingKey: string; readonly url: string });

export type StoreEntry = LocalStoreEntry | AwsStoreEntry;

/** Files on this machine. */
export interface LocalStoreEntry {
  readonly kind: "local";
  readonly name: string;
  /** Absolute. */
  readonly path: string;
  /** The file of the key that encrypts the store, absolute. Undefined: where the store keeps it by default. */
  readonly key: string | undefined;
  /** How often rotations of its secrets may begin by themselves. Undefined: as often as they are due. */
  readonly quota: Quota | undefined;
}

/** Secrets Manager in one region, worked on by what is deployed in one account. */
export interface AwsStoreEntry {
  readonly kind: "aws";
  readonly name: string;
  /** Twelve digits: of the installation, and of secrets that name no other. */
  readonly account: string;
  readonly region: string;
  /** What all that is deployed for it is named by. */
  readonly installation: string;
  /** How a function's rights name its secrets: each by its name, or all of them by the tags that they bear. */
  readonly secretsBy: "name" | "tag";
  /** The role, or its ARN, by which the command works there. Undefined: whoever calls it. */
  readonly role: string | undefined;
  /** How often rotations of its secrets may begin by themselves. Undefined: as often as they are due. */
  readonly quota: Quota | undefined;
}

/** So many in any time of that length. */
export interface Quota {
  readonly rotations: number;
  readonly perMs: number;
}

export interface ManifestSecret extends ManagedSecret {
  /** The name of its store. */
  readonly store: string;
  /** The account that it is in, where it names one. Undefined: its store's. */
  readonly account: string | undefined;
  /** The names of the channels that are told of it: its own, or else those of the first policy that matches and names some. */
  readonly notify: readonly string[];
  /** What needs the consent of a second person of `people`. */
  readonly secondPerson: readonly "revoke"[];
  /** How many secrets one revocation that affects this one may affect. Undefined: no policy says. */
  readonly maxAffected: number | undefined;
  /** The schedule as it was written, durations in milliseconds; what core asks is in the policy. */
  readonly schedule: ScheduleContent | undefined;
  /** `file:line:column`, for the messages of those who check more than the manifest can. */
  readonly where: string;
}

export interface HeldSecret {
  readonly ref: string;
  readonly store: string;
  readonly account: string | undefined;
  readonly tenant: string | undefined;
}

/** Rules for every secret whose reference matches. Of two that match, the first that speaks of a field has the say. Undefined: it does not speak of it. */
export interface PolicyEntry {
  readonly match: string;
  /** What `keyturn lint` makes of a breach. */
  readonly severity: "error" | "warning";
  readonly maxAgeMs: number | undefined;
  /** The grace window of secrets that do not give their own. */
  readonly grace: GraceEntry | undefined;
  /** What every grace window must lie within. */
  readonly graceLimits: GraceLimits | undefined;
  readonly requires: readonly Requirement[] | undefined;
  readonly tenant: TenantRule | undefined;
  /** The channels of secrets that do not name their own. */
  readonly notify: readonly string[] | undefined;
  readonly secondPerson: readonly "revoke"[] | undefined;
  readonly maxAffected: number | undefined;
}

/** What a policy can ask every secret to have. */
export type Requirement = "both-live" | "schedule" | "window" | "fleets" | "tenant" | "notify";

export interface GraceLimits {
  readonly atLeastMs: number | undefined;
  readonly atMostMs: number | undefined;
}

/** Whose secrets may be. */
export interface TenantRule {
  readonly oneOf: readonly string[] | undefined;
  /** The part of the reference that names the tenant, from 1. */
  readonly part: number | undefined;
}

export interface GraceEntry {
  readonly atLeastMs: number | undefined;
  readonly atMostMs: number | undefined;
  readonly onLaggards: "hold" | "retire" | undefined;
}
