import { KeyturnError } from "../core/errors.ts";
import { request, versionMark } from "../core/operate.ts";
import type { Ports } from "../core/ports.ts";
import { reconcile } from "../core/reconcile.ts";
import type { RotationRecord } from "../core/record.ts";
import type { Rotator } from "../core/rotator.ts";
import { every } from "../core/schedule.ts";
import type { Transition } from "../core/transition.ts";
import { chanceFrom } from "./chance.ts";
import { Gate } from "./gate.ts";
import { memoryPorts } from "./memory-ports.ts";
import { modelTarget } from "./model-target.ts";
import { SimulatedFleet } from "./simulated-fleet.ts";
import { expectSettled, type Login, loginOf } from "./simulation-end.ts";

const ref = "app/db";

export interface SimulationResult {
  /** How often each fault and each act has happened. */
  readonly counts: Readonly<Record<string, number>>;
  readonly story: readonly string[];
}

/**
 * The real core in a world of its own: workers that run at once and die, freeze and thaw at any call, calls that fail or lose their reply, requests
 * at any moment, agents that read, hold and vanish. Everything comes from the seed. Throws, with the story, at the first broken promise.
 */
export async function simulate(
  seed: number,
  overlap: "both-live" | "cutover",
  steps = 160,
): Promise<SimulationResult> {
  const world = new World(seed, overlap);
  try {
    return await world.run(steps);
  } catch (cause) {
    const story = world.story.map((line) => `  ${line}`).join("\n");
    throw new Error(`seed ${seed}, ${overlap}: ${cause instanceof Error ? cause.message : cause}\n${story}`, {
      cause,
    });
  }
}

class World {
  readonly story: string[] = [];
  readonly #chance;
  readonly #target = modelTarget();
  readonly #memory;
  readonly #gate;
  readonly #rotator: Rotator;
  readonly #peaceful: boolean;
  readonly #overlap: "both-live" | "cutover";
  readonly #logins = new Map<string, Login>();
  readonly #proven = new Set<string>();
  readonly #fleet: SimulatedFleet;
  readonly #counts: Record<string, number> = {};
  readonly #cutFirst = new Set<string>();
  #workers = 0;
  #begun = 0;
  #silent = false;
  #running = 0;

  constructor(seed: number, overlap: "both-live" | "cutover") {
    this.#overlap = overlap;
    // Without emergencies no agent that lives and says what it uses may ever be refused.
    this.#peaceful = seed % 2 === 1;
    this.#chance = chanceFrom(seed);
    this.#rotator = overlap === "both-live" ? this.#target.bothLive : this.#target.cutover;
    const policy = {
      graceAtMostMs: 20_000,
      graceAtLeastMs: 1_000,
      stepDeadlineMs: 3_000,
      confirmEveryMs: 4_000,
      schedule: seed % 3 === 0 ? every(60_000) : undefined,
    };
    this.#memory = memoryPorts(this.#rotator, { policy, seed });
    this.#gate = new Gate(this.#chance, (what) => this.#note(what));
    this.#fleet = new SimulatedFleet(this.#memory.ports, this.#chance, (line) => this.#note(line));
  }

  async run(steps: number): Promise<SimulationResult> {
    const { ports } = this.#memory;
    await request(ref, ports, { kind: "rotate", by: "sim" });
    await this.#rest();
    this.#silent = false;
    for (let step = 0; step < steps; step += 1) {
      await this.#act();
      await settle();
      await this.#check();
    }
    this.#gate.heal();
    await settle();
    await request(ref, ports, { kind: "resume", by: "sim" });
    await this.#rest();
    return this.#end();
  }

  async #act(): Promise<void> {
    const dice = this.#chance.next();
    if (this.#gate.waiting > 0 && dice < 0.72) return this.#gate.release();
    if (dice < 0.8) return this.#startWorker();
    if (dice < 0.86) return this.#passTime(this.#chance.pick([50, 500, 1_500, 5_000, 30_000]));
    if (dice < 0.93) return this.#fleet.act((value) => this.#accepts(loginOf(value)));
    if (dice < 0.95) return this.#gate.thaw();
    return this.#ask();
  }

  #startWorker(): void {
    if (this.#running >= 3) return;
    this.#workers += 1;
    this.#running += 1;
    const worker = `w${this.#workers}`;
    const ports: Ports = this.#gate.wrap(worker, this.#memory.ports, this.#rotator);
    this.#note(`${worker} starts`);
    void reconcile(ref, ports, { worker, observe: (made) => this.#tell(made) })
      .then(
        ({ result, record }) => this.#note(`${worker} ends: ${result} in ${record.state.phase}`),
        (error: unknown) => this.#note(`${worker} fails: ${error instanceof Error ? error.message : error}`),
      )
      .finally(() => {
        this.#running -= 1;
      });
    this.#gate.onDeath(worker, () => {
      this.#running -= 1;
    });
  }

  async #passTime(ms: number): Promise<void> {
    this.#memory.clock.advance(ms);
    this.#note(`${ms} ms pass`);
    await this.#fleet.beat();
  }

  async #ask(): Promise<void> {
    const { ports } = this.#memory;
    const kind = this.#chance.pick(this.#peaceful ? peacefulRequests : [...peacefulRequests, ...emergencies]);
    this.#count(`asks ${kind}`);
    const answered = await this.#send(ports, kind).catch((error: unknown) => {
      if (error instanceof KeyturnError) return { answer: error.code };
      throw error;
    });
    this.#note(`somebody asks: ${kind}: ${answered.answer}`);
  }

  async #send(ports: Ports, kind: string) {
    const by = "sim";
    switch (kind) {
      case "rotate":
        return request(ref, ports, { kind, by });
      case "cancel":
      case "rollback":
        return request(ref, ports, { kind, by, insist: this.#chance.next() < 0.5 });
      case "resume":
        return request(ref, ports, { kind, by });
      case "pause":
        return request(ref, ports, { kind, by, reason: "simulated" });
      case "hold":
        return request(ref, ports, { kind, by, reason: "simulated", until: ports.clock.now() + 15_000 });
      case "release":
        return request(ref, ports, { kind, by, whose: undefined });
      case "retire":
        return request(ref, ports, { kind, by, insist: !this.#peaceful && this.#chance.next() < 0.5 });
      default: {
        const known = [...this.#logins.keys()];
        const named = { "leak previous": ["previous", "pending"], "leak any": known }[kind] ?? ["current"];
        const version = await versionMark(ref, ports, this.#chance.pick(named));
        if (kind === "cut first") this.#cutFirst.add(version.version);
        return request(ref, ports, { kind: "emergency", by, version, cutFirst: kind === "cut first" });
      }
    }
  }

  /** The promises that hold at every instant. */
  async #check(): Promise<void> {
    const { store, journal } = this.#memory.ports;
    for (const stage of ["current", "pending"] as const) {
      const stored = await store.read(ref, stage);
      if (stored !== undefined) this.#logins.set(stored.version, loginOf(stored.value.reveal()));
    }
    const record = (await journal.load(ref))?.record;
    if (record === undefined) throw new Error("the record is gone");
    this.#checkCompromised(record);
    const current = await store.read(ref, "current");
    this.#checkAgents();
    this.#checkPace();
    if (current !== undefined && this.#mayBeWithout(record, current.version)) return;
    const pending = await store.read(ref, "pending");
    const readable = this.#overlap === "both-live" ? [current] : [current, pending];
    const works = readable.some(
      (stored) => stored !== undefined && this.#accepts(loginOf(stored.value.reveal())),
    );
    if (!works) throw new Error(`no credential that an agent may read works, in ${record.state.phase}`);
  }

  /** In an emergency there may be no credential until the successor is out: cut first, current and candidate both leaked, or a candidate put aside. */
  #mayBeWithout(record: RotationRecord, current: string): boolean {
    const leaked = record.compromised.some(({ version }) => version === current);
    const aside = record.debts.some(({ reason }) => reason === "superseded");
    return this.#cutFirst.has(current) || (leaked && (record.compromised.length > 1 || aside));
  }

  /** Who lives and says what it uses is waited for, whatever is cancelled, rolled back or killed. */
  #checkAgents(): void {
    if (!this.#peaceful || this.#silent || this.#overlap === "cutover") return;
    for (const version of this.#fleet.inUse()) {
      const login = this.#logins.get(version);
      if (login !== undefined && !this.#accepts(login))
        throw new Error(`an agent's ${version} was refused under it`);
    }
  }

  /** Nothing begins again and again without a pause. */
  #checkPace(): void {
    if (this.#begun > 6) throw new Error(`${this.#begun} rotations began at one moment`);
    this.#begun = 0;
  }

  /** What was proven refused, and is compromised, never works again. */
  #checkCompromised(record: RotationRecord): void {
    for (const entry of record.compromised) {
      const login = this.#logins.get(entry.version);
      if (login === undefined || entry.refusedAt === undefined) continue;
      this.#proven.add(entry.version);
    }
    for (const version of this.#proven) {
      const login = this.#logins.get(version);
      if (login !== undefined && this.#accepts(login)) throw new Error(`compromised ${version} works again`);
    }
  }

  /** Without faults, everything comes to rest. The agents are silent meanwhile: nothing waits for them. */
  async #rest(): Promise<void> {
    this.#silent = true;
    const { ports, clock } = this.#memory;
    for (let turn = 0; turn < 400; turn += 1) {
      this.#workers += 1;
      const { until, record } = await reconcile(ref, ports, {
        worker: `w${this.#workers}`,
        observe: (made) => this.#tell(made),
      });
      await this.#check();
      if (until === undefined && record.state.phase === "halted") {
        this.#count("halted");
        await request(ref, ports, { kind: "resume", by: "sim" });
        if (turn > 50) await request(ref, ports, { kind: "cancel", by: "sim", insist: true });
        continue;
      }
      const { outbox, debts, wish, compromised, current, state } = record;
      const leaked = compromised.some(({ fingerprint }) => fingerprint === current?.fingerprint);
      const busy = state.phase !== "idle" || debts.length > 0 || wish !== undefined || leaked;
      if (until === undefined || (!busy && outbox.entries.length === 0)) return;
      clock.advance(Math.max(1, until - clock.now()));
    }
    throw new Error("it never comes to rest");
  }

  async #end(): Promise<SimulationResult> {
    await expectSettled(this.#memory.ports, this.#logins, (login) => this.#accepts(login));
    return { counts: { ...this.#counts, ...this.#gate.counts }, story: this.story };
  }

  #accepts({ username, password }: Login): boolean {
    return this.#target.accepts(username, password);
  }

  #note(line: string): void {
    this.story.push(line);
  }

  #tell({ notes, record }: Transition): void {
    this.#begun += notes.filter(({ action }) => action.endsWith(".began") && action.startsWith("ro")).length;
    const done = notes
      .map(({ action, detail }) => (detail === "" ? action : `${action} (${detail})`))
      .join(", ");
    this.#note(`  ${done}: now ${record.state.phase}, epoch ${record.epoch}`);
  }

  #count(what: string): void {
    this.#counts[what] = (this.#counts[what] ?? 0) + 1;
  }
}

const peacefulRequests = [
  "rotate",
  "rotate",
  "cancel",
  "rollback",
  "resume",
  "pause",
  "hold",
  "release",
  "retire",
];
const emergencies = ["leak", "leak previous", "leak any", "cut first"];

/** Lets every promise that can go on do so. */
async function settle(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}
