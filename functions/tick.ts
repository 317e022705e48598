import type { AuditWitness } from "../core/audit-witness.ts";
import { commit } from "../core/commit.ts";
import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import { enrolSchedules, forgetSilentAgents } from "../core/operate.ts";
import { inParallel } from "../core/parallel.ts";
import type { Ports } from "../core/ports.ts";
import { stay } from "../core/transition.ts";
import type { HostQueues } from "./host-queues.ts";
import { logLines } from "./log-lines.ts";
import type { WorkQueues } from "./work-queues.ts";

interface Ticking {
  readonly ports: Ports;
  readonly queues: WorkQueues;
  readonly hosts: Pick<HostQueues, "sweep">;
  readonly witness: Pick<AuditWitness, "sign">;
  /** Throws where secrets lack the tags that the functions' rights go by. */
  readonly assertTagged: () => Promise<void>;
  /** Throws where the keys of fingerprints are not there, or are to be deleted. */
  readonly assertKeysThere: () => Promise<void>;
}

/** As many as are ordered in some seconds; the others are due a minute later, too. */
const dueMost = 1_000;
const ordersAtOnce = 20;
const hourMs = 3_600_000;

/**
 * Runs every minute: has worked on what is due, whoever has lost sight of it, and keeps house once an hour. Each part by itself: one that fails keeps
 * up no other, and fails the run, for there is an alarm on that.
 */
export class Tick {
  readonly #to: Ticking;
  /** The hour in which house was kept last; a new process does it at once, for what it was deployed with may be new. */
  #kept = -1;

  constructor(to: Ticking) {
    this.#to = to;
  }

  async run(): Promise<{ readonly due: number }> {
    const { ports, hosts } = this.#to;
    const due = await this.#orderDue();
    const failed: unknown[] = [...due.failed];
    failed.push(
      ...(await this.#each([["sweeping the queues of hosts", () => hosts.sweep(ports.clock.now())]])),
    );
    const hour = Math.floor(ports.clock.now() / hourMs);
    if (hour !== this.#kept) {
      const unkept = await this.#keepHouse();
      // What failed is tried again with the next run.
      if (unkept.length === 0) this.#kept = hour;
      failed.push(...unkept);
    }
    if (failed[0] !== undefined) throw failed[0];
    return { due: due.ordered };
  }

  #keepHouse(): Promise<readonly unknown[]> {
    const { ports, witness, assertTagged, assertKeysThere } = this.#to;
    return this.#each([
      ["enrolling schedules", () => enrolSchedules(ports)],
      ["forgetting silent agents", () => forgetSilentAgents(ports)],
      ["signing the audit", () => this.#sign(witness)],
      ["looking for the tags of secrets", assertTagged],
      ["looking for the keys of fingerprints", assertKeysThere],
    ]);
  }

  /** One after the other; gives what they failed with. */
  async #each(parts: readonly [what: string, work: () => Promise<unknown>][]): Promise<readonly unknown[]> {
    const failed: unknown[] = [];
    for (const [what, work] of parts) {
      await work().catch((thrown: unknown) => {
        const { code, message: reason } = asKeyturnError(thrown);
        this.#to.ports.log("error", `${what} failed`, { code, reason });
        failed.push(thrown);
      });
    }
    return failed;
  }

  async #orderDue(): Promise<{ readonly ordered: number; readonly failed: readonly unknown[] }> {
    const { ports, queues } = this.#to;
    const found = await ports.journal.due(ports.clock.now(), dueMost);
    const due = found.filter((ref) => ports.secrets.get(ref) !== undefined);
    const gone = found.filter((ref) => ports.secrets.get(ref) === undefined);
    const ordered = await inParallel(due, ordersAtOnce, (ref) => queues.order(ref));
    const failed = ordered.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
    if (failed.length > 0)
      ports.log("error", "work that is due could not be ordered", { count: failed.length });
    const left = await this.#each([["seeing to what the manifest has no more", () => this.#tellGone(gone)]]);
    return { ordered: due.length - failed.length, failed: [...failed, ...left] };
  }

  /** Nobody can work on them, so nothing is ordered. Where something is under way or owed a person has to act, and hears of it until then. */
  async #tellGone(gone: readonly string[]): Promise<void> {
    const looked = await inParallel(gone, ordersAtOnce, (ref) => this.#rest(ref));
    const open = looked.flatMap((one) => {
      if (one.status === "rejected") throw one.reason;
      return one.value === undefined ? [] : [one.value];
    });
    if (open.length === 0) return;
    throw new KeyturnError(
      "manifest-invalid",
      `the manifest that was deployed has no more ${open.slice(0, 10).join(", ")}${open.length > 10 ? ` and ${open.length - 10} others` : ""}: deploy it with them until nothing is under way and nothing is owed, by \`keyturn status\` and \`keyturn debts\``,
    );
  }

  /** Gives what is open there. A secret that is at rest is due no more, or those that are gone would hide the others; enrolling finds its time again. */
  async #rest(ref: string): Promise<string | undefined> {
    const { ports } = this.#to;
    const loaded = await ports.journal.load(ref);
    if (loaded === undefined) return undefined;
    const { state, debts, wish } = loaded.record;
    if (state.phase !== "idle" || wish !== undefined || debts.length > 0) {
      return `${ref} (${state.phase}, ${debts.length} debts)`;
    }
    const rested = stay({ ...loaded.record, dueAt: null });
    await commit(ports, loaded.revision, rested, "keyturn").catch((thrown: unknown) => {
      // Somebody works on it at this moment, by a manifest that has it.
      if (asKeyturnError(thrown).code !== "conflict") throw thrown;
    });
    return undefined;
  }

  async #sign(witness: Ticking["witness"]): Promise<void> {
    const { log } = this.#to.ports;
    const { root, isNew, parted } = await witness.sign();
    if (isNew) log("info", "the audit is signed", { root: root?.number, chains: root?.chains });
    if (parted.length > 0) {
      log("error", `${logLines.auditParted}: run \`keyturn audit verify\``, {
        secrets: parted.slice(0, 10),
        count: parted.length,
      });
    }
  }
}
