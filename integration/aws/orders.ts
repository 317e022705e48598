import type { SecretsManagerClient } from "@aws-sdk/client-secrets-manager";

/** One who works beside others: what it does, and the client by which it does all of it. */
export interface Actor {
  readonly client: SecretsManagerClient;
  act(): Promise<unknown>;
}

/** A play begun anew for each order: who acts, and what has to be so when all have ended. */
export interface Scene {
  readonly actors: readonly Actor[];
  judge(outcomes: readonly PromiseSettledResult<unknown>[]): Promise<void>;
}

/** Plays the scene in every order that the actors' calls can come in, and says in how many. */
export async function everyOrder(open: () => Promise<Scene>): Promise<number> {
  let orders = 0;
  let wanted: readonly number[] = [];
  for (;;) {
    const { actors, judge } = await open();
    const taken: { pick: number; of: number }[] = [];
    const outcomes = await play(actors, (waiting) => {
      const pick = wanted[taken.length] ?? 0;
      taken.push({ pick, of: waiting });
      return pick;
    });
    try {
      await judge(outcomes);
    } catch (thrown) {
      throw new Error(`in the order ${taken.map(({ pick }) => pick).join("")}`, { cause: thrown });
    }
    orders += 1;
    const last = taken.findLastIndex(({ pick, of }) => pick + 1 < of);
    if (last === -1) return orders;
    wanted = taken.slice(0, last + 1).map(({ pick }, index) => (index === last ? pick + 1 : pick));
  }
}

/** Lets the first actor make `calls` calls, then the others all of theirs, then the first one the rest. Says whether it was frozen at all. */
export async function frozenAfter(
  calls: number,
  frozen: Actor,
  meanwhile: () => Promise<unknown>,
): Promise<{ readonly wasFrozen: boolean; readonly outcome: PromiseSettledResult<unknown> | undefined }> {
  let made = 0;
  let wasFrozen = false;
  const [outcome] = await play([frozen], async () => {
    if (made === calls) {
      wasFrozen = true;
      await meanwhile();
    }
    made += 1;
    return 0;
  });
  return { wasFrozen, outcome };
}

async function play(
  actors: readonly Actor[],
  choose: (waiting: number) => number | Promise<number>,
): Promise<readonly PromiseSettledResult<unknown>[]> {
  const players = actors.map(({ client, act }) => {
    const gate = Gate.of(client);
    gate.arm();
    const ended = Promise.allSettled([act()]).then(([outcome]) => {
      gate.close();
      return outcome;
    });
    return { gate, ended };
  });
  for (const { gate } of players) await gate.reached();
  for (;;) {
    const waiting = players.filter(({ gate }) => gate.isWaiting);
    if (waiting.length === 0) return Promise.all(players.map(({ ended }) => ended));
    const next = waiting[await choose(waiting.length)];
    next?.gate.open();
    await next?.gate.reached();
  }
}

/** Stands before every call of a client while it plays, and opens for one at a time. */
class Gate {
  static readonly #gates = new WeakMap<SecretsManagerClient, Gate>();
  #isArmed = false;
  #open: (() => void) | undefined;
  #reached = Promise.withResolvers<void>();

  static of(client: SecretsManagerClient): Gate {
    const gate = Gate.#gates.get(client) ?? new Gate(client);
    Gate.#gates.set(client, gate);
    return gate;
  }

  private constructor(client: SecretsManagerClient) {
    client.middlewareStack.add(
      (next) => async (args) => {
        if (!this.#isArmed) return next(args);
        const opened = Promise.withResolvers<void>();
        this.#open = opened.resolve;
        this.#reached.resolve();
        await opened.promise;
        return next(args);
      },
      { step: "initialize" },
    );
  }

  arm(): void {
    this.#isArmed = true;
    this.#reached = Promise.withResolvers<void>();
  }

  get isWaiting(): boolean {
    return this.#open !== undefined;
  }

  /** Resolves when a call stands before it, or none will come any more. */
  reached(): Promise<void> {
    return this.#reached.promise;
  }

  open(): void {
    const open = this.#open;
    this.#open = undefined;
    this.#reached = Promise.withResolvers<void>();
    open?.();
  }

  close(): void {
    this.#isArmed = false;
    this.#open = undefined;
    this.#reached.resolve();
  }
}
