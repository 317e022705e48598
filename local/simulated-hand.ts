import { storeValue } from "../core/operate.ts";
import type { Ports } from "../core/ports.ts";
import type { Secret } from "../core/secret.ts";
import type { Chance } from "./chance.ts";
import type { ModelTarget } from "./model-target.ts";
import { adminRef, loginTo } from "./simulated-secrets.ts";
import type { WatchedSecret } from "./simulated-watch.ts";
import { isSame, type Login, loginOf } from "./simulation-end.ts";

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

/** Somebody changes at the target what is current, in a grace, behind Keyturn's back, and sets it back a while later if it still matters. */
export class Meddler {
  readonly #target: ModelTarget;
  readonly #changed = new Map<WatchedSecret, { readonly was: Login; readonly is: Login }>();
  #changes = 0;

  constructor(target: ModelTarget) {
    this.#target = target;
  }

  /** What was done, in a word; undefined: nothing. Long enough after it Keyturn has seen it, or a person may. */
  async act(watched: WatchedSecret, ports: Ports, chance: Chance): Promise<string | undefined> {
    if (this.#changed.has(watched)) return chance.next() < 0.15 ? this.setBack(watched, ports) : undefined;
    if (watched.record?.state.phase !== "grace" || watched.ref === adminRef) return undefined;
    const current = await ports.store.read(watched.ref, "current");
    if (current === undefined) return undefined;
    const was = loginOf(current.value.reveal());
    if (!watched.accepts(was)) return undefined;
    this.#changes += 1;
    const is = { ...was, password: `by a stranger ${this.#changes}` };
    this.#target.meddle(is.username, is.password);
    this.#changed.set(watched, { was, is });
    watched.meddled = was;
    return "current is changed by a stranger";
  }

  /** What Keyturn has seen to since is left alone: it is another value now, or was shut. */
  async setBack(watched: WatchedSecret, ports: Ports): Promise<string | undefined> {
    const changed = this.#changed.get(watched);
    if (changed === undefined) return undefined;
    const { was, is } = changed;
    const current = await ports.store.read(watched.ref, "current");
    const isLeft = this.#target.accepts(is.username, is.password);
    if (isLeft && (current === undefined || !isSame(was, loginOf(current.value.reveal())))) return undefined;
    if (isLeft) this.#target.meddle(was.username, was.password);
    this.#changed.delete(watched);
    watched.meddled = undefined;
    return isLeft ? "what a stranger changed is set back" : undefined;
  }
}

export function setByHand(target: ModelTarget, value: Secret): void {
  const { username, password } = loginOf(value.reveal());
  target.meddle(username, password);
}
