import { adopt } from "../core/adopt.ts";
import { asKeyturnError, type ErrorCode } from "../core/errors.ts";
import { request } from "../core/operate.ts";
import type { Ports } from "../core/ports.ts";
import { reconcile } from "../core/reconcile.ts";
import type { Transition } from "../core/transition.ts";
import { type Chance, chanceFrom } from "./chance.ts";
import { Gate, type Part, parts } from "./gate.ts";
import { modelTarget } from "./model-target.ts";
import { countEndings, unexplained } from "./simulated-endings.ts";
import { HeldLogin, Meddler, setByHand } from "./simulated-hand.ts";
import { Morning } from "./simulated-morning.ts";
import { type Employ, People } from "./simulated-people.ts";
import { adminRef, type Cast, cast, portsFor } from "./simulated-secrets.ts";
import { WatchedSecret } from "./simulated-watch.ts";
import { loginOf, settle } from "./simulation-end.ts";

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
 * vanish. Everything comes from the seed. Throws, with the story, at the first broken promise. `spoil` makes a core of it that breaks one.
 */
export async function simulate(seed: number, spoil = (ports: Ports) => ports): Promise<SimulationResult> {
  const world = new World(seed, spoil);
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
  readonly #secrets: readonly WatchedSecret[];
  readonly #people: People;
  readonly #meddler = new Meddler(this.#target);
  readonly #morning: Morning;
  readonly #counts: Record<string, number> = {};
  #workers = 0;
  #running = 0;

  constructor(seed: number, spoil: (ports: Ports) => Ports) {
    this.#chance = chanceFrom(seed);
    this.#cast = cast(this.#chance);
    this.#held = this.#cast.isAdminHeld ? new HeldLogin(this.#target) : undefined;
    const { ports: whole, clock, records, endSchedules } = portsFor(this.#cast, this.#target, seed);
    const ports = spoil(whole);
    this.#ports = ports;
    this.#clock = clock;
    this.#gate = new Gate(this.#chance, (line) => this.story.push(line), this.#chance.pick([1, 0.3]));
    const [target, chance] = [this.#target, this.#chance];
    const isPeaceful = seed % 2 === 1;
    const count = (what: string) => this.#count(what);
    const isOut = (part?: Part) => this.#gate.isOut(part);
    const tell = (ref: string, line: string) => this.#tell(ref, line);
    this.#secrets = this.#cast.secrets.map(
      (secret) =>
        new WatchedSecret(secret, { ports, records, target, chance, isPeaceful, tell, count, isOut }),
    );
    const employ: Employ = (ref, who, work) => this.#employ(ref, who, work);
    this.#people = new People(this.#secrets, { ports, chance, isPeaceful, tell, count, employ, isOut });
    this.#morning = new Morning(this.#secrets, {
      ports,
      clock,
      people: this.#people,
      meddler: this.#meddler,
      endSchedules,
      check: () => this.#check(),
      observe: (ref) => this.#observe(ref),
    });
  }

  async run(): Promise<SimulationResult> {
    await this.#begin();
    this.#morning.isSilent = false;
    // Most histories are short, and some long enough for what only many turns bring about.
    const steps = this.#chance.pick([50, 50, 100, 160]) * this.#secrets.length;
    for (let step = 0; step < steps; step += 1) {
      await this.#act();
      await settle();
      await this.#check();
    }
    this.#gate.heal();
    await settle();
    await this.#held?.store(this.#ports);
    await this.#morning.recover();
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
    await this.#morning.rest();
    for (const watched of this.#secrets) await watched.start();
  }

  async #act(): Promise<void> {
    const dice = this.#chance.next();
    if (dice < 0.25 && this.#people.wants()) return this.#people.ask();
    if (this.#gate.waiting > 0 && dice < 0.78) return this.#gate.release();
    if (dice < 0.86) return this.#startWorker();
    if (dice < 0.91) return this.#passTime();
    if (dice < 0.95) return this.#actOfAgent();
    if (dice < 0.98) return this.#meddle();
    if (dice < 0.985) return this.#breakDown();
    if (dice < 0.998 || this.#held === undefined) return this.#gate.thaw();
    return this.#actOnHeld(this.#held);
  }

  /** As the scheduler does it: on what is due. Now and then a hint says that there is something to do where there may be nothing. */
  async #startWorker(): Promise<void> {
    if (this.#running >= 2 + this.#secrets.length) return;
    const { journal, clock } = this.#ports;
    if (this.#gate.isOut("journal")) return;
    const due = await journal.due(clock.now(), 10);
    const isHint = this.#chance.next() < 0.2;
    if (due.length === 0 && !isHint) return this.#people.ask();
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

  async #passTime(): Promise<void> {
    // What a stranger has done is seen within a grace, or never.
    const isMeddled = this.#secrets.some(({ meddled }) => meddled !== undefined);
    const ms = this.#chance.pick(isMeddled ? [500, 1_500, 4_000] : [50, 500, 1_500, 5_000, 30_000]);
    this.#clock.advance(ms);
    this.story.push(`${ms} ms pass`);
    for (const { fleet } of this.#secrets) await fleet.beat();
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

  /** Where the fleet changes over there is most to see. */
  async #actOfAgent(): Promise<void> {
    const changing = this.#secrets.filter(({ record }) => record?.state.phase === "grace");
    const isThere = changing.length > 0 && this.#chance.next() < 0.7;
    await this.#chance.pick(isThere ? changing : this.#secrets).act();
  }

  /** Something is out of reach for a stretch of time, for everybody. */
  #breakDown(): void {
    const isOver = this.#gate.isOut();
    if (!isOver && this.#chance.next() < 0.6) return;
    const part = this.#chance.pick(parts);
    this.story.push(isOver ? "everything can be reached again" : `the ${part} is out of reach for a while`);
    if (isOver) this.#gate.mend();
    else this.#gate.breakDown(part);
  }

  async #meddle(): Promise<void> {
    const touched = this.#secrets.filter(
      (one) => one.meddled !== undefined || one.record?.state.phase === "grace",
    );
    if (touched.length === 0) return;
    const watched = this.#chance.pick(touched);
    const done = await this.#meddler.act(watched, this.#ports, this.#chance);
    if (done === undefined) return;
    this.#count(done);
    this.#tell(watched.ref, done);
  }

  async #check(): Promise<void> {
    for (const watched of this.#secrets) await watched.check(this.#morning.isSilent);
  }

  async #end(): Promise<SimulationResult> {
    const names: string[] = this.#held === undefined ? [] : [adminRef];
    for (const watched of this.#secrets) {
      await watched.checkEnd();
      const why = await unexplained(watched.ref, this.#ports.audit, this.#expectedFailures(watched));
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
  #expectedFailures({ ref, secret, wasMeddled }: WatchedSecret): readonly ErrorCode[] {
    const ofAdmin: ErrorCode | undefined = ref === secret.admin ? "not-proven" : undefined;
    const ofHeld: ErrorCode | undefined = this.#held === undefined ? undefined : "admin-refused";
    // What could not be read may have been published nevertheless: then it is owed, and spared.
    const isUnsure = this.story.some(
      (line) => line.startsWith(ref) && line.endsWith("is broken store.promote"),
    );
    const ofStore: ErrorCode | undefined = isUnsure ? "not-proven" : undefined;
    const ofStranger: ErrorCode | undefined = wasMeddled ? "current-broken" : undefined;
    return [ofHeld ?? ofAdmin, ofStore, ofStranger].filter((code) => code !== undefined);
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
