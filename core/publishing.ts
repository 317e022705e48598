import { asKeyturnError, KeyturnError } from "./errors.ts";
import type { Journal, Loaded, SecretStore } from "./ports.ts";
import type { RotationRecord } from "./record.ts";

/**
 * Says in the record which version an import is going to save, at an epoch of its own, before anything else is changed. A rotation that begins
 * afterwards is ahead of its mark and shuts that version; an import that was read before it has to look again.
 */
export async function claim(
  journal: Pick<Journal, "save">,
  record: RotationRecord,
  { version, epoch, revision }: { version: string; epoch: number; revision: number | undefined },
): Promise<Loaded> {
  const claimed = { ...record, epoch, importing: [...(record.importing ?? []), version] };
  return { record: claimed, revision: await journal.save(claimed, revision) };
}

/** How an import makes a value current, while others may do the same with another one. */
export class Publishing {
  readonly #journal: Pick<Journal, "load">;
  readonly #store: SecretStore;
  readonly #ref: string;
  readonly #revision: number;

  /** `revision` is the record's, as the import has claimed it. */
  constructor(
    journal: Pick<Journal, "load">,
    store: SecretStore,
    { ref, revision }: { readonly ref: string; readonly revision: number },
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
