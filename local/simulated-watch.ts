import type { Ports, StoredSecret } from "../core/ports.ts";
import type { RotationRecord } from "../core/record.ts";
import type { Transition } from "../core/transition.ts";
import type { Chance } from "./chance.ts";
import type { ModelTarget } from "./model-target.ts";
import { SimulatedFleet } from "./simulated-fleet.ts";
import type { SimulatedSecret } from "./simulated-secrets.ts";
import { expectSettled, type Login, loginOf } from "./simulation-end.ts";

export interface Surroundings {
  readonly ports: Ports;
  readonly records: ReadonlyMap<string, RotationRecord>;
  readonly target: ModelTarget;
  readonly chance: Chance;
  /** Without emergencies no agent that lives and says what it uses may ever be refused. */
  readonly isPeaceful: boolean;
  readonly tell: (ref: string, line: string) => void;
}

/** One secret as its readers find it, and the promises about it that hold at every instant. */
export class WatchedSecret {
  readonly secret: SimulatedSecret;
  readonly ref: string;
  readonly fleet: SimulatedFleet;
  readonly #around: Surroundings;
  readonly #logins = new Map<string, Login>();
  readonly #proven = new Set<string>();
  readonly #cutFirst = new Set<string>();
  #hadCurrent = false;
  #begun = 0;

  constructor(secret: SimulatedSecret, around: Surroundings) {
    this.secret = secret;
    this.ref = secret.ref;
    this.#around = around;
    this.fleet = new SimulatedFleet(this.ref, around.ports, around.chance, (line) =>
      around.tell(this.ref, line),
    );
  }

  /** Whether it is under Keyturn: not before it was imported, where that is what it waits for. */
  get record(): RotationRecord | undefined {
    return this.#around.records.get(this.ref);
  }

  get versions(): readonly string[] {
    return [...this.#logins.keys()];
  }

  willBeCutFirst(version: string): void {
    this.#cutFirst.add(version);
  }

  accepts({ username, password }: Login): boolean {
    return this.#around.target.accepts(username, password);
  }

  async act(): Promise<void> {
    await this.fleet.act((value) => this.accepts(loginOf(value)));
  }

  /** What a worker has changed, and what the audit will say of it. */
  saw({ notes, record }: Transition): void {
    this.#begun += notes.filter(({ action }) => action.endsWith(".began") && action.startsWith("ro")).length;
    const done = notes
      .map(({ action, detail }) => (detail === "" ? action : `${action} (${detail})`))
      .join(", ");
    this.#around.tell(this.ref, `${done}: now ${record.state.phase}, epoch ${record.epoch}`);
  }

  /** `isSilent`: its agents say nothing at the moment, so nobody waits for them. */
  async check(isSilent: boolean): Promise<void> {
    const { store } = this.#around.ports;
    const current = await store.read(this.ref, "current");
    const pending = await store.read(this.ref, "pending");
    const candidates = this.secret.overlap === "both-live" ? [current] : [current, pending];
    const works = candidates.map((stored) => stored && this.accepts(this.#loginOf(stored))).includes(true);
    if (pending !== undefined) this.#loginOf(pending);
    const { record } = this;
    if (record === undefined) return;
    this.#checkCompromised(record);
    if (!isSilent) this.#checkAgents();
    this.#checkPace();
    this.#hadCurrent ||= current !== undefined;
    if (works || !this.#hadCurrent) return;
    if (current !== undefined && this.#mayBeWithout(record, current.version)) return;
    this.#broken(`no credential that an agent may read works, in ${record.state.phase}`);
  }

  async checkEnd(): Promise<void> {
    await this.check(true);
    try {
      await expectSettled(this.ref, this.#around.ports, this.#logins, (login) => this.accepts(login));
    } catch (thrown) {
      this.#broken(thrown instanceof Error ? thrown.message : String(thrown));
    }
  }

  #loginOf({ version, value }: StoredSecret): Login {
    const login = this.#logins.get(version) ?? loginOf(value.reveal());
    this.#logins.set(version, login);
    return login;
  }

  /** In an emergency there may be no credential until the successor is out: cut first, current and candidate both leaked, or a candidate put aside. */
  #mayBeWithout(record: RotationRecord, current: string): boolean {
    const leaked = record.compromised.some(({ version }) => version === current);
    const aside = record.debts.some(({ reason }) => reason === "superseded");
    return this.#cutFirst.has(current) || (leaked && (record.compromised.length > 1 || aside));
  }

  /** Who lives and says what it uses is waited for, whatever is cancelled, rolled back or killed. */
  #checkAgents(): void {
    if (!this.#around.isPeaceful || this.secret.overlap === "cutover") return;
    for (const version of this.fleet.inUse()) {
      const login = this.#logins.get(version);
      if (login !== undefined && !this.accepts(login)) {
        this.#broken(`an agent's ${version} was refused under it`);
      }
    }
  }

  /** Nothing begins again and again without a pause. */
  #checkPace(): void {
    if (this.#begun > 6) this.#broken(`${this.#begun} rotations began at one moment`);
    this.#begun = 0;
  }

  /** What was proven refused, and is compromised, never works again. */
  #checkCompromised(record: RotationRecord): void {
    for (const { version, refusedAt } of record.compromised) {
      if (refusedAt !== undefined && this.#logins.has(version)) this.#proven.add(version);
    }
    for (const version of this.#proven) {
      const login = this.#logins.get(version);
      if (login !== undefined && this.accepts(login)) this.#broken(`compromised ${version} works again`);
    }
  }

  #broken(what: string): never {
    throw new Error(`${this.ref}: ${what}`);
  }
}
