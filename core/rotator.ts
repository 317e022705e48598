import * as z from "zod/mini";
import { carryOver, parse, parseJson, revealFields, secretsIn, withFields } from "./credential.ts";
import type { ErrorCode } from "./errors.ts";
import type { Clock, Log, Random } from "./ports.ts";
import { Secret } from "./secret.ts";

/** A zod/mini schema that reads unknown JSON into `T`. */
export type Schema<T> = z.ZodMiniType<T, unknown>;

/** The field of a credential that is secret: JSON text on one side, a `Secret` on the other. */
export function secretField(): z.ZodMiniType<Secret, unknown> {
  return z.pipe(
    z.string().check(z.minLength(1, "must not be empty")),
    z.transform((value: string) => new Secret(value)),
  );
}

/** What a verb may not act without: who is asking, in which rotation, at which epoch, about which value. */
export interface Fence {
  readonly installation: string;
  readonly ref: string;
  readonly rotationId: string;
  readonly epoch: number;
  /** The keyed fingerprint of the credential that the verb acts on. It says nothing about the value to anyone without the key. */
  readonly fingerprint: string;
}

export interface StepContext<Config, Admin> {
  readonly config: Config;
  readonly admin: Admin;
  /**
   * What else the administering login may be, after the target has refused it: it may be changing at this very moment. Undefined: there
   * is nothing else.
   */
  nextAdmin?(): Promise<Admin | undefined>;
  readonly fence: Fence;
  /** An emergency: the successor is wanted at once, whoever else loses by it. */
  readonly urgent?: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Aborted at the step's deadline; what is under way then must end by itself, soon. One signal for all verbs of a step. */
  readonly signal: AbortSignal;
  /** Runs when the step is over, in reverse order, however it ended: for connections kept from verb to verb. */
  defer(cleanup: () => Promise<void> | void): void;
}

/** A credential about to be tried or set, and the one that it takes over from. */
export interface Change<Credential> {
  readonly pending: Credential;
  readonly current: Credential | undefined;
}

/** What still works after a retire, for how long. */
export interface Residue {
  readonly sessionsEnded: number;
  /** What survives, in words for the incident report; empty when nothing does. */
  readonly survives: readonly string[];
}

/** Who uses a credential at the target right now. */
export interface Usage {
  readonly sessions: number;
  /** Up to ten of them, in words: address, application, since when. */
  readonly clients: readonly string[];
}

/** One line of a dry run. */
export interface Finding {
  readonly check: string;
  readonly ok: boolean;
  readonly message: string;
  /** What is wrong, by the table of errors; where every finding has the same, its remedy is told. */
  readonly code?: ErrorCode | undefined;
}

/** What a fence at the target says of one login, key or slot. */
export interface Mark {
  readonly login: string;
  /** The last verb that changed it. */
  readonly verb: string;
  /** The epoch of that change. */
  readonly epoch: number;
  /** The greatest epoch that it has seen. */
  readonly seen: number;
  readonly fingerprint: string;
  readonly rotationId: string;
  readonly ref: string;
  readonly installation: string;
  /** Whether the target lets it in at all, whatever the value. */
  readonly accepts: boolean;
}

/** What a rotation would do at the target, for whoever wants to know before. */
export interface Outline {
  /** A line for each step that changes something, in order. */
  readonly changes: readonly { readonly step: "set" | "retire"; readonly change: string }[];
  /** Connections that a rotation opens at the target, from create to the proof of retire, without retries. */
  readonly connections: number;
  /** Logins among them that the target is meant to refuse. */
  readonly refusedLogins: number;
}

/** What a type needs of its surroundings; read by the infrastructure code. */
export interface Needs {
  readonly network: readonly ("target" | "internet")[];
  /** What whoever runs it must be allowed on AWS. */
  readonly aws?: readonly AwsRight[];
}

/** Actions on one resource: an ARN in which `{partition}` and `{account}` are those of the place where it runs, and other names are fields of the config. */
export interface AwsRight {
  readonly actions: readonly string[];
  readonly resource: string;
}

/**
 * A credential type: one file in rotators/, and one test beside it. Rotators do verbs; core owns order, retries, promotion, grace and undo.
 *
 * Every verb may run twice, may be stopped after any line, and may be resumed long after it was superseded. It carries the
 * fence to the target where the target can keep it: a greater epoch there means superseded (throw `superseded`), an equal
 * one with the same verb and fingerprint means done (return quietly), an equal one otherwise is a `fence-conflict`, a
 * smaller one applies. Every failure is a KeyturnError, and its message holds no value.
 */
export interface RotatorDefinition<Config, Credential, Admin> {
  /** Equals the file's name. */
  readonly type: string;
  readonly overlap: "both-live" | "cutover";
  /** Never holds a secret. */
  readonly config: Schema<Config>;
  /** Loose: fields it does not know are carried over. Secret fields are `secretField()`. */
  readonly credential: Schema<Credential>;
  readonly admin: Schema<Admin>;
  /** Fields of the credential that are not secret and by which others name it when they tell that it has leaked, such as a key's id. */
  readonly namedBy?: readonly (keyof Credential & string)[];
  /** Fields that say whose login it is, where a password alone could be another's. */
  readonly account?: readonly (keyof Credential & string)[];
  readonly needs: Needs;
  /** Makes the next credential. Touches the target only where the provider mints it. `current` undefined: the first one. */
  create(current: Credential | undefined, context: StepContext<Config, Admin>): Promise<Credential>;
  /** Removes what interrupted creates left. Required where the provider mints. */
  sweep?(context: StepContext<Config, Admin>): Promise<void>;
  /** Makes the target accept pending. Never probes by a login that is meant to fail. For both-live types current keeps working. */
  set(change: Change<Credential>, context: StepContext<Config, Admin>): Promise<void>;
  /** Logs in with pending, makes sure a real authentication took place, and does what the fleet does. */
  test(change: Change<Credential>, context: StepContext<Config, Admin>): Promise<void>;
  /**
   * Makes the target refuse the credential and ends its sessions. Already refused, or replaced by another credential: done. A cutover type
   * changes nothing where it was replaced, and ends only the sessions that were opened with it.
   */
  retire(credential: Credential, context: StepContext<Config, Admin>): Promise<Residue>;
  /** Tries the credential. `unknown` for everything but a clear answer. */
  refused(
    credential: Credential,
    context: StepContext<Config, Admin>,
  ): Promise<"refused" | "accepted" | "unknown">;
  usage?(credential: Credential, context: StepContext<Config, Admin>): Promise<Usage>;
  /** The dry run: reads only. Given a credential that is about to be adopted, it looks at that one too. */
  preflight?(context: StepContext<Config, Admin>, adopting?: Credential): Promise<readonly Finding[]>;
  /**
   * Takes an existing credential over without changing what it is: it has logged in with it, and marks the target as managed. Marked
   * for this secret already: done. Marked for another: `not-managed`.
   */
  adopt?(credential: Credential, context: StepContext<Config, Admin>): Promise<void>;
  /** What the fences at the target say of this secret's slots, whoever marked them. Reads only; for repair. */
  inspect?(context: StepContext<Config, Admin>): Promise<readonly Mark[]>;
  /** What a rotation would change, in words. Asks nobody. */
  outline?(current: Credential | undefined, config: Config): Outline;
  /** Shuts a slot by its name, for whoever has no value at hand: an incident while the store is down. The fence remembers it as a retire. */
  cut?(login: string, context: StepContext<Config, Admin>): Promise<Residue>;
}

/** A step's surroundings before the type's own schemas have read them. */
export type RawContext = StepContext<unknown, Secret | undefined>;

/** A rotator as core sees it: values go in and out as the JSON text that stores hold. */
export interface Rotator {
  readonly type: string;
  readonly overlap: "both-live" | "cutover";
  readonly needs: Needs;
  /** Whether the provider makes the next value: one that was made in vain has to be swept. */
  readonly mints: boolean;
  /** What a config of the type looks like, for those who point at the line that is wrong, or write it down for an editor. */
  readonly config: Schema<unknown>;
  /** What agents read. Secret fields are `secretField()`. */
  readonly credential: Schema<unknown>;
  /** What the secret of the administering login has to have. */
  readonly admin: Schema<unknown>;
  /** Whether it works without an administering login. */
  readonly needsAdmin: boolean;
  /** Throws `config-invalid` that names the field. */
  checkConfig(config: unknown): void;
  /** Throws `credential-invalid` that names the field. */
  checkCredential(value: Secret): void;
  /** Throws `credential-invalid` that names the field. */
  checkAdmin(value: Secret): void;
  /** The secret fields of a value, by name. */
  secretFields(value: Secret): Readonly<Record<string, Secret>>;
  /** The fields by which a value is found again when it leaks, by name: the secret ones, and what it is named by. */
  findableFields(value: Secret): Readonly<Record<string, Secret>>;
  /** Whose login it is, by the fields that are no secret: with the same secret fields two values say one login in other words. */
  accountOf(value: Secret): string;
  /** The secret fields of an administering login, by name. */
  adminFields(value: Secret): Readonly<Record<string, Secret>>;
  create(current: Secret | undefined, context: RawContext): Promise<Secret>;
  sweep(context: RawContext): Promise<void>;
  set(change: Change<Secret>, context: RawContext): Promise<void>;
  test(change: Change<Secret>, context: RawContext): Promise<void>;
  retire(value: Secret, context: RawContext): Promise<Residue>;
  refused(value: Secret, context: RawContext): Promise<"refused" | "accepted" | "unknown">;
  /** Undefined where the type cannot tell. */
  usage(value: Secret, context: RawContext): Promise<Usage | undefined>;
  preflight(context: RawContext, adopting?: Secret): Promise<readonly Finding[]>;
  /** Absent where the type cannot take over what is there. */
  readonly adopt: ((value: Secret, context: RawContext) => Promise<void>) | undefined;
  /** Undefined where the target keeps no fence that can be read. */
  inspect(context: RawContext): Promise<readonly Mark[] | undefined>;
  /** Undefined where the type does not say. */
  outline(current: Secret | undefined, config: unknown): Outline | undefined;
  readonly cut: ((login: string, context: RawContext) => Promise<Residue>) | undefined;
}

/** Puts a definition's schemas around its verbs. Unknown fields of the stored JSON are carried over from current to pending verbatim. */
export function defineRotator<Config, Credential extends object, Admin>(
  definition: RotatorDefinition<Config, Credential, Admin>,
): Rotator {
  const { type } = definition;
  const cut = definition.cut?.bind(definition);
  const readConfig = (config: unknown): Config =>
    parse(definition.config, config, "config-invalid", `the config of type ${type}`);
  const readCredential = (value: Secret): Credential =>
    parse(
      definition.credential,
      parseJson(value, "the stored value"),
      "credential-invalid",
      "the stored value",
    );
  const readAdmin = (value: Secret | undefined): Admin =>
    parse(
      definition.admin,
      value === undefined ? undefined : parseJson(value, "the administering login"),
      "credential-invalid",
      "the administering login",
    );
  const open = (context: RawContext): StepContext<Config, Admin> => ({
    ...context,
    config: readConfig(context.config),
    admin: readAdmin(context.admin),
    nextAdmin: async () => {
      const next = await context.nextAdmin?.();
      return next === undefined ? undefined : readAdmin(next);
    },
  });
  const readIfThere = (value: Secret | undefined) => value && readCredential(value);
  const change = (raw: Change<Secret>): Change<Credential> => ({
    pending: readCredential(raw.pending),
    current: readIfThere(raw.current),
  });

  return {
    type,
    overlap: definition.overlap,
    needs: definition.needs,
    mints: definition.sweep !== undefined,
    config: definition.config,
    credential: definition.credential,
    admin: definition.admin,
    needsAdmin: !z.safeParse(definition.admin, undefined).success,
    checkConfig: (config) => void readConfig(config),
    checkCredential: (value) => void readCredential(value),
    checkAdmin: (value) => void readAdmin(value),
    secretFields: (value) => secretsIn(readCredential(value)),
    findableFields: (value) => withFields(readCredential(value), definition.namedBy ?? []),
    accountOf: (value) => {
      const credential = readCredential(value);
      const names = [...(definition.namedBy ?? []), ...(definition.account ?? [])];
      return JSON.stringify(names.map((name) => credential[name]));
    },
    adminFields: (value) => secretsIn(Object(readAdmin(value))),
    create: async (current, context) => {
      const made = await definition.create(readIfThere(current), open(context));
      return new Secret(carryOver(current, revealFields(made)));
    },
    sweep: async (context) => definition.sweep?.(open(context)),
    set: async (raw, context) => definition.set(change(raw), open(context)),
    test: async (raw, context) => definition.test(change(raw), open(context)),
    retire: async (value, context) => definition.retire(readCredential(value), open(context)),
    refused: async (value, context) => definition.refused(readCredential(value), open(context)),
    usage: async (value, context) => definition.usage?.(readCredential(value), open(context)),
    preflight: async (context, adopting) =>
      definition.preflight?.(open(context), readIfThere(adopting)) ?? [],
    adopt:
      definition.adopt === undefined
        ? undefined
        : async (value, context) => definition.adopt?.(readCredential(value), open(context)),
    inspect: async (context) => definition.inspect?.(open(context)),
    outline: (current, config) => definition.outline?.(readIfThere(current), readConfig(config)),
    cut: cut && ((login, context) => cut(login, open(context))),
  };
}
