import { KeyturnError } from "../core/errors.ts";
import type { Ports } from "../core/ports.ts";
import type { Chance } from "./chance.ts";

type Fate = "done" | "fails" | "is rejected" | "reply lost";

interface Call {
  readonly worker: string;
  readonly what: string;
  readonly go: (fate: Fate) => void;
}

/** Every call of every worker waits here until chance lets it go on, fail, lose its reply, die or freeze. */
export class Gate {
  readonly counts: Record<string, number> = {};
  readonly #chance: Chance;
  readonly #tell: (line: string) => void;
  readonly #deaths = new Map<string, () => void>();
  readonly #dead = new Set<string>();
  #calls: Call[] = [];
  #frozen: Call[] = [];
  #healthy = false;

  constructor(chance: Chance, tell: (line: string) => void) {
    this.#chance = chance;
    this.#tell = tell;
  }

  get waiting(): number {
    return this.#calls.length;
  }

  onDeath(worker: string, told: () => void): void {
    this.#deaths.set(worker, told);
  }

  wrap(worker: string, ports: Ports): Ports {
    const behind = <Part extends object>(name: string, part: Part): Part =>
      new Proxy(part, {
        get: (owner, method) => {
          const found: unknown = Reflect.get(owner, method);
          // A chain that is read is an iterator, and only a verifier's business.
          if (typeof found !== "function" || (name === "audit" && method === "read")) return found;
          if (/^check|Fields$/.test(String(method))) return found;
          return async (...args: unknown[]) => {
            const fate = await this.#wait(worker, `${name}.${String(method)}`);
            if (fate === "fails") throw new KeyturnError("unreachable", "the simulation's network is down");
            if (fate === "is rejected")
              throw new KeyturnError("target-rejected", "the simulation's target says no");
            const result: unknown = await Reflect.apply(found, owner, args);
            if (fate === "reply lost") throw new KeyturnError("timeout", "the simulation has lost the reply");
            return result;
          };
        },
      });
    return {
      ...ports,
      store: behind("store", ports.store),
      journal: behind("journal", ports.journal),
      bus: behind("bus", ports.bus),
      audit: behind("audit", ports.audit),
      rotators: { load: async (type) => behind("rotator", await ports.rotators.load(type)) },
    };
  }

  /** One call, any of those that wait, meets its fate. */
  release(): void {
    const call = this.#take(this.#calls);
    if (call === undefined) return;
    const dice = this.#chance.next();
    if (dice < 0.03) this.#die(call);
    else if (dice < 0.07) this.#freeze(call);
    else if (dice < 0.1) this.#goOn(call, "fails");
    else if (dice > 0.97 && call.what.startsWith("rotator.")) this.#goOn(call, "is rejected");
    else if (dice < 0.13) this.#goOn(call, "reply lost");
    else this.#goOn(call, "done");
  }

  #freeze(call: Call): void {
    this.#frozen.push(call);
    this.#happened(call, "freezes at");
  }

  /** A frozen worker goes on as if nothing had been. */
  thaw(): void {
    const call = this.#take(this.#frozen);
    if (call === undefined) return;
    this.#happened(call, "thaws at");
    this.#goOn(call, "done");
  }

  /** From now on nothing fails, and whoever is frozen goes on. */
  heal(): void {
    this.#healthy = true;
    for (const call of [...this.#calls.splice(0), ...this.#frozen.splice(0)]) this.#goOn(call, "done");
  }

  /** Whoever is at work dies. */
  bury(): void {
    for (const call of [...this.#calls, ...this.#frozen]) this.#die(call);
  }

  #wait(worker: string, what: string): Promise<Fate> {
    if (this.#dead.has(worker)) return new Promise(() => undefined);
    if (this.#healthy) return Promise.resolve("done");
    return new Promise((go) => this.#calls.push({ worker, what, go }));
  }

  #take(calls: Call[]): Call | undefined {
    if (calls.length === 0) return undefined;
    const [call] = calls.splice(Math.floor(this.#chance.next() * calls.length), 1);
    return call;
  }

  /** A death is a call that never returns, not an exception: nothing of the worker runs any more. */
  #die(call: Call): void {
    this.#dead.add(call.worker);
    this.#calls = this.#calls.filter((other) => other.worker !== call.worker);
    this.#frozen = this.#frozen.filter((other) => other.worker !== call.worker);
    this.#happened(call, "dies at");
    this.#deaths.get(call.worker)?.();
  }

  #goOn(call: Call, fate: Fate): void {
    if (fate === "done") this.#tell(`${call.worker} ${call.what}`);
    else this.#happened(call, fate);
    call.go(fate);
  }

  #happened(call: Call, what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
    this.#tell(`${call.worker} ${what} ${call.what}`);
  }
}
