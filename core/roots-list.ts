import {
  type AuditSigner,
  hashOfLine,
  introduceKey,
  isAhead,
  isSignedBy,
  keyIdOf,
  type RootLine,
  type RootsLine,
  signRoot,
} from "./audit-root.ts";
import { MerkleTree } from "./merkle.ts";

/** What is wrong with a line of the list of roots, in the order in which it is looked for. */
export type LineFault = "gap" | "unlinked" | "foreign" | "changed" | "unsigned";

/** A key that has signed, or still does. */
export interface IntroducedKey {
  readonly publicKey: string;
  readonly keyId: string;
  /** The line that introduces it, and when that was. */
  readonly number: number;
  readonly at: number;
}

/**
 * The list of roots, read from its first line on. Every line is checked against the ones before it: its place, its hash, its signature by
 * the key that signs at that place, and that its tree is the tree before with the changes that it names, in which chains only grow.
 */
export class RootsList {
  readonly #installation: string;
  readonly #keys: IntroducedKey[] = [];
  readonly tree = new MerkleTree();
  number = 0;
  hash = "";
  last: RootLine | undefined;

  constructor(installation: string) {
    this.#installation = installation;
  }

  get keys(): readonly IntroducedKey[] {
    return this.#keys;
  }

  /** The key that signs now. */
  get key(): IntroducedKey | undefined {
    return this.#keys.at(-1);
  }

  /** Takes the next line; or says what is wrong with it, and is of no more use. */
  add(line: RootsLine): LineFault | undefined {
    const fault = this.#faultOf(line) ?? (line.kind === "root" ? this.#grow(line) : undefined);
    if (fault === undefined) this.#take(line);
    return fault;
  }

  /** Goes on with another key, and gives the line that says so. `signer` is the key before it, or at the beginning the key itself. */
  async introduce(publicKey: string, signer: AuditSigner, at: number): Promise<RootsLine> {
    const line = await introduceKey(publicKey, signer, this, { at, installation: this.#installation });
    this.#take(line);
    return line;
  }

  /** Goes on with a root of the changed ends, and gives its line. A list that was not signed is of no more use. */
  async sign(
    { changed, accepted }: Pick<RootLine, "changed" | "accepted">,
    signer: AuditSigner,
    at: number,
  ): Promise<RootLine> {
    this.tree.set(changed);
    const { size: chains, root } = this.tree;
    const written = { at, installation: this.#installation };
    const line = await signRoot({ chains, root, accepted, changed }, signer, this, written);
    this.#take(line);
    return line;
  }

  #take(line: RootsLine): void {
    const { number, at, hash } = line;
    if (line.kind === "root") this.last = line;
    else this.#keys.push({ publicKey: line.publicKey, keyId: keyIdOf(line.publicKey), number, at });
    this.number = number;
    this.hash = hash;
  }

  #faultOf(line: RootsLine): LineFault | undefined {
    if (line.number !== this.number + 1) return "gap";
    if (line.previousHash !== this.hash) return "unlinked";
    if (line.installation !== this.#installation) return "foreign";
    if (hashOfLine(line) !== line.hash) return "changed";
    const signing = this.key?.publicKey ?? (line.kind === "key" ? line.publicKey : undefined);
    if (signing === undefined || line.keyId !== keyIdOf(signing)) return "unsigned";
    return isSignedBy(signing, line) ? undefined : "unsigned";
  }

  #grow({ changed, accepted, chains, root }: RootLine): LineFault | undefined {
    const named = new Set(changed.map(({ ref }) => ref));
    const free = new Set(accepted);
    const grows = changed.every((end) => free.has(end.ref) || isAhead(end, this.tree.end(end.ref)));
    const isOnce = named.size === changed.length && accepted.every((ref) => named.has(ref));
    if (!grows || !isOnce) return "changed";
    this.tree.set(changed);
    return this.tree.size === chains && this.tree.root === root ? undefined : "changed";
  }
}
