import type { Ports, StoredSecret } from "../core/ports.ts";
import type { RotationRecord } from "../core/record.ts";
import type { Transition } from "../core/transition.ts";
import type { Chance } from "./chance.ts";
import type { ModelTarget } from "./model-target.ts";
import { SimulatedFleet } from "./simulated-fleet.ts";
import type { SimulatedSecret } from "./simulated-secrets.ts";
import { expectSettled, isSame, type Login, loginOf } from "./simulation-end.ts";

export interface Surroundings {
  readonly ports: Ports;
  readonly records: ReadonlyMap<string, RotationRecord>;
  readonly target: ModelTarget;
  readonly chance: Chance;
  /** Without emergencies no agent that lives and says what it uses may ever be refused. */
  readonly isPeaceful: boolean;
  readonly tell: (ref: string, line: string) => void;
  readonly count: (what: string) => void;
  readonly isOut: (part: "store" | "journal") => boolean;
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
  /** The login that a stranger has made the target refuse. */
  #meddled: Login | undefined;
  wasMeddled = false;
  #hadCurrent = false;
  /** The version by which a reader could log in the last time that one could. */
  #lastWorked: string | undefined;
  /** When that was. */
  #workedAt = 0;
  /** What readers have never had as current. */
  readonly #onlyPending = new Set<string>();
  #begun = 0;

  constructor(secret: SimulatedSecret, around: Surroundings) {
    this.secret = secret;
    this.ref = secret.ref;
    this.#around = around;
    const tell = (line: string) => around.tell(this.ref, line);
    this.fleet = new SimulatedFleet(this.ref, { ...around, overlap: secret.overlap, tell });
  }

  /** Whether it is under Keyturn: not before it was imported, where that is what it waits for. */
  get record(): RotationRecord | undefined {
    return this.#around.records.get(this.ref);
  }

  get versions(): readonly string[] {
    return [...this.#logins.keys()];
  }

  get meddled(): Login | undefined {
    return this.#meddled;
  }

  set meddled(login: Login | undefined) {
    this.#meddled = login;
    this.wasMeddled ||= login !== undefined;
  }

  willBeCutFirst(version: string): void {
    this.#cutFirst.add(version);
  }

  accepts({ username, password }: Login): boolean {
    return this.#around.target.accepts(username, password);
  }

  async start(): Promise<void> {
    await this.fleet.start((value) => this.accepts(loginOf(value)));
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
    const works = candidates.find((stored) => stored && this.accepts(this.#loginOf(stored)));
    if (works !== undefined) {
      this.#lastWorked = works.version;
      this.#workedAt = this.#around.ports.clock.now();
    }
    if (pending !== undefined) {
      this.#loginOf(pending);
      this.#onlyPending.add(pending.version);
    }
    if (current !== undefined) this.#onlyPending.delete(current.version);
    const { record } = this;
    if (record === undefined) return;
    this.#checkCompromised(record);
    if (!isSilent) this.#checkAgents();
    this.#checkPace();
    this.#hadCurrent ||= current !== undefined;
    if (works !== undefined || !this.#hadCurrent) return;
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

  /** Only what has leaked may be taken from readers before its successor is out, and that only where nothing else can be done. */
  #mayBeWithout(record: RotationRecord, current: string): boolean {
    if (this.#isMeddled(current)) return true;
    const leaked = record.compromised.filter(({ version }) => this.#isSameLogin(version, current));
    if (leaked.length === 0) return false;
    return this.secret.overlap === "both-live"
      ? this.#isCutFirst(record, current)
      : this.#hasLostCandidate(record, current);
  }

  #isCutFirst(record: RotationRecord, current: string): boolean {
    const asked = [...this.#cutFirst].some((version) => this.#isSameLogin(version, current));
    const owed = record.debts.some((debt) => debt.cutFirst && this.#isSameLogin(debt.version, current));
    const cut = record.compromised.some(
      (one) => one.refusedAt !== undefined && this.#isSameLogin(one.version, current),
    );
    return asked && (owed || cut) && !["announce", "grace", "retire"].includes(record.state.phase);
  }

  /** The one login has a candidate's value, which is put aside until it has the next one's; or it was shut, since that candidate has leaked as well. */
  #hasLostCandidate(record: RotationRecord, current: string): boolean {
    const owed = record.debts.find(({ version }) => {
      const login = this.#logins.get(version);
      return login !== undefined && this.accepts(login);
    });
    const last = owed?.version ?? this.#lastWorked ?? current;
    this.#lastWorked = last;
    const leaked = record.compromised.some(({ version }) => this.#isSameLogin(version, last));
    const isLast = this.#isSameLogin(last, current);
    const hasLost = owed !== undefined || (isLast ? this.#wasShut(record) : leaked);
    return hasLost && ["idle", "create", "set"].includes(record.state.phase);
  }

  /** Since a reader could log in: a candidate was set and shut again before anybody could look. */
  #wasShut({ compromised }: RotationRecord): boolean {
    return compromised.some(
      ({ version, refusedAt }) =>
        refusedAt !== undefined && refusedAt >= this.#workedAt && this.#onlyPending.has(version),
    );
  }

  #isSameLogin(one: string, other: string): boolean {
    const [known, login] = [this.#logins.get(one), this.#logins.get(other)];
    return one === other || (known !== undefined && isSame(known, login));
  }

  /** By value: a rollback gives an old value a new version. */
  #isMeddled(version: string): boolean {
    const login = this.#logins.get(version);
    return this.meddled !== undefined && isSame(this.meddled, login);
  }

  /** Who lives and says what it uses is waited for, whatever is cancelled, rolled back or killed. */
  #checkAgents(): void {
    if (!this.#around.isPeaceful || this.secret.overlap === "cutover") return;
    for (const version of this.fleet.needed()) {
      const login = this.#logins.get(version);
      if (login !== undefined && !this.#isMeddled(version) && !this.accepts(login)) {
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
