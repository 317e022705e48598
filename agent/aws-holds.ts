import type { AgentReport } from "../core/fleet.ts";

/** What the service has said of holds. It is asked on one way and answers on another, some time later. */
export class Holds {
  /** By agent and reference: the holds that were reported last, and whether they are granted, where that is known. */
  readonly #uses = new Map<string, ReadonlyMap<string, Hold>>();
  readonly #asked = new Map<string, Asked>();

  /** Remembers what is asked by these reports: the answer will name them so. Undefined where they hold nothing. */
  ask(answer: string, reports: readonly AgentReport[]): Asked | undefined {
    const holds = reports.flatMap((report) => this.#remember(report));
    if (holds.length === 0) return undefined;
    for (const oldest of this.#asked.keys()) {
      if (this.#asked.size < askedMax) break;
      this.#asked.delete(oldest);
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    const isNew = holds.some(({ granted }) => granted === undefined);
    const asked = { answer, holds, isNew, heard: promise, resolve };
    this.#asked.set(answer, asked);
    return asked;
  }

  hear(answer: string, refusedHolds: readonly string[]): void {
    const asked = this.#asked.get(answer);
    if (asked === undefined) return;
    this.#asked.delete(answer);
    for (const hold of asked.holds) {
      // A hold that was refused once stays so, whatever an answer to an earlier question says.
      hold.granted = hold.granted !== false && !refusedHolds.includes(hold.id);
    }
    asked.resolve();
  }

  /** Those that the service refuses, as far as it has said so. */
  refused(reports: readonly AgentReport[]): string[] {
    const holds = reports.flatMap((report) => [...(this.#uses.get(keyOf(report))?.values() ?? [])]);
    return holds.filter(({ granted }) => granted === false).map(({ id }) => id);
  }

  #remember(report: AgentReport): readonly Hold[] {
    const known = this.#uses.get(keyOf(report));
    const holds = report.holds.map(({ id }): Hold => known?.get(id) ?? { id, granted: undefined });
    if (holds.length === 0) this.#uses.delete(keyOf(report));
    else this.#uses.set(keyOf(report), new Map(holds.map((hold) => [hold.id, hold])));
    return holds;
  }
}

interface Hold {
  readonly id: string;
  granted: boolean | undefined;
}

interface Asked {
  readonly answer: string;
  readonly holds: readonly Hold[];
  /** Of some it is not known yet whether they are granted. */
  readonly isNew: boolean;
  readonly heard: Promise<void>;
  readonly resolve: () => void;
}

/** Answers that never came are forgotten in the end. */
const askedMax = 100;

function keyOf({ agent, ref }: AgentReport): string {
  return `${ref} ${agent}`;
}
