import { KeyturnError } from "../core/errors.ts";
import type { Ports } from "../core/ports.ts";
import type { Chance } from "./chance.ts";

/** What a worker calls, each of which may be out of reach for a while. */
export const parts = ["store", "journal", "bus", "audit", "rotator"] as const;
export type Part = (typeof parts)[number];

type Fate = "done" | "fails" | "is rejected" | "is broken" | "reply lost";

interface Call {
  readonly worker: string;
  readonly part: Part;
  readonly what: string;
  readonly go: (fate: Fate) => void;
}

/** Every call of every worker waits here until chance lets it go on, fail, lose its reply, die or freeze. */
export class Gate {
  readonly counts: Record<string, number> = {};
  readonly #chance: Chance;
  readonly #tell: (line: string) => void;
  readonly #trouble: number;
  readonly #deaths = new Map<string, () => void>();
  readonly #dead = new Set<string>();
  readonly #out = new Set<Part>();
  #calls: Call[] = [];
  #frozen: Call[] = [];
  #healthy = false;

  /** `trouble`: how much goes wrong, of what may at most. */
  constructor(chance: Chance, tell: (line: string) => void, trouble = 1) {
    this.#chance = chance;
    this.#tell = tell;
    this.#trouble = trouble;
  }

  get waiting(): number {
    return this.#calls.length;
  }

  onDeath(worker: string, told: () => void): void {
    this.#deaths.set(worker, told);
  }

  wrap(worker: string, ports: Ports): Ports {
    const behind = <Port extends object>(name: Part, port: Port): Port =>
      new Proxy(port, {
        get: (owner, method) => {
          const found: unknown = Reflect.get(owner, method);
          // A chain that is read is an iterator, and only a verifier's business.
          if (typeof found !== "function" || (name === "audit" && method === "read")) return found;
          if (/^check|Fields$|^accountOf$/.test(String(method))) return found;
          return async (...args: unknown[]) => {
            const fate = await this.#wait({ worker, part: name, what: `${name}.${String(method)}` });
            if (fate === "fails") throw new KeyturnError("unreachable", "the simulation's network is down");
            if (fate === "is rejected")
              throw new KeyturnError("target-rejected", "the simulation's target says no");
            if (fate === "is broken")
              throw new KeyturnError("data-broken", "the simulation's store cannot read what it keeps");
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
    const dice = this.#chance.next() / this.#trouble;
    if (this.#out.has(call.part)) this.#goOn(call, "fails");
    else if (dice < 0.03) this.#die(call);
    else if (dice < 0.07) this.#freeze(call);
    else if (dice < 0.1) this.#goOn(call, "fails");
    else if (dice < 0.13) this.#goOn(call, "reply lost");
    else if (dice < 0.16 || (dice < 0.25 && call.what === "store.promote"))
      this.#goOn(call, this.#refusal(call));
    else this.#goOn(call, "done");
  }

  /** What trying again does not help against: a target says no, and a store cannot read what it keeps. */
  #refusal({ what }: Call): Fate {
    if (what.startsWith("rotator.")) return "is rejected";
    return what.startsWith("store.") ? "is broken" : "done";
  }

  /** Every call to that part fails, whoever calls, until it is mended. */
  breakDown(part: Part): void {
    this.#out.add(part);
    this.#count(`the ${part} is out of reach for a while`);
  }

  mend(): void {
    this.#out.clear();
  }

  /** Whether a part is out of reach; without one, whether any is. */
  isOut(part?: Part): boolean {
    return part === undefined ? this.#out.size > 0 : this.#out.has(part);
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
    this.#goOn(call, this.#out.has(call.part) ? "fails" : "done");
  }

  /** From now on nothing fails, and whoever is frozen goes on. */
  heal(): void {
    this.#healthy = true;
    this.#out.clear();
    for (const call of [...this.#calls.splice(0), ...this.#frozen.splice(0)]) this.#goOn(call, "done");
  }

  /** Whoever is at work dies. */
  bury(): void {
    for (const call of [...this.#calls, ...this.#frozen]) this.#die(call);
  }

  #wait(call: Omit<Call, "go">): Promise<Fate> {
    if (this.#dead.has(call.worker)) return new Promise(() => undefined);
    if (this.#healthy) return Promise.resolve("done");
    return new Promise((go) => this.#calls.push({ ...call, go }));
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
    if (fate === "fails" && this.#out.has(call.part))
      this.#count(`fails while the ${call.part} is out of reach`);
    if (fate === "done") this.#tell(`${call.worker} ${call.what}`);
    else this.#happened(call, fate);
    call.go(fate);
  }

  #happened(call: Call, what: string): void {
    this.#count(what);
    this.#tell(`${call.worker} ${what} ${call.what}`);
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }
}
