import { storeValue } from "../core/operate.ts";
import type { Ports } from "../core/ports.ts";
import type { Secret } from "../core/secret.ts";
import type { ModelTarget } from "./model-target.ts";
import { adminRef, loginTo } from "./simulated-secrets.ts";
import { loginOf } from "./simulation-end.ts";

/** An administering login that nobody rotates: a person changes it at the target, and some time after that stores what it is now. */
export class HeldLogin {
  readonly #target: ModelTarget;
  #unstored: Secret | undefined;
  #changes = 0;

  constructor(target: ModelTarget) {
    this.#target = target;
  }

  get isStored(): boolean {
    return this.#unstored === undefined;
  }

  change(): void {
    this.#changes += 1;
    const value = loginTo(adminRef, `by hand ${this.#changes}`);
    setByHand(this.#target, value);
    this.#unstored = value;
  }

  async store(ports: Ports): Promise<string> {
    const value = this.#unstored;
    if (value === undefined) return "there is nothing to store";
    await storeValue(adminRef, ports, value, {});
    if (this.#unstored === value) this.#unstored = undefined;
    return "stored";
  }
}

export function setByHand(target: ModelTarget, value: Secret): void {
  const { username, password } = loginOf(value.reveal());
  target.meddle(username, password);
}
