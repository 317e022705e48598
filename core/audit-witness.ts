import { verifyChain } from "./audit.ts";
import {
  type AuditSigner,
  isAhead,
  keyIdOf,
  type ListEnd,
  type RootLine,
  type RootsLine,
} from "./audit-root.ts";
import { asKeyturnError, KeyturnError } from "./errors.ts";
import type { ChainEnd, MerkleTree } from "./merkle.ts";
import { inParallel } from "./parallel.ts";
import type { AuditKeys, AuditLog, AuditRoots, Clock } from "./ports.ts";
import { type IntroducedKey, RootsList } from "./roots-list.ts";
import { withMarks } from "./verify-roots.ts";

interface WitnessPorts {
  readonly installation: string;
  readonly audit: Pick<AuditLog, "read" | "end" | "refs">;
  readonly roots: AuditRoots;
  readonly keys: AuditKeys;
  readonly clock: Pick<Clock, "now">;
}

interface Witnessed {
  /** The newest root; undefined while there is no chain. */
  readonly root: RootLine | undefined;
  /** Whether it was signed just now; or nothing had changed. */
  readonly isNew: boolean;
  /** Chains that do not extend what the root before says of them: it still says that. */
  readonly parted: readonly string[];
  /** Chains that did not either, and were accepted as they are. */
  readonly accepted: readonly string[];
}

/** One chain after another, a thousand would take longer than a function may. */
const looksAtOnce = 20;
/** Tries against others that sign at the same time. */
const triesMax = 20;

/**
 * Signs what the audit is. A chain gets into a root only if it verifies and extends what the root before says of it; the newest root goes
 * on saying the same of one that does not, so that no signature ever covers a forgery, and the others are not kept from being signed. It
 * remembers what it has read: signing again costs a look at every chain's end, and reading those that have grown.
 */
export class AuditWitness {
  readonly #ports: WitnessPorts;
  #list: RootsList;
  /** The end of the list as it was last read or written. */
  #seen: ListEnd = { number: 0, hash: "" };
  /** While it signs, its list is ahead of what is written: it does one thing after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(ports: WitnessPorts) {
    this.#ports = ports;
    this.#list = new RootsList(ports.installation);
  }

  /** The list as it is now. Throws `data-broken` where it does not verify, or is not the one that was read before: nothing is written behind that. */
  async list(): Promise<RootsList> {
    const { roots, installation } = this.#ports;
    if ((await roots.end()).hash === this.#list.hash) return this.#list;
    const list = new RootsList(installation);
    let goesOn = this.#seen.number === 0;
    for await (const line of roots.read()) {
      const fault = list.add(line);
      if (fault !== undefined) throw broken(`line ${line.number} of the list of audit roots is ${fault}`);
      goesOn ||= line.hash === this.#seen.hash;
    }
    if (!goesOn) throw broken(`the list of audit roots has lost its line ${this.#seen.number}`);
    this.#see(list);
    return list;
  }

  /** `accepted` names chains that may be other than the roots say; the root keeps their names. */
  sign(accepted: readonly string[] = []): Promise<Witnessed> {
    return this.#persist(async () => {
      const { clock } = this.#ports;
      const list = await this.list();
      const signer = await this.#signer(list);
      if (list.number === 0) await this.#append(() => list.introduce(signer.publicKey, signer, clock.now()));
      const { changed, parted, freed } = await this.#look(list.tree, new Set(accepted));
      const isNew = changed.length > 0;
      if (isNew) await this.#append(() => list.sign({ changed, accepted: freed }, signer, clock.now()));
      return { root: list.last, isNew, parted, accepted: freed };
    });
  }

  /** Goes on with a new key, which the old one signs. Gives the new key. */
  rotateKey(): Promise<Pick<IntroducedKey, "keyId" | "publicKey">> {
    return this.#persist(async () => {
      const { clock, keys } = this.#ports;
      const list = await this.list();
      if (list.key === undefined) {
        throw new KeyturnError(
          "request-refused",
          "nothing has been signed yet: `keyturn audit sign` makes the first key",
        );
      }
      const signer = await this.#signer(list);
      const next = await keys.next();
      await this.#append(() => list.introduce(next.publicKey, signer, clock.now()));
      await keys.settle(next.publicKey);
      return { keyId: keyIdOf(next.publicKey), publicKey: next.publicKey };
    });
  }

  #persist<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#turn.then(() => this.#again(work));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** Others sign, too: whoever was too late looks again. */
  async #again<Result>(work: () => Promise<Result>): Promise<Result> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await work();
      } catch (thrown) {
        if (asKeyturnError(thrown).code !== "conflict" || tries === triesMax) throw thrown;
      }
    }
  }

  /** A key that is not there may have been replaced since the list was read. */
  async #signer(list: RootsList): Promise<AuditSigner> {
    const { keys, roots } = this.#ports;
    try {
      return await keys.signer(list.key?.publicKey);
    } catch (thrown) {
      if ((await roots.end()).hash === list.hash) throw thrown;
      throw new KeyturnError("conflict", "the list of audit roots has gone on to another key", {
        cause: thrown,
      });
    }
  }

  /** What could not be written is forgotten: the list is read again. */
  async #append(made: () => Promise<RootsLine>): Promise<void> {
    try {
      await this.#ports.roots.append(await made());
      this.#see(this.#list);
    } catch (thrown) {
      this.#list = new RootsList(this.#ports.installation);
      throw thrown;
    }
  }

  #see(list: RootsList): void {
    this.#list = list;
    this.#seen = { number: list.number, hash: list.hash };
  }

  async #look(tree: MerkleTree, accepted: ReadonlySet<string>): Promise<Look> {
    const refs = [...new Set([...(await this.#ports.audit.refs()), ...tree.refs])];
    let isOver = false;
    const looked = await inParallel(refs, looksAtOnce, async (ref) => {
      // Nothing will be signed: each further look would wait as long for a log that is out of reach.
      if (isOver) return undefined;
      return this.#lookAt(ref, tree, accepted).catch((thrown: unknown) => {
        isOver = true;
        throw thrown;
      });
    });
    const look: Look = { changed: [], parted: [], freed: [] };
    for (const one of looked) {
      if (one.status === "rejected") throw one.reason;
      if (one.value === undefined) continue;
      const { changed, parted, freed } = one.value;
      look.changed.push(...changed);
      look.parted.push(...parted);
      look.freed.push(...freed);
    }
    return look;
  }

  async #lookAt(ref: string, tree: MerkleTree, accepted: ReadonlySet<string>): Promise<Look> {
    const before = tree.end(ref);
    const end = await this.#end(ref);
    if (end?.sequence === (before?.sequence ?? 0) && end.hash === (before?.hash ?? ""))
      return { changed: [], parted: [], freed: [] };
    if (end !== undefined && isAhead(end, before) && (await this.#extends(end, before)))
      return { changed: [end], parted: [], freed: [] };
    if (end !== undefined && accepted.has(ref) && (await this.#extends(end, undefined)))
      return { changed: [end], parted: [], freed: [ref] };
    return { changed: [], parted: [ref], freed: [] };
  }

  /** Undefined: it cannot be read. */
  async #end(ref: string): Promise<ChainEnd | undefined> {
    try {
      return { ref, ...(await this.#ports.audit.end(ref)) };
    } catch (thrown) {
      if (asKeyturnError(thrown).code !== "data-broken") throw thrown;
      return undefined;
    }
  }

  /** Whether the chain verifies up to that end, and is the one that had the end before. */
  async #extends(end: ChainEnd, before: ChainEnd | undefined): Promise<boolean> {
    const marks = before && [{ ...before, root: 0 }];
    const { entries, broken } = withMarks(this.#ports.audit.read(end.ref), marks);
    const { fault } = await verifyChain(end.ref, entries, end);
    return fault === undefined && broken() === undefined;
  }
}

function broken(message: string): KeyturnError {
  return new KeyturnError("data-broken", message);
}

interface Look {
  readonly changed: ChainEnd[];
  readonly parted: string[];
  /** Of the changed ones those that only a person's word lets in. */
  readonly freed: string[];
}
