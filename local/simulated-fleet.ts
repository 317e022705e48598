import { acceptReports } from "../core/accept-reports.ts";
import type { Ports, StoredSecret } from "../core/ports.ts";
import type { Chance } from "./chance.ts";
import type { Overlap } from "./simulated-secrets.ts";

interface Agent {
  readonly name: string;
  /** The versions in its cache and its connections. */
  readonly uses: Set<string>;
  readonly holds: Map<string, { readonly id: string; readonly since: number }>;
  /** The ids of holds that it was granted. */
  readonly granted: Set<string>;
  /** What it has held for longer than anybody waits, until it has nothing of it any more. */
  readonly givenUp: Set<string>;
  /** How often it looks whether there is something new, when it is its turn. */
  readonly diligence: number;
  sequence: number;
  vanished: boolean;
  heardAt: number;
}

export interface FleetSurroundings {
  readonly overlap: Overlap;
  readonly ports: Ports;
  readonly chance: Chance;
  readonly tell: (line: string) => void;
  readonly count: (what: string) => void;
  /** Whether a part of the installation is out of reach for everybody. */
  readonly isOut: (part: "store" | "journal") => boolean;
}

/** Silent for this many cache TTLs is not live. */
const liveForTtls = 3;

/** Agents that read by the readers' rule, say what they use, hold on to what a long task needs, are slow to change over, vanish and come back. */
export class SimulatedFleet {
  readonly #ref: string;
  readonly #around: FleetSurroundings;
  readonly #agents: readonly Agent[];
  #holds = 0;

  constructor(ref: string, around: FleetSurroundings) {
    this.#ref = ref;
    this.#around = around;
    this.#agents = ["a", "b"].map((name) => ({
      name,
      uses: new Set(),
      holds: new Map(),
      granted: new Set(),
      givenUp: new Set(),
      diligence: around.chance.pick([0.3, 0.7]),
      sequence: 0,
      vanished: false,
      heardAt: 0,
    }));
  }

  /** All of them read for the first time. */
  async start(accepts: (value: string) => boolean): Promise<void> {
    for (const agent of this.#agents) {
      await this.#changeOver(agent, accepts);
      await this.#report(agent);
    }
  }

  async act(accepts: (value: string) => boolean): Promise<void> {
    const { chance, tell, isOut } = this.#around;
    const agent = chance.pick(this.#agents);
    if (chance.next() < 0.05) {
      agent.vanished = !agent.vanished;
      // Whoever comes back has nothing but what it reads.
      agent.uses.clear();
      agent.holds.clear();
      agent.givenUp.clear();
    }
    if (agent.vanished) return;
    if (chance.next() < 0.2) this.#changeHolds(agent);
    else if (chance.next() < agent.diligence && !isOut("store")) await this.#changeOver(agent, accepts);
    await this.#report(agent);
    const held = agent.holds.size === 0 ? "" : `, holds ${shortened(agent.holds.keys())}`;
    tell(`agent ${agent.name} uses ${shortened(agent.uses)}${held}`);
  }

  /** Every agent that lives says once more what it uses, as it does all the time. */
  async beat(): Promise<void> {
    for (const agent of this.#agents) if (!agent.vanished) await this.#report(agent);
  }

  /**
   * The versions that somebody needs who lives and says so. Whoever has not been heard for too long is not live, and a hold that
   * is older than the longest grace keeps nothing alive, not even what is used as well.
   */
  needed(): ReadonlySet<string> {
    const { clock } = this.#around.ports;
    const live = this.#agents.filter(
      ({ vanished, heardAt }) => !vanished && clock.now() - heardAt < liveForTtls * this.#policy().cacheTtlMs,
    );
    for (const agent of live) this.#giveUp(agent);
    return new Set(
      live.flatMap(({ uses, holds, givenUp }) =>
        [...uses, ...holds.keys()].filter((version) => !givenUp.has(version)),
      ),
    );
  }

  #giveUp({ uses, holds, givenUp }: Agent): void {
    const now = this.#around.ports.clock.now();
    for (const [version, { since }] of holds) {
      if (now - since >= this.#policy().graceAtMostMs) givenUp.add(version);
    }
    for (const version of givenUp) if (!uses.has(version) && !holds.has(version)) givenUp.delete(version);
  }

  #policy() {
    const { cacheTtlMs = 0, graceAtMostMs = 0 } = this.#around.ports.secrets.get(this.#ref)?.policy ?? {};
    return { cacheTtlMs, graceAtMostMs };
  }

  /** Takes a hold on what it uses, or ends its holds: its task has come to an end. */
  #changeHolds(agent: Agent): void {
    const { count, ports } = this.#around;
    const newest = [...agent.uses].at(-1);
    this.#giveUp(agent);
    if (agent.holds.size > 0) {
      agent.holds.clear();
      count("an agent ends its hold");
    } else if (newest !== undefined) {
      this.#holds += 1;
      agent.holds.set(newest, { id: `${agent.name}${this.#holds}`, since: ports.clock.now() });
      count("an agent takes a hold");
    }
  }

  async #changeOver(agent: Agent, accepts: (value: string) => boolean): Promise<void> {
    const found = await this.#read(accepts);
    if (found === undefined) return;
    agent.uses.clear();
    agent.uses.add(found.version);
  }

  /** Current, and of a cutover type pending, then current again: what works. */
  async #read(accepts: (value: string) => boolean): Promise<StoredSecret | undefined> {
    const { overlap, ports, count } = this.#around;
    for (const stage of overlap === "both-live" ? (["current"] as const) : readersRule) {
      const stored = await ports.store.read(this.#ref, stage);
      if (stored === undefined || !accepts(stored.value.reveal())) continue;
      if (stage === "pending") count("an agent reads pending");
      return stored;
    }
    return undefined;
  }

  async #report(agent: Agent): Promise<void> {
    const { ports, count, isOut } = this.#around;
    // It is not heard, and goes on with what it has.
    if (isOut("journal")) return;
    agent.sequence += 1;
    agent.heardAt = ports.clock.now();
    const inUse = [...agent.uses];
    const holds = [...agent.holds].map(([version, { id, since }]) => ({ id, version, since }));
    const said = {
      ref: this.#ref,
      agent: agent.name,
      fleet: "agents",
      sequence: agent.sequence,
      inUse,
      holds,
    };
    this.#giveUp(agent);
    const { refusedHolds } = await acceptReports(ports, [{ ...said, adopted: inUse.at(-1) }]);
    for (const { id, version } of holds.filter((hold) => refusedHolds.includes(hold.id))) {
      agent.holds.delete(version);
      count("a hold is refused");
      this.#around.tell(`agent ${agent.name} is refused its hold ${id}`);
    }
    // A new hold that was granted is waited for, whatever became of the one before.
    const granted = holds.filter(({ id }) => !agent.granted.has(id) && !refusedHolds.includes(id));
    for (const { id, version } of granted) {
      agent.granted.add(id);
      agent.givenUp.delete(version);
    }
  }
}

const readersRule = ["current", "pending", "current"] as const;

function shortened(versions: Iterable<string>): string {
  return [...versions].map((version) => version.slice(0, 8)).join(" ");
}
