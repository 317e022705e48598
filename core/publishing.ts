import { asKeyturnError, KeyturnError } from "./errors.ts";
import type { Journal, SecretStore } from "./ports.ts";

/** How an import makes a value current, while others may do the same with another one. */
export class Publishing {
  readonly #journal: Pick<Journal, "load">;
  readonly #store: SecretStore;
  readonly #ref: string;
  readonly #revision: number | undefined;

  /** `revision` is the record's, as the import has read it. */
  constructor(
    journal: Pick<Journal, "load">,
    store: SecretStore,
    { ref, revision }: { readonly ref: string; readonly revision: number | undefined },
  ) {
    this.#journal = journal;
    this.#store = store;
    this.#ref = ref;
    this.#revision = revision;
  }

  /** A candidate that was there before the record moved is of no rotation; of any other one the record has to be read first. */
  async putAside(version: string): Promise<void> {
    const known = await this.#journal.load(this.#ref);
    if (known?.revision !== this.#revision) {
      throw new KeyturnError("conflict", `the record of ${this.#ref} has moved`);
    }
    await this.#store.discardPending(this.#ref, version);
  }

  /** Whoever was overtaken by another import takes its own candidate away again: nobody else would. */
  async promote(version: string, expected: string | undefined): Promise<void> {
    await this.#store.promote(this.#ref, version, expected).catch(async (thrown: unknown) => {
      if (asKeyturnError(thrown).code === "conflict") await this.#store.discardPending(this.#ref, version);
      throw thrown;
    });
  }

  /** Another import may have stored its value meanwhile. */
  async assertCurrent(version: string): Promise<void> {
    const current = await this.#store.read(this.#ref, "current");
    if (current?.version === version) return;
    throw new KeyturnError("conflict", `current of ${this.#ref} was changed in the store meanwhile`);
  }
}
