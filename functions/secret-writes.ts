import { KeyturnError } from "../core/errors.ts";
import type { StoredSecret } from "../core/ports.ts";
import type { Secret } from "../core/secret.ts";
import type { Found, SecretCalls } from "./secret-calls.ts";
import { conflict, secretMissing } from "./secret-errors.ts";
import { makeRoom } from "./secret-room.ts";
import {
  baseLabel,
  baseVersion,
  discardedOf,
  noValue,
  pinOf,
  type Stages,
  stageOf,
  voidOf,
} from "./secret-stages.ts";
import type { AwsSecretStore } from "./secret-store.ts";

/** Looks again this often when somebody else moved first. */
const looksMost = 4;

/** What changes a secret: each verb looks, then moves what it saw, and looks again where that has moved meanwhile. */
export class SecretWrites {
  readonly #calls: SecretCalls;
  readonly #options: AwsSecretStore;
  /** What was seen for the next save of a rotation. It may be old: every move of a save names what it goes by. */
  readonly #seen = new Map<string, { readonly id: string; readonly stages: Stages }>();

  constructor(calls: SecretCalls, options: AwsSecretStore) {
    this.#calls = calls;
    this.#options = options;
  }

  /**
   * What is pending, but for a value that has the rotation's id and no pin: that is the empty one of a rotation that Secrets Manager has just begun, or
   * was put by somebody else, and a save finds out. The save that follows needs no look of its own.
   */
  async lookToSave(ref: string, id: string): Promise<Found | undefined> {
    this.#seen.delete(ref);
    const stages = await this.#calls.describe(ref);
    if (stages === undefined) return undefined;
    const { pending } = stages;
    const found =
      pending === undefined || (pending === id && !stages.isPinned(id))
        ? undefined
        : await this.#valueOf(ref, pending);
    // What is in the way of a save is seen to first, and then the labels are others.
    if (found === undefined && !stages.isPinned(id)) this.#seen.set(ref, { id, stages });
    return found && stageOf(found.version, found.labels) === "pending" ? found : undefined;
  }

  async save(ref: string, id: string, value: Secret): Promise<StoredSecret> {
    return this.#looking(ref, id, async () => {
      const stages = this.#takeSeen(ref, id) ?? (await this.#begun(ref));
      if (stages === undefined) throw secretMissing(ref);
      const from = await this.#roomForPending(ref, id, stages);
      if (stages.isPinned(id)) return this.#resume(ref, id, stages, from);
      await makeRoom(this.#calls, ref, stages, this.#options.log);
      const token = this.#options.rotationToken?.(ref, id);
      const labels = await this.#calls.put(
        ref,
        id,
        value.reveal(),
        withPending(pinOf(id), id, stages),
        token,
      );
      if (labels === "lost") return this.#adopt(ref, id, from);
      // The same value was there already, and what was done with it is over.
      if (!labels.includes(pinOf(id)) || labels.includes(discardedOf(id))) throw usedBefore(ref, id);
      if (!labels.includes("AWSPENDING")) {
        if ((await this.#calls.move(ref, "AWSPENDING", id, from)) === "lost") return undefined;
      }
      return { ref, version: id, value, createdAt: this.#options.clock.now() };
    });
  }

  async discard(ref: string, id: string): Promise<void> {
    this.#seen.delete(ref);
    await this.#looking(ref, id, async () => {
      const stages = await this.#begun(ref);
      if (stages === undefined || stages.wasPromoted(id)) return "done";
      if (!stages.isClosed(id) && (await this.#close(ref, id, stages)) === "lost") return undefined;
      if (stages.holderOf("AWSPENDING") !== id) return "done";
      // AWSPENDING beside AWSCURRENT is what a rotation leaves that went well: nothing is pending. If it were nowhere, whoever was frozen
      // when it was nowhere before could put it on a version of long ago.
      return this.#calls.move(ref, "AWSPENDING", stages.holderOf("AWSCURRENT"), id).then(orUndefined);
    });
  }

  async promote(ref: string, id: string, expected: string | undefined): Promise<void> {
    await this.#looking(ref, id, async () => {
      const stages = await this.#calls.describe(ref);
      if (stages === undefined) throw secretMissing(ref);
      const holder = stages.holderOf("AWSCURRENT");
      if (holder === id) return "done";
      if (stages.current !== expected) {
        throw conflict(`current of ${ref} is ${stages.current ?? "absent"}, and not ${expected ?? "absent"}`);
      }
      // What is pending and not pinned may be the empty version of a rotation that has just begun.
      if (stages.pending !== id || !stages.isPinned(id)) throw conflict(`${id} is not pending on ${ref}`);
      return this.#calls.move(ref, "AWSCURRENT", id, holder).then(orUndefined);
    });
  }

  /** AWS cannot disable a version: it is kept no longer than AWS keeps what has no label. */
  async unpin(ref: string, version: string): Promise<"unsupported"> {
    const stages = await this.#calls.describe(ref);
    if (stages === undefined) return "unsupported";
    if ([stages.current, stages.pending].includes(version)) {
      throw new KeyturnError("request-refused", `${version} is current or pending of ${ref}`);
    }
    if (stages.isPinned(version)) await this.#calls.move(ref, pinOf(version), undefined, version);
    return "unsupported";
  }

  /** The labels of a secret that has a current version, if only the one that holds no value. */
  async #begun(ref: string): Promise<Stages | undefined> {
    const stages = await this.#calls.describe(ref);
    const { create } = this.#options;
    if (stages === undefined) {
      if (create === undefined) return undefined;
      await this.#calls.create(ref, baseVersion, noValue, create);
    } else if (stages.holderOf("AWSCURRENT") === undefined && !stages.has(baseVersion)) {
      await this.#calls.put(ref, baseVersion, noValue, [baseLabel]);
    } else return stages;
    return this.#calls.describe(ref);
  }

  /** From where AWSPENDING may be taken; undefined where it is nowhere, or on the version already. */
  async #roomForPending(ref: string, id: string, stages: Stages): Promise<string | undefined> {
    if (stages.isClosed(id) || stages.wasPromoted(id)) {
      throw conflict(`${id} of ${ref} was promoted or discarded`);
    }
    const { pending } = stages;
    const holder = stages.holderOf("AWSPENDING");
    if (pending === undefined || pending === id) return holder === id ? undefined : holder;
    const isEmpty = !stages.isPinned(pending) && (await this.#valueOf(ref, pending)) === undefined;
    if (isEmpty) return holder;
    throw conflict(`${pending} is pending on ${ref}`);
  }

  /** The value was saved before. It is given back if it is pending, and made so if the save that put it was interrupted. */
  async #resume(
    ref: string,
    id: string,
    stages: Stages,
    from: string | undefined,
  ): Promise<StoredSecret | undefined> {
    const saved = await this.#valueOf(ref, id);
    if (saved === undefined) return undefined;
    if (stages.pending !== id) {
      // What was current once is older than what is current now: versions are made in the order of their rotations.
      const current = stages.current === undefined ? undefined : await this.#valueOf(ref, stages.current);
      if (current !== undefined && current.createdAt >= saved.createdAt) {
        throw conflict(`${id} of ${ref} was promoted, or is older than what is current`);
      }
      if ((await this.#calls.move(ref, "AWSPENDING", id, from)) === "lost") return undefined;
    }
    return { ref, version: id, value: saved.value, createdAt: saved.createdAt };
  }

  /** The id has a value already that was not labelled when we looked: somebody has just saved it, or it has had its time. */
  async #adopt(ref: string, id: string, from: string | undefined): Promise<StoredSecret | undefined> {
    const stages = await this.#calls.describe(ref);
    if (stages?.has(id) !== true) throw usedBefore(ref, id);
    if (stages.pending !== id || stages.isPinned(id)) return undefined;
    if ((await this.#calls.move(ref, pinOf(id), id, undefined)) === "lost") return undefined;
    return this.#resume(ref, id, stages, from);
  }

  /** From here on the id can never be pending. An id that has no value gets one that is none. */
  async #close(ref: string, id: string, stages: Stages): Promise<"closed" | "lost"> {
    await makeRoom(this.#calls, ref, stages, this.#options.log);
    if (!stages.isPinned(id)) {
      const labels = await this.#calls.put(ref, id, noValue, withPending(voidOf(id), id, stages));
      if (labels !== "lost") return "closed";
      const again = await this.#calls.describe(ref);
      // What has a value and no label has had its time.
      if (again?.has(id) !== true) return "closed";
    }
    return (await this.#calls.move(ref, discardedOf(id), id, undefined)) === "lost" ? "lost" : "closed";
  }

  /** Once: whoever looks again looks at the labels. A secret that has nothing current may have to be begun. */
  #takeSeen(ref: string, id: string): Stages | undefined {
    const seen = this.#seen.get(ref);
    this.#seen.delete(ref);
    return seen?.id === id && seen.stages.current !== undefined ? seen.stages : undefined;
  }

  #valueOf(ref: string, version: string): Promise<Found | undefined> {
    return this.#calls.get(ref, { VersionId: version });
  }

  async #looking<Result>(ref: string, id: string, look: () => Promise<Result | undefined>): Promise<Result> {
    for (let looks = 0; looks < looksMost; looks += 1) {
      const result = await look();
      if (result !== undefined) return result;
    }
    throw conflict(`others move the labels of ${ref} faster than ${id} can`);
  }
}

/** AWS does not say what becomes of a label that a put does not name. AWSPENDING is named only where it is: an id is closed before Keyturn moves it away. */
function withPending(label: string, id: string, stages: Stages): readonly string[] {
  return stages.holderOf("AWSPENDING") === id ? [label, "AWSPENDING"] : [label];
}

function usedBefore(ref: string, id: string): KeyturnError {
  return conflict(`${id} of ${ref} was used before`);
}

function orUndefined(answer: "moved" | "lost"): "moved" | undefined {
  return answer === "moved" ? answer : undefined;
}
