import { acceptReports } from "../core/accept-reports.ts";
import type { Ports } from "../core/ports.ts";
import type { Chance } from "./chance.ts";

interface Agent {
  readonly name: string;
  readonly uses: Set<string>;
  sequence: number;
  vanished: boolean;
}

/** Agents that read by the readers' rule, say what they use, are slow to change over, and sometimes vanish and come back. */
export class SimulatedFleet {
  readonly #ref: string;
  readonly #ports: Ports;
  readonly #chance: Chance;
  readonly #tell: (line: string) => void;
  readonly #agents: readonly Agent[] = ["a", "b"].map((name) => ({
    name,
    uses: new Set(),
    sequence: 0,
    vanished: false,
  }));

  constructor(ref: string, ports: Ports, chance: Chance, tell: (line: string) => void) {
    this.#ref = ref;
    this.#ports = ports;
    this.#chance = chance;
    this.#tell = tell;
  }

  async act(accepts: (value: string) => boolean): Promise<void> {
    const agent = this.#chance.pick(this.#agents);
    const current = await this.#ports.store.read(this.#ref, "current");
    if (current === undefined) return;
    if (this.#chance.next() < 0.05) {
      agent.vanished = !agent.vanished;
      // Whoever comes back has nothing but what it reads.
      agent.uses.clear();
    }
    if (agent.vanished) return;
    const adopts = this.#chance.next() < 0.6;
    if (adopts && accepts(current.value.reveal())) {
      agent.uses.clear();
      agent.uses.add(current.version);
    }
    await this.#report(agent);
    this.#tell(`agent ${agent.name} uses ${[...agent.uses].map((version) => version.slice(0, 8)).join(" ")}`);
  }

  /** Every agent that lives says once more what it uses, as it does all the time. */
  async beat(): Promise<void> {
    for (const agent of this.#agents) if (!agent.vanished) await this.#report(agent);
  }

  /** The versions that somebody uses who lives and says so. */
  inUse(): ReadonlySet<string> {
    return new Set(this.#agents.filter(({ vanished }) => !vanished).flatMap(({ uses }) => [...uses]));
  }

  async #report(agent: Agent): Promise<void> {
    agent.sequence += 1;
    const inUse = [...agent.uses];
    const ref = this.#ref;
    const report = { ref, agent: agent.name, fleet: "agents", sequence: agent.sequence, inUse, holds: [] };
    await acceptReports(this.#ports, [{ ...report, adopted: inUse.at(-1) }]);
  }
}
