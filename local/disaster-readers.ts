import type { SecretStore } from "../core/ports.ts";
import type { ModelTarget } from "./model-target.ts";
import { loginOf } from "./simulation-end.ts";

/** What readers find while things are mended: by the readers' rule, and at the target. */
export class DisasterReaders {
  readonly #ref: string;
  readonly #overlap: "both-live" | "cutover";
  readonly #target: ModelTarget;
  #readable = false;

  constructor(ref: string, overlap: "both-live" | "cutover", target: ModelTarget) {
    this.#ref = ref;
    this.#overlap = overlap;
    this.#target = target;
  }

  /** From here on it is asked whether what works is taken from them. */
  async begin(store: SecretStore): Promise<void> {
    this.#readable = await this.#isReadable(store);
  }

  /**
   * Throws where readers had what works, and no longer have; says whether what was meddled with is current and works again. In an emergency there
   * may be none for a while; and where somebody has changed the login of a version after its test, and the store goes back to just before it
   * was published, it is published first.
   */
  async look(store: SecretStore, isEmergency: boolean, meddled: string | undefined): Promise<boolean> {
    const readable = isEmergency || (await this.#isReadable(store));
    const current = await store.read(this.#ref, "current");
    const isMeddled = current !== undefined && current.version === meddled;
    if (this.#readable && !readable && !isMeddled)
      throw new Error("what readers had worked, and nothing does any more");
    this.#readable = readable;
    return isMeddled && readable;
  }

  async #isReadable(store: SecretStore): Promise<boolean> {
    const current = await store.read(this.#ref, "current");
    const pending = this.#overlap === "cutover" ? await store.read(this.#ref, "pending") : undefined;
    return [current, pending].some((one) => {
      if (one === undefined) return false;
      const { username, password } = loginOf(one.value.reveal());
      return this.#target.accepts(username, password);
    });
  }
}
