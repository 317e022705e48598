import type { Ports, SecretStore } from "../core/ports.ts";
import type { RotationRecord } from "../core/record.ts";
import type { Secret } from "../core/secret.ts";
import { memorySecretStore } from "./memory.ts";
import { type Login, loginOf } from "./simulation-end.ts";

/** What was ever written to a journal and a store, so that an earlier time can be brought back. */
export class SimulatedPast {
  /** Every record that was saved. */
  readonly records: RotationRecord[] = [];
  /** Every value that was ever a candidate or current, by its version. */
  readonly logins = new Map<string, Login>();
  /** Backups of the target; each brings its time back. */
  readonly backups: (() => void)[] = [];
  readonly #ref: string;
  #changes: ((store: SecretStore) => Promise<unknown>)[] = [];

  constructor(ref: string) {
    this.#ref = ref;
  }

  /** The same ports, and what is done by them is kept. */
  watch(ports: Ports): Ports {
    const { journal, store } = ports;
    const changing =
      <Args extends unknown[], Result>(change: (store: SecretStore, ...args: Args) => Promise<Result>) =>
      async (...args: Args): Promise<Result> => {
        const result = await change(store, ...args);
        this.#changes.push((other) => change(other, ...args));
        await this.collect(store);
        return result;
      };
    return {
      ...ports,
      journal: {
        ...journal,
        save: async (record, revision) => {
          const saved = await journal.save(record, revision);
          this.records.push(record);
          return saved;
        },
      },
      store: {
        ...store,
        savePending: changing((one, ref: string, id: string, value: Secret) =>
          one.savePending(ref, id, value),
        ),
        discardPending: changing((one, ref: string, id: string) => one.discardPending(ref, id)),
        promote: changing((one, ref: string, id: string, expected: string | undefined) =>
          one.promote(ref, id, expected),
        ),
        disable: changing((one, ref: string, id: string) => one.disable(ref, id)),
      },
    };
  }

  async collect(store: SecretStore): Promise<void> {
    for (const stage of ["current", "pending"] as const) {
      const stored = await store.read(this.#ref, stage);
      if (stored !== undefined) this.logins.set(stored.version, loginOf(stored.value.reveal()));
    }
  }

  /** The store as it was after a part of its changes, at least the first two: there is a current value. */
  async storeOfOld(clock: Ports["clock"], part: number): Promise<SecretStore> {
    const kept = this.#changes.slice(0, 2 + Math.floor(part * (this.#changes.length - 2)));
    const store = memorySecretStore(clock);
    for (const change of kept) await change(store).catch(() => undefined);
    this.#changes = kept;
    return store;
  }
}
