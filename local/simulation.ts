import { adopt } from "../core/adopt.ts";
import { asKeyturnError, type ErrorCode } from "../core/errors.ts";
import { request } from "../core/operate.ts";
import type { Ports } from "../core/ports.ts";
import { reconcile } from "../core/reconcile.ts";
import type { RotationRecord } from "../core/record.ts";
import type { Transition } from "../core/transition.ts";
import { type Chance, chanceFrom } from "./chance.ts";
import { Gate } from "./gate.ts";
import { modelTarget } from "./model-target.ts";
import { countEndings, unexplained } from "./simulated-endings.ts";
import { HeldLogin, setByHand } from "./simulated-hand.ts";
import { type Asked, ask, broughtFor, everyRequest, peaceful } from "./simulated-requests.ts";
import { adminRef, type Cast, cast, portsFor } from "./simulated-secrets.ts";
import { WatchedSecret } from "./simulated-watch.ts";
import { isBusy, loginOf, settle } from "./simulation-end.ts";

export interface SimulationResult {
  /** How often each fault, each request and each ending has happened. */
  readonly counts: Readonly<Record<string, number>>;
  /** What happened, a line for each thing, the secret first. */
  readonly story: readonly string[];
}

/** What a seed tells when a promise was broken. The message says which, and the whole story. */
export class BrokenPromise extends Error {
  override readonly name = "BrokenPromise";
  readonly why: string;

  constructor(seed: number, story: readonly string[], cause: unknown) {
    const why = `seed ${seed}: ${cause instanceof Error ? cause.message : String(cause)}`;
    super([...story, why].join("\n"), { cause });
    this.why = why;
  }
}

/**
 * The real core in a world of its own: several secrets of both overlaps in one store and journal; workers that take what is due, run at
 * once, and die, freeze and thaw at any call; calls that fail or lose their reply; requests at any moment; agents that read, are slow and
 * vanish. Everything comes from the seed. Throws, with the story, at the first broken promise.
 */
export async function simulate(seed: number): Promise<SimulationResult> {
  const world = new World(seed);
  try {
    return await world.run();
  } catch (cause) {
    throw new BrokenPromise(seed, world.story, cause);
  }
}

class World {
  readonly story: string[] = [];
  readonly #chance: Chance;
  readonly #target = modelTarget();
  readonly #cast: Cast;
  readonly #held: HeldLogin | undefined;
  readonly #ports: Ports;
  readonly #clock;
  readonly #gate: Gate;
  readonly #endSchedules: () => void;
  readonly #isPeaceful: boolean;
  readonly #secrets: readonly WatchedSecret[];
  readonly #counts: Record<string, number> = {};
  #workers = 0;
  #running = 0;
  #isSilent = true;

  constructor(seed: number) {
    this.#isPeaceful = seed % 2 === 1;
    this.#chance = chanceFrom(seed);
    this.#cast = cast(this.#chance);
    this.#held = this.#cast.isAdminHeld ? new HeldLogin(this.#target) : undefined;
    const { ports, clock, records, endSchedules } = portsFor(this.#cast, this.#target, seed);
    this.#endSchedules = endSchedules;
    this.#ports = ports;
    this.#clock = clock;
    this.#gate = new Gate(this.#chance, (line) => this.story.push(line));
    const [target, chance, isPeaceful] = [this.#target, this.#chance, this.#isPeaceful];
    const tell = (ref: string, line: string) => this.#tell(ref, line);
    this.#secrets = this.#cast.secrets.map(
      (secret) => new WatchedSecret(secret, { ports, records, target, chance, isPeaceful, tell }),
    );
  }

  async run(): Promise<SimulationResult> {
    await this.#begin();
    this.#isSilent = false;
    // Most histories are short, and some long enough for what only many turns bring about.
    const steps = this.#chance.pick([50, 50, 100, 160]) * this.#secrets.length;
    for (let step = 0; step < steps; step += 1) {
      await this.#act();
      await settle();
      await this.#check();
    }
    this.#isSilent = true;
    this.#gate.heal();
    await settle();
    await this.#recover();
    return this.#end();
  }

  async #begin(): Promise<void> {
    this.#held?.change();
    await this.#held?.store(this.#ports);
    for (const { ref, imports } of this.#cast.secrets) {
      if (imports !== undefined) setByHand(this.#target, imports);
      if (imports === undefined) await request(ref, this.#ports, { kind: "rotate", by: "sim" });
      else if (ref === adminRef) await adopt(ref, this.#ports, imports, "sim");
    }
    await this.#rest();
  }

  async #act(): Promise<void> {
    const dice = this.#chance.next();
    if (this.#gate.waiting > 0 && dice < 0.72) return this.#gate.release();
    if (dice < 0.8) return this.#startWorker();
    if (dice < 0.86) return this.#passTime(this.#chance.pick([50, 500, 1_500, 5_000, 30_000]));
    if (dice < 0.93) return this.#chance.pick(this.#secrets).act();
    if (dice < 0.95) return this.#gate.thaw();
    if (dice < 0.952 && this.#held !== undefined) return this.#actOnHeld(this.#held);
    return this.#ask(this.#chance.pick(this.#secrets));
  }

  /** As the scheduler does it: on what is due. Now and then a hint says that there is something to do where there may be nothing. */
  async #startWorker(): Promise<void> {
    if (this.#running >= 2 + this.#secrets.length) return;
    const { journal, clock } = this.#ports;
    const due = await journal.due(clock.now(), 10);
    const isHint = this.#chance.next() < 0.2;
    if (due.length === 0 && !isHint) return this.#ask(this.#chance.pick(this.#secrets));
    const ref = this.#chance.pick(isHint ? await journal.refs() : due);
    this.#tell(ref, isHint ? "a hint comes" : "is due");
    this.#employ(ref, "worker", async (ports, worker) => {
      const { result, record } = await reconcile(ref, ports, { worker, observe: this.#observe(ref) });
      return `${result} in ${record.state.phase}`;
    });
  }

  /** Whoever does something is somebody whose every call meets its fate at the gate. */
  #employ(ref: string, who: string, work: (ports: Ports, name: string) => Promise<string>): void {
    this.#workers += 1;
    this.#running += 1;
    const name = `${ref}  ${who} ${this.#workers}`;
    const told = (line: string) => void this.story.push(`${name} ${line}`);
    this.#gate.onDeath(name, () => {
      this.#running -= 1;
    });
    void work(this.#gate.wrap(name, this.#ports), name)
      .then(
        (ended) => told(`ends: ${ended}`),
        (thrown: unknown) => told(`fails: ${asKeyturnError(thrown).message}`),
      )
      .finally(() => {
        this.#running -= 1;
      });
  }

  async #passTime(ms: number): Promise<void> {
    this.#clock.advance(ms);
    this.story.push(`${ms} ms pass`);
    for (const { fleet } of this.#secrets) await fleet.beat();
  }

  async #ask(watched: WatchedSecret): Promise<void> {
    const { ref, record } = watched;
    const kind = this.#pickRequest(record);
    this.#count(`asks ${kind}`);
    if (kind === "import") return this.#import(watched);
    const by = { chance: this.#chance, isPeaceful: this.#isPeaceful };
    // Most of them ask in a moment; others on a machine that is as bad as a worker's.
    if (this.#chance.next() < 0.3) {
      this.#employ(ref, "person", async (ports) => `${kind}: ${await ask(kind, watched, ports, by)}`);
    } else {
      this.#tell(ref, `somebody asks: ${kind}: ${await ask(kind, watched, this.#ports, by)}`);
    }
  }

  #pickRequest(record: RotationRecord | undefined): Asked {
    // What an import has only claimed is not under Keyturn yet.
    if (record?.current === undefined) return "import";
    // It is the only time for it, and a short one.
    if (record.state.phase === "grace" && this.#chance.next() < 0.4) return "rollback";
    return this.#chance.pick(this.#isPeaceful ? peaceful : everyRequest);
  }

  async #import(watched: WatchedSecret): Promise<void> {
    const by = { chance: this.#chance, isPeaceful: this.#isPeaceful };
    const value = await broughtFor(watched, this.#ports, by, this.#workers);
    if (value === undefined) return;
    const { ref } = watched;
    this.#employ(ref, "person", async (ports) => `import: ${(await adopt(ref, ports, value, "sim")).answer}`);
  }

  #actOnHeld(held: HeldLogin): void {
    if (!held.isStored) {
      this.#employ(adminRef, "person", (ports) => held.store(ports));
      return;
    }
    this.#count("changes the held login");
    this.#tell(adminRef, "its password is changed by hand");
    held.change();
  }

  async #check(): Promise<void> {
    for (const watched of this.#secrets) await watched.check(this.#isSilent);
  }

  /** Whoever is responsible comes in the morning: nothing fails any more. */
  async #recover(): Promise<void> {
    await this.#held?.store(this.#ports);
    for (const { ref, record } of this.#secrets) {
      if (record !== undefined) await request(ref, this.#ports, { kind: "resume", by: "sim" });
    }
    await this.#rest();
    for (const { ref, record, secret } of this.#secrets) {
      const { imports } = secret;
      if (imports !== undefined && record?.current === undefined)
        await adopt(ref, this.#ports, imports, "sim");
      // An import that died may have left its candidate: the next rotation puts it aside.
      const left = await this.#ports.store.read(ref, "pending");
      if (left !== undefined) await request(ref, this.#ports, { kind: "rotate", by: "sim" });
    }
    await this.#rest();
  }

  /** What is due is all that is ever looked at, and yet everything comes to rest. The agents are silent meanwhile: nothing waits for them. */
  async #rest(): Promise<void> {
    const { journal, clock } = this.#ports;
    for (let turn = 0; turn < 400; turn += 1) {
      // What is in other hands stays due: it is looked at again when their lease has ended.
      const leases: number[] = [];
      for (const ref of await journal.due(clock.now(), 10)) {
        this.#workers += 1;
        const worker = `${ref}  worker ${this.#workers}`;
        const { result, until } = await reconcile(ref, this.#ports, { worker, observe: this.#observe(ref) });
        if (result === "busy" && until !== undefined) leases.push(until);
        await this.#check();
      }
      const busy = this.#busy();
      if (busy.length === 0) return;
      await this.#urge(busy, turn);
      const next = await journal.nextDueAt();
      if (next === undefined) throw new Error(`${busy[0]?.ref}: nobody would ever look at it again`);
      this.#clock.advance(
        Math.max(0, Math.min(...leases, ...(leases.length === 0 ? [next] : [])) - clock.now()),
      );
    }
    throw new Error("it never comes to rest");
  }

  async #urge(busy: readonly RotationRecord[], turn: number): Promise<void> {
    // Several schedules may take turns for ever, so that there is no moment at which all of them rest.
    if (turn === 300) this.#endSchedules();
    for (const { ref } of busy.filter(({ state }) => state.phase === "halted")) {
      await request(ref, this.#ports, { kind: "resume", by: "sim" });
      if (turn > 50) await request(ref, this.#ports, { kind: "cancel", by: "sim", insist: true });
    }
  }

  #busy(): readonly RotationRecord[] {
    return this.#secrets.flatMap(({ record }) => (record !== undefined && isBusy(record) ? [record] : []));
  }

  async #end(): Promise<SimulationResult> {
    const names: string[] = this.#held === undefined ? [] : [adminRef];
    for (const watched of this.#secrets) {
      await watched.checkEnd();
      const why = await unexplained(watched.ref, this.#ports.audit, this.#expectedFailure(watched));
      if (why !== undefined) throw new Error(`${watched.ref}: nothing explains ${why}`);
      await countEndings(watched.ref, this.#ports.audit, (what) => this.#count(what));
      const current = await this.#ports.store.read(watched.ref, "current");
      if (current !== undefined) names.push(loginOf(current.value.reveal()).username);
    }
    const live = this.#target.live().toSorted().join(", ");
    if (live !== names.toSorted().join(", ")) throw new Error(`live at the target in the end: ${live}`);
    return { counts: { ...this.#counts, ...this.#gate.counts }, story: this.story };
  }

  /** A login that is changed by hand is refused until it is stored; one that administers itself is never shut before there is another. */
  #expectedFailure({ ref, secret }: WatchedSecret): ErrorCode | undefined {
    if (this.#held !== undefined) return "admin-refused";
    return ref === secret.admin ? "not-proven" : undefined;
  }

  #observe(ref: string): (transition: Transition) => void {
    const watched = this.#secrets.find((one) => one.ref === ref);
    return (transition) => watched?.saw(transition);
  }

  #tell(ref: string, line: string): void {
    this.story.push(`${ref}  ${line}`);
  }

  #count(what: string): void {
    this.#counts[what] = (this.#counts[what] ?? 0) + 1;
  }
}
