import DataLoader from "dataloader";
import type { Found, SecretCalls } from "./secret-calls.ts";

const current = { VersionStage: "AWSCURRENT" };

/** BatchGetSecretValue takes no more. https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html */
const mostAtOnce = 20;

/** Current values that are asked for at the same moment come by one call. Nothing is kept: whoever asks again asks the service again. */
export class CurrentReads {
  readonly #calls: Pick<SecretCalls, "get" | "getCurrents">;
  readonly #loader = new DataLoader<string, Found | undefined>((refs) => this.#load(refs), {
    cache: false,
    maxBatchSize: mostAtOnce,
  });
  /** Until the role is seen to have no right to it. */
  #mayBatch = true;

  constructor(calls: Pick<SecretCalls, "get" | "getCurrents">) {
    this.#calls = calls;
  }

  get(ref: string): Promise<Found | undefined> {
    return this.#loader.load(ref);
  }

  async #load(refs: readonly string[]): Promise<(Found | undefined | Error)[]> {
    const distinct = [...new Set(refs)];
    const found = distinct.length > 1 && this.#mayBatch ? await this.#calls.getCurrents(distinct) : undefined;
    if (found === "refused") this.#mayBatch = false;
    const together = found === "refused" ? undefined : found;
    // What one call could not read is asked for by itself, which says what is wrong with it.
    const answers = new Map(
      distinct.map((ref) => [ref, together?.has(ref) ? together.get(ref) : this.#alone(ref)]),
    );
    return Promise.all(refs.map((ref) => answers.get(ref)));
  }

  #alone(ref: string): Promise<Found | undefined | Error> {
    return this.#calls.get(ref, current).catch((thrown: unknown) => {
      if (thrown instanceof Error) return thrown;
      throw thrown;
    });
  }
}
