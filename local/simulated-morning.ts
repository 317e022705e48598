import { adopt } from "../core/adopt.ts";
import { request } from "../core/operate.ts";
import type { Ports } from "../core/ports.ts";
import { reconcile } from "../core/reconcile.ts";
import type { RotationRecord } from "../core/record.ts";
import type { Transition } from "../core/transition.ts";
import type { Meddler } from "./simulated-hand.ts";
import type { People } from "./simulated-people.ts";
import type { WatchedSecret } from "./simulated-watch.ts";
import { isBusy } from "./simulation-end.ts";

interface Surroundings {
  readonly ports: Ports;
  readonly clock: { now(): number; advance(ms: number): void };
  readonly people: People;
  readonly meddler: Meddler;
  readonly endSchedules: () => void;
  readonly check: () => Promise<void>;
  readonly observe: (ref: string) => (transition: Transition) => void;
}

/** So long somebody still asks for something, in what is short, when nothing fails any more. */
const asksUntil = 20;

/** When nothing fails any more: whoever is responsible comes, and everything comes to rest. */
export class Morning {
  readonly #secrets: readonly WatchedSecret[];
  readonly #around: Surroundings;
  #workers = 0;
  /** The agents say nothing at the moment, so nobody waits for them. */
  isSilent = true;

  constructor(secrets: readonly WatchedSecret[], around: Surroundings) {
    this.#secrets = secrets;
    this.#around = around;
  }

  /** Whoever is responsible comes in the morning: nothing fails any more. */
  async recover(): Promise<void> {
    await this.#resumeAll();
    await this.rest();
    await this.#putRight();
    for (const { ref, record, secret } of this.#secrets) {
      const { imports } = secret;
      if (imports !== undefined && record?.current === undefined)
        await adopt(ref, this.#around.ports, imports, "sim");
      // An import that died may have left its candidate: the next rotation puts it aside.
      const left = await this.#around.ports.store.read(ref, "pending");
      if (left !== undefined) await request(ref, this.#around.ports, { kind: "rotate", by: "sim" });
    }
    await this.rest();
  }

  /** Nobody is paused or changed by a stranger any more. */
  async #putRight(): Promise<void> {
    for (const watched of this.#secrets) await this.#around.meddler.setBack(watched, this.#around.ports);
    await this.#resumeAll();
  }

  async #resumeAll(): Promise<void> {
    for (const { ref, record } of this.#secrets) {
      if (record !== undefined) await request(ref, this.#around.ports, { kind: "resume", by: "sim" });
    }
  }

  /** What is due is all that is ever looked at, and yet everything comes to rest. The agents live on for a while; then they are silent, and nothing waits for them. */
  async rest(): Promise<void> {
    const { clock, ports } = this.#around;
    for (let turn = 0; turn < 400; turn += 1) {
      const leasedUntil = await this.#carryOutWhatIsDue();
      const busy = this.#busy();
      if (busy.length === 0) return;
      await this.#urge(busy, turn);
      const next = leasedUntil ?? (await ports.journal.nextDueAt());
      if (next !== undefined) clock.advance(Math.max(0, next - clock.now()));
      // What is paused is due no more until somebody says so.
      else if (busy.some(({ paused }) => paused !== undefined)) await this.#resumeAll();
      else throw new Error(`${busy[0]?.ref}: nobody would ever look at it again`);
      await this.#liveOn(turn);
    }
    throw new Error("it never comes to rest");
  }

  /** What is in other hands stays due: it is looked at again when their lease has ended. */
  async #carryOutWhatIsDue(): Promise<number | undefined> {
    const { clock, ports, check, observe } = this.#around;
    const leases: number[] = [];
    for (const ref of await ports.journal.due(clock.now(), 10)) {
      this.#workers += 1;
      const worker = `${ref}  worker of the morning ${this.#workers}`;
      const { result, until } = await reconcile(ref, ports, { worker, observe: observe(ref) });
      if (result === "busy" && until !== undefined) leases.push(until);
      await check();
    }
    return leases.length === 0 ? undefined : Math.min(...leases);
  }

  async #liveOn(turn: number): Promise<void> {
    const { people, check } = this.#around;
    this.isSilent ||= turn > 60;
    if (this.isSilent) return;
    if (turn === asksUntil) await this.#putRight();
    if (turn < asksUntil && people.wants("grace", "retire")) await people.ask();
    // An import makes a version current at once, and the next one may come before anybody has looked.
    await check();
    for (const watched of this.#secrets) {
      await watched.fleet.beat();
      await watched.act();
    }
  }

  async #urge(busy: readonly RotationRecord[], turn: number): Promise<void> {
    // Several schedules may take turns for ever, so that there is no moment at which all of them rest.
    if (turn === 300) this.#around.endSchedules();
    for (const { ref } of busy.filter(({ state }) => state.phase === "halted")) {
      await request(ref, this.#around.ports, { kind: "resume", by: "sim" });
      if (turn > 50) await request(ref, this.#around.ports, { kind: "cancel", by: "sim", insist: true });
    }
  }

  #busy(): readonly RotationRecord[] {
    return this.#secrets.flatMap(({ record }) => (record !== undefined && isBusy(record) ? [record] : []));
  }
}
