import { adopt } from "../core/adopt.ts";
import { asKeyturnError } from "../core/errors.ts";
import type { Ports } from "../core/ports.ts";
import type { Phase, RotationRecord } from "../core/record.ts";
import type { Chance } from "./chance.ts";
import { type Asked, ask, broughtFor, emergencies, everyRequest, peaceful } from "./simulated-requests.ts";
import type { WatchedSecret } from "./simulated-watch.ts";

/** Lets somebody work at a secret whose every call meets its fate. */
export type Employ = (ref: string, who: string, work: (ports: Ports) => Promise<string>) => void;

interface Surroundings {
  readonly ports: Ports;
  readonly chance: Chance;
  readonly isPeaceful: boolean;
  readonly tell: (ref: string, line: string) => void;
  readonly count: (what: string) => void;
  readonly employ: Employ;
  readonly isOut: () => boolean;
}

/** How often somebody who looks at a secret asks for something: where a phase is short, or seldom, it is worth it. */
const urge: Readonly<Record<Phase, number>> = {
  idle: 0.1,
  create: 0.05,
  set: 0.1,
  test: 0.15,
  finish: 0.6,
  announce: 0.8,
  grace: 0.5,
  retire: 1,
  undo: 0.15,
  halted: 0.5,
};

/** Where a leak is to strike more often, though it is a short time. */
const struckSeldom: Readonly<Partial<Record<Phase, number>>> = {
  finish: 0.3,
  announce: 0.3,
  grace: 0.9,
  retire: 0.6,
  undo: 0.2,
  halted: 0.4,
};

/** Whoever asks for something, whatever is going on: many where something is under way, and for all that the core knows. */
export class People {
  readonly #secrets: readonly WatchedSecret[];
  readonly #around: Surroundings;
  #asked = 0;
  #looksAt: WatchedSecret | undefined;

  constructor(secrets: readonly WatchedSecret[], around: Surroundings) {
    this.#secrets = secrets;
    this.#around = around;
  }

  /** Whether somebody who looks at any of them asks for something now, in these phases or in any. */
  wants(...phases: readonly Phase[]): boolean {
    const { chance } = this.#around;
    const [one, other] = [chance.pick(this.#secrets), chance.pick(this.#secrets)];
    this.#looksAt = urgeOf(one) < urgeOf(other) ? other : one;
    const { phase } = this.#looksAt.record?.state ?? { phase: "idle" as const };
    return chance.next() < urgeOf(this.#looksAt) && (phases.length === 0 || phases.includes(phase));
  }

  async ask(): Promise<void> {
    const { chance, count, ports, isPeaceful, employ, tell, isOut } = this.#around;
    const watched = this.#looksAt ?? chance.pick(this.#secrets);
    this.#looksAt = undefined;
    const { ref, record } = watched;
    const kind = this.#pickRequest(record);
    count(`asks ${kind}`);
    const send =
      kind === "import" ? await this.#importing(watched) : asking(kind, watched, { chance, isPeaceful });
    if (send === undefined) return;
    // Many of them ask in a moment; others on a machine that is as bad as a worker's.
    if (chance.next() < 0.3 || isOut() || record?.current === undefined) {
      employ(ref, "person", async (theirs) => `${kind}: ${await send(theirs)}`);
      return;
    }
    const answer = await send(ports);
    tell(ref, `somebody asks: ${kind}: ${answer}`);
    if (isAbsent(answer)) return;
    count(metWhere(watched.secret.overlap, kind, record.state.phase));
  }

  #pickRequest(record: RotationRecord | undefined): Asked {
    const { chance, isPeaceful } = this.#around;
    // What an import has only claimed is not under Keyturn yet.
    if (record?.current === undefined) return "import";
    const { phase } = record.state;
    // Nothing else would ever happen.
    if (phase === "idle" && chance.next() < 0.4) return "rotate";
    if (!isPeaceful)
      return chance.pick(chance.next() < (struckSeldom[phase] ?? 0) ? emergencies : everyRequest);
    // It is the only time for it, and a short one.
    return phase === "grace" && chance.next() < 0.25 ? "rollback" : chance.pick(peaceful);
  }

  async #importing(watched: WatchedSecret): Promise<((ports: Ports) => Promise<string>) | undefined> {
    const { ports, chance } = this.#around;
    this.#asked += 1;
    const value = await broughtFor(watched, ports, chance, this.#asked);
    if (value === undefined) return undefined;
    return async (theirs) => {
      try {
        return (await adopt(watched.ref, theirs, value, "sim")).answer;
      } catch (thrown) {
        return asKeyturnError(thrown).code;
      }
    };
  }
}

/** How often what was asked of a secret of that overlap in that phase is counted by this name. */
export function metWhere(overlap: string, kind: Asked, phase: Phase): string {
  return `${overlap}: ${kind} in ${phase}`;
}

/** What a stranger has done takes its course for a while. */
function urgeOf({ record, meddled }: WatchedSecret): number {
  return urge[record?.state.phase ?? "idle"] * (meddled === undefined ? 1 : 0.2);
}

function asking(
  kind: Exclude<Asked, "import">,
  watched: WatchedSecret,
  by: { readonly chance: Chance; readonly isPeaceful: boolean },
): (ports: Ports) => Promise<string> {
  return (ports) => ask(kind, watched, ports, by);
}

/** Nobody can name a version that is not there: nothing was asked. */
function isAbsent(answer: string): boolean {
  return answer === "secret-missing";
}
