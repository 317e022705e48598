import { setTimeout as sleep } from "node:timers/promises";
import type { OpenSecret } from "../cli/open.ts";
import { short } from "../cli/terminal.ts";
import { viewFleet } from "../core/fleet.ts";
import { request } from "../core/operate.ts";
import type { RotationRecord } from "../core/record.ts";
import { previousNames } from "../core/same-login.ts";
import { rotationOf } from "../core/transition.ts";
import type { PostgresServer } from "../integration/postgres-server.ts";
import type { Fleet } from "./fleet.ts";
import type { Picture } from "./picture.ts";
import { ref } from "./stage.ts";

const patienceMs = 40_000;

/** Follows one secret: its audit as it is written, its phases and its fleet. */
export class Watch {
  readonly #secret: OpenSecret;
  readonly #fleet: Fleet;
  readonly #picture: Picture;
  #shown = 0;

  constructor(secret: OpenSecret, fleet: Fleet, picture: Picture) {
    this.#secret = secret;
    this.#fleet = fleet;
    this.#picture = picture;
  }

  async record(): Promise<RotationRecord> {
    const loaded = await this.#secret.ports.journal.load(ref);
    if (loaded === undefined) throw new Error(`${ref} has no record`);
    return loaded.record;
  }

  /** Looks again and again until the condition holds, and shows what it sees. */
  async until(
    what: string,
    holds: (record: RotationRecord) => boolean | Promise<boolean>,
    everyMs = 50,
  ): Promise<RotationRecord> {
    const started = performance.now();
    for (;;) {
      const record = await this.record();
      await this.show(record);
      if (await holds(record)) return record;
      if (record.state.phase === "halted") throw new Error(`halted: ${record.state.reason}`);
      if (performance.now() - started > patienceMs)
        throw new Error(`waited too long for ${what}; it is in ${record.state.phase}`);
      await sleep(everyMs);
    }
  }

  async show(record: RotationRecord): Promise<void> {
    const { ports, managed } = this.#secret;
    if (record.audit.sequence > this.#shown) {
      for await (const entry of ports.audit.read(ref)) {
        if (entry.sequence <= this.#shown) continue;
        this.#shown = entry.sequence;
        const detail = entry.detail === "" ? "" : `  ${entry.detail}`;
        this.#picture.line(`  ${entry.action.padEnd(20)} ${short(entry.version)}${detail}`);
      }
    }
    const agents = await ports.journal.agents(ref);
    const versions = {
      old: previousNames(record, rotationOf(record.state)),
      new: record.current?.version ?? "",
    };
    const view = viewFleet(agents, versions, managed.policy, ports.clock.now());
    this.#picture.scene({
      phase: record.state.phase,
      agents: this.#fleet.agents,
      adopted: view.adopted,
      released: view.live - view.laggards.length,
      ...this.#fleet.counts(),
    });
  }

  /** How long after finish each agent had used the version, as the journal's side saw it. */
  async adoptionMs(version: string, since: number): Promise<number[]> {
    const agents = await this.#secret.ports.journal.agents(ref);
    return agents
      .filter((agent) => agent.adopted === version)
      .map((agent) => (agent.adoptedAt ?? since) - since);
  }

  async allAdopted(version: string): Promise<boolean> {
    const agents = await this.#secret.ports.journal.agents(ref);
    return agents.filter((agent) => agent.adopted === version).length === this.#fleet.agents;
  }

  /** The credential of the current version, as the store has it. */
  async login(): Promise<{ username: string; password: string }> {
    const stored = await this.#secret.ports.store.read(ref, "current");
    return JSON.parse(stored?.value.reveal() ?? "null");
  }

  /** Asks as `keyturn rotate` does, and leaves the work to the service. */
  async rotate(): Promise<string> {
    const { ports } = this.#secret;
    const { record } = await request(ref, ports, { kind: "rotate", by: "demo" });
    await this.#secret.wake([ref]);
    const id = rotationOf(record.state)?.id;
    if (id === undefined) throw new Error(`no rotation began; the record is ${record.state.phase}`);
    return id;
  }
}

/** Tries a login at the server itself, from outside Keyturn. */
export async function isRefused(
  postgres: PostgresServer,
  login: { username: string; password: string },
): Promise<boolean> {
  try {
    const client = await postgres.client(login);
    await client.end();
    return false;
  } catch (error) {
    const code: unknown = Object(error).code;
    return code === "28P01" || code === "28000";
  }
}
