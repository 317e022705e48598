import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import { expect } from "vitest";
import { KeyturnError } from "../core/errors.ts";
import { createFingerprinter } from "../core/fingerprint.ts";
import type { Fence, Finding, RawContext, Residue, Rotator, Usage } from "../core/rotator.ts";
import type { Secret } from "../core/secret.ts";
import type { TcpProxy } from "../integration/tcp-proxy.ts";

/** A target of one's own for one test, as its owner hands it over: nothing of Keyturn's is there yet. */
export interface Target {
  readonly config: object;
  readonly admin: Secret;
  readonly wrongAdmin: Secret;
  /** The secret parts of both. */
  readonly adminSecrets: readonly string[];
  /** Where it is reached, and the same configuration with another port in it. */
  readonly address: { readonly host: string; readonly port: number };
  withPort(port: number): object;
  /** Does what an agent does with a credential; rejects if the target does not let it in. */
  open(value: Secret): Promise<AgentSession>;
  /** The value with the identity of another one, for types that alternate between two: it will be set where the other lives. */
  inPlaceOf(other: Secret, value: Secret): Secret;
  /** All that the target wrote down, and all that it shows to others. */
  traces(): Promise<string>;
}

export interface AgentSession {
  works(): Promise<boolean>;
  close(): Promise<void>;
}

/** What a step of a test may say of itself; the rest is made up. */
export interface StepOptions {
  readonly config?: object;
  readonly admin?: Secret;
  readonly fence?: Partial<Fence>;
  readonly urgent?: boolean;
  readonly deadlineMs?: number;
}

const fingerprinter = createFingerprinter([{ id: "test", bytes: randomBytes(32) }]);

/** Runs single verbs as core would, and keeps every word that was said in them and every secret that was made. */
export class Steps {
  readonly said: string[] = [];
  readonly secrets: string[];
  readonly #rotator: Rotator;
  readonly #target: Target;

  constructor(rotator: Rotator, target: Target) {
    this.#rotator = rotator;
    this.#target = target;
    this.secrets = [...target.adminSecrets];
  }

  async create(current?: Secret, options?: StepOptions): Promise<Secret> {
    const value = await this.run(0, undefined, options, async (context) => {
      await this.#rotator.sweep(context);
      return this.#rotator.create(current, context);
    });
    for (const field of Object.values(this.#rotator.secretFields(value))) this.secrets.push(field.reveal());
    return value;
  }

  /** The first credential, live. */
  async first(): Promise<Secret> {
    const value = await this.create();
    await this.set(1, value);
    await this.test(1, value);
    return value;
  }

  set(epoch: number, pending: Secret, current?: Secret, options?: StepOptions): Promise<void> {
    return this.run(epoch, pending, options, (context) => this.#rotator.set({ pending, current }, context));
  }

  test(epoch: number, pending: Secret, current?: Secret, options?: StepOptions): Promise<void> {
    return this.run(epoch, pending, options, (context) => this.#rotator.test({ pending, current }, context));
  }

  retire(epoch: number, value: Secret, options?: StepOptions): Promise<Residue> {
    return this.run(epoch, value, options, (context) => this.#rotator.retire(value, context));
  }

  refused(value: Secret, options?: StepOptions): Promise<"refused" | "accepted" | "unknown"> {
    return this.run(0, value, options, (context) => this.#rotator.refused(value, context));
  }

  usage(value: Secret): Promise<Usage | undefined> {
    return this.run(0, value, {}, (context) => this.#rotator.usage(value, context));
  }

  /** At an epoch above every other, unless told: the journal is ahead of the target. */
  preflight(options?: StepOptions, epoch = 1_000_000): Promise<readonly Finding[]> {
    return this.run(epoch, undefined, options, (context) => this.#rotator.preflight(context));
  }

  /** One step: whatever it leaves open is closed at its end. */
  async run<Result>(
    epoch: number,
    value: Secret | undefined,
    options: StepOptions = {},
    work: (context: RawContext) => Promise<Result>,
  ): Promise<Result> {
    const cleanups: (() => Promise<void> | void)[] = [];
    const context: RawContext = {
      config: options.config ?? this.#target.config,
      admin: options.admin ?? this.#target.admin,
      fence: {
        installation: "test",
        ref: "team/secret",
        rotationId: `rotation-${epoch}`,
        epoch,
        fingerprint: fingerprinter.fingerprint(value?.reveal() ?? ""),
        ...options.fence,
      },
      urgent: options.urgent === true,
      clock: { now: Date.now, sleep: (ms, signal) => sleep(ms, undefined, { signal }) },
      random: { bytes: (length) => new Uint8Array(randomBytes(length)) },
      log: (...line) => this.said.push(inspect(line, { depth: 20 })),
      signal: AbortSignal.timeout(options.deadlineMs ?? 20_000),
      defer: (cleanup) => cleanups.unshift(cleanup),
    };
    try {
      return await work(context);
    } catch (error) {
      this.said.push(inspect(error, { depth: 20 }));
      throw error;
    } finally {
      for (const cleanup of cleanups) await cleanup();
    }
  }
}

/** Runs a verb over a wire that is torn at that chunk, and again over the whole one. Whether it was torn at all. */
export async function cut(
  proxy: TcpProxy,
  chunk: number,
  when: "before" | "after",
  verb: () => Promise<unknown>,
): Promise<boolean> {
  proxy.tear(chunk, when);
  try {
    await verb();
  } catch (error) {
    expect(error).toBeInstanceOf(KeyturnError);
    expect(error).toMatchObject({ disposition: "retry" });
  }
  const torn = proxy.calm();
  await verb();
  return torn;
}
