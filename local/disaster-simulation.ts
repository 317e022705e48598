import { diagnose } from "../core/diagnose.ts";
import { KeyturnError } from "../core/errors.ts";
import { examine } from "../core/examine.ts";
import { request, versionMark } from "../core/operate.ts";
import type { Ports } from "../core/ports.ts";
import { reconcile } from "../core/reconcile.ts";
import type { RotationRecord } from "../core/record.ts";
import { repair } from "../core/repair.ts";
import { type Chance, chanceFrom } from "./chance.ts";
import { DisasterReaders } from "./disaster-readers.ts";
import { disasters, rightsIn, type Scene, traces } from "./disasters.ts";
import { Gate } from "./gate.ts";
import { memoryPorts } from "./memory-ports.ts";
import { modelTarget } from "./model-target.ts";
import { countEndings } from "./simulated-endings.ts";
import { SimulatedPast } from "./simulated-past.ts";
import { expectSettled, type Login } from "./simulation-end.ts";

const ref = "app/db";
const attemptsMax = 3;

type Overlap = "both-live" | "cutover";

/** How often each disaster came, acted and was seen, each fault, and each ending. */
export type DisasterCounts = Readonly<Record<string, number>>;

/**
 * The doctor in a world of its own: rotations that are stopped anywhere, then something is lost, restored from a backup or changed behind
 * Keyturn's back, then repairs, some of them at the same time as a worker, some of them killed. Everything comes from the seed. Throws,
 * with the story, where a healthy secret is called ill, or where something is not whole in the end.
 */
export async function simulateDisaster(seed: number, overlap: Overlap): Promise<DisasterCounts> {
  const world = new DisasterWorld(seed, overlap);
  try {
    await world.run();
    return world.counts;
  } catch (cause) {
    const story = world.story.map((line) => `  ${line}`).join("\n");
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`seed ${seed}, ${overlap}: ${why}\n${story}`, { cause });
  }
}

class DisasterWorld {
  readonly story: string[] = [];
  readonly counts: Record<string, number> = {};
  readonly #chance: Chance;
  readonly #scene: Scene;
  #ports: Ports;
  #workers = 0;
  readonly #readers: DisasterReaders;
  #isEmergency = false;

  constructor(seed: number, overlap: Overlap) {
    this.#chance = chanceFrom(seed ^ 0xd0c);
    const target = modelTarget();
    const model = overlap === "both-live" ? target.bothLive : target.cutover;
    const rotator: typeof model = {
      ...model,
      preflight: async (context) => [...(await model.preflight(context)), rightsIn(this.#scene)],
    };
    const policy = { graceAtMostMs: 20_000, stepDeadlineMs: 3_000, confirmEveryMs: 4_000, attemptsMax };
    const memory = memoryPorts(rotator, { policy, seed });
    const { journal, store } = memory.ports;
    this.#scene = {
      chance: this.#chance,
      target,
      rotator,
      memory,
      gate: new Gate(this.#chance, (line) => this.story.push(line)),
      past: new SimulatedPast(ref),
      cut: [],
      story: this.story,
      isReady: true,
      journal,
      store,
    };
    this.#ports = this.#scene.past.watch(memory.ports);
    this.#readers = new DisasterReaders(ref, overlap, target);
  }

  async run(): Promise<void> {
    await this.#ask("rotate");
    await this.#rest();
    for (let turn = Math.floor(this.#chance.next() * 4); turn > 0; turn -= 1) {
      await this.#ask(this.#chance.pick(["rotate", "rotate", "leak"]));
      await this.#rest();
      this.#backUp();
    }
    await this.#interrupt();
    this.#backUp();
    await this.#strike();
    if (this.#chance.next() < 0.5) this.#scene.memory.clock.advance(200_000);
    await this.#readers.begin(this.#ports.store);
    await this.#repairAmidWork();
    this.#scene.gate.heal();
    await breathe();
    await this.#recover();
    await this.#expectWhole("after the repair");
    await this.#ask("rotate");
    await this.#rest();
    await this.#expectWhole("after the next rotation");
    await countEndings(ref, this.#ports.audit, (what) => this.#count(what));
    Object.assign(this.counts, this.#scene.gate.counts);
  }

  /** A rotation with all that may be asked of it, up to any call; whoever is at it dies there or freezes. */
  async #interrupt(): Promise<void> {
    for (let acts = Math.floor(this.#chance.next() * 4); acts > 0; acts -= 1) {
      await this.#ask(
        this.#chance.pick(["rotate", "rotate", "rollback", "cancel", "leak", "cut first", "pause"]),
      );
      const worker = this.#worker();
      void worker.work((ports) => reconcile(ref, ports, { worker: worker.name }));
      await this.#advance(Math.floor(this.#chance.next() * 90));
      this.#backUp();
      if (this.#chance.next() < 0.5)
        this.#scene.memory.clock.advance(this.#chance.pick([500, 7_000, 30_000]));
    }
  }

  /** Something goes wrong, or nothing: then nothing may be found. */
  async #strike(): Promise<void> {
    const times = this.#chance.pick([0, 1, 1, 2, 2]);
    if (times === 0) {
      this.#count("nothing");
      const found = diagnose(await examine(ref, this.#ports), attemptsMax);
      const isHalted = found.some(({ ailment }) => ailment === "halted");
      // What has halted in the middle of a cutover waits for a person, and that is seen at the target.
      const ill = found.find(
        ({ fix, ailment }) => fix !== undefined && !(isHalted && ailment === "current-refused"),
      );
      if (ill !== undefined) throw new Error(`healthy, and yet: ${ill.what}`);
    }
    for (let time = 0; time < times; time += 1) {
      const name = this.#chance.pick(Object.keys(disasters));
      this.#count(name);
      this.story.push(`DISASTER: ${name}`);
      const before = await traces(this.#scene);
      await disasters[name]?.(this.#scene);
      if (this.#scene.cut.length > 0) this.#isEmergency = true;
      const { journal, store } = this.#scene;
      this.#ports = this.#scene.past.watch({ ...this.#scene.memory.ports, journal, store });
      if ((await traces(this.#scene)) === before) continue;
      this.#count(`${name} acted`);
      const [seen] = diagnose(await examine(ref, this.#ports), attemptsMax);
      if (seen !== undefined) this.#count(`${name} was seen`);
    }
  }

  /** One doctor, sometimes two, while a worker is at it; each may be killed at any call. */
  async #repairAmidWork(): Promise<void> {
    if (this.#chance.next() < 0.4) return;
    const doctors = this.#chance.pick([1, 1, 2]);
    for (let each = 0; each < doctors; each += 1) {
      const doctor = this.#worker();
      void doctor.work(async (ports) => repair(await examine(ref, ports), ports, doctor.name));
    }
    if (this.#chance.next() < 0.5) {
      const worker = this.#worker();
      void worker.work((ports) => reconcile(ref, ports, { worker: worker.name }));
    }
    await this.#advance(Math.floor(this.#chance.next() * 120));
  }

  /** What an operator does in the morning. */
  async #recover(): Promise<void> {
    const turnOfRights = Math.floor(this.#chance.next() * 5);
    for (let turn = 0; turn < 12; turn += 1) {
      if (turn === turnOfRights) this.#scene.isReady = true;
      if ((await this.#ports.journal.load(ref)) !== undefined) await this.#rest();
      const seen = await examine(ref, this.#ports);
      const found = diagnose(seen, attemptsMax);
      for (const { ailment, what } of found) this.story.push(`doctor: ${ailment}: ${what}`);
      if (found.length === 0 && this.#hasEnded((await this.#ports.journal.load(ref))?.record)) return;
      const fixed = await repair(seen, this.#ports, "doctor");
      if (fixed !== undefined) this.story.push(`  repaired: now ${fixed.state.phase}, epoch ${fixed.epoch}`);
      await this.#lookAtReaders();
    }
    throw new Error("the doctor does not come to an end");
  }

  #hasEnded(record: RotationRecord | undefined): boolean {
    return record?.state.phase === "idle" && record.debts.length === 0;
  }

  async #rest(patience = 40): Promise<void> {
    for (let turn = 0; ; turn += 1) {
      const { until, record } = await reconcile(ref, this.#ports, {
        worker: `w${++this.#workers}`,
        observe: ({ notes, record: { state, epoch } }) => {
          const done = notes.map(({ action, detail }) => (detail === "" ? action : `${action} (${detail})`));
          this.story.push(`  ${done.join(", ")}: now ${state.phase}, epoch ${epoch}`);
        },
      });
      await this.#lookAtReaders();
      if (record.paused !== undefined || record.state.phase === "halted") {
        const kind = turn > 20 && turn % 2 === 0 ? "cancel" : "resume";
        this.story.push(`somebody asks: ${kind}: in ${record.state.phase}`);
        await request(ref, this.#ports, { kind, by: "sim", insist: true });
        if (turn > patience) return;
        continue;
      }
      // What a journal of yesterday wants to write is not taken by the audit: that is for the doctor.
      if (until === undefined || turn > patience) return;
      this.#scene.memory.clock.advance(Math.max(1, until - this.#scene.memory.clock.now()));
    }
  }

  async #expectWhole(when: string): Promise<void> {
    await this.#scene.past.collect(this.#ports.store);
    this.story.push(when);
    await expectSettled(ref, this.#ports, this.#scene.past.logins, (login) => this.#accepts(login));
    for await (const { action, version = "" } of this.#ports.audit.read(ref)) {
      const login = action === "emergency.requested" ? this.#scene.past.logins.get(version) : undefined;
      if (login !== undefined && this.#accepts(login))
        throw new Error(`${version}, which has leaked, is accepted`);
    }
    for (const login of this.#scene.cut) {
      if (this.#accepts(login)) throw new Error(`${login.username}, which was cut on purpose, is accepted`);
    }
    const [ill] = diagnose(await examine(ref, this.#ports), attemptsMax);
    if (ill !== undefined) throw new Error(`still ill: ${ill.ailment}: ${ill.what}`);
  }

  async #lookAtReaders(): Promise<void> {
    const isMended = await this.#readers.look(this.#ports.store, this.#isEmergency, this.#scene.meddled);
    if (isMended) this.#scene.meddled = undefined;
  }

  async #ask(kind: string): Promise<void> {
    const by = "sim";
    const ports = this.#ports;
    const send = async () => {
      switch (kind) {
        case "rotate":
          return request(ref, ports, { kind, by });
        case "rollback":
        case "cancel":
          return request(ref, ports, { kind, by, insist: true });
        case "pause":
          return request(ref, ports, { kind, by, reason: "simulated" });
        default: {
          const version = await versionMark(
            ref,
            ports,
            this.#chance.pick(["current", "current", "previous", "pending"]),
          );
          return request(ref, ports, { kind: "emergency", by, version, cutFirst: kind === "cut first" });
        }
      }
    };
    const answered = await send().catch((error: unknown) => {
      if (error instanceof KeyturnError) return { answer: error.code };
      throw error;
    });
    if (kind === "leak" || kind === "cut first") this.#isEmergency = true;
    this.story.push(`somebody asks: ${kind}: ${answered.answer}`);
  }

  /** A worker whose every call meets its fate at the gate. */
  #worker() {
    const name = `w${++this.#workers}`;
    const ports = this.#scene.gate.wrap(name, this.#ports);
    const told = (line: string) => this.story.push(`${name} ${line}`);
    const work = (carryOut: (ports: Ports) => Promise<unknown>) =>
      carryOut(ports).then(
        () => told("ends"),
        (error: unknown) => told(`fails: ${error instanceof Error ? error.message : error}`),
      );
    return { name, work };
  }

  async #advance(calls: number): Promise<void> {
    for (let call = 0; call < calls; call += 1) {
      await breathe();
      this.#scene.gate.release();
      if (this.#chance.next() < 0.02) this.#scene.gate.thaw();
      if (this.#chance.next() < 0.02) this.#scene.memory.clock.advance(1_000);
    }
    await breathe();
  }

  #backUp(): void {
    this.#scene.past.backups.push(this.#scene.target.backup());
  }

  #accepts({ username, password }: Login): boolean {
    return this.#scene.target.accepts(username, password);
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }
}

async function breathe(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}
