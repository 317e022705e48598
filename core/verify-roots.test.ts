import { beforeAll, describe, expect, test } from "vitest";
import { sampleChain } from "./audit-log.contract.ts";
import { type Anchor, anchorOf, type RootLine, type RootsLine } from "./audit-root.ts";
import { signerOf } from "./audit-roots.contract.ts";
import { KeyturnError } from "./errors.ts";
import { RootsList } from "./roots-list.ts";
import { type Mark, verifyRoots, withMarks } from "./verify-roots.ts";

const [mine, other] = [signerOf(1), signerOf(2)];
const installation = "mine";
const end = (ref: string, sequence: number): RootLine["changed"][number] => ({
  ref,
  sequence,
  hash: `${ref} ${sequence}`,
});

/** A key, three roots with an accepted chain in the last of them, and another key; and the same signed at another time. */
async function listAt(at: number) {
  const list = new RootsList(installation);
  const key = await list.introduce(mine.publicKey, mine, at);
  const one = await list.sign({ changed: [end("a", 3), end("b", 2)], accepted: [] }, mine, at);
  const two = await list.sign({ changed: [end("a", 5)], accepted: [] }, mine, at);
  const three = await list.sign({ changed: [end("b", 1), end("a", 6)], accepted: ["b"] }, mine, at);
  const last = await list.introduce(other.publicKey, mine, at);
  return { lines: [key, one, two, three, last], roots: { one, two, three }, keys: list.keys };
}
let listed: Awaited<ReturnType<typeof listAt>>;
let elsewhere: typeof listed;
beforeAll(async () => {
  [listed, elsewhere] = await Promise.all([listAt(5), listAt(6)]);
});

async function* stream<Item>(items: readonly Item[], fails?: KeyturnError): AsyncGenerator<Item> {
  yield* items;
  if (fails !== undefined) throw fails;
}

const publicKeys = [signerOf(3).publicKey, other.publicKey];
const verified = (lines: readonly RootsLine[], anchor?: Anchor, fails?: KeyturnError) =>
  verifyRoots(stream(lines, fails), { installation, anchor, publicKeys });

describe("a list of roots", () => {
  test("that is whole tells its lines, its keys, and what it says of each chain", async () => {
    const { lines, roots, keys } = listed;
    expect(await verifyRoots(stream(lines), { installation })).toEqual({
      lines: 5,
      keys,
      last: roots.three,
      fault: undefined,
      marks: new Map([
        [
          "a",
          [
            { sequence: 3, hash: "a 3", root: 2 },
            { sequence: 5, hash: "a 5", root: 3 },
            { sequence: 6, hash: "a 6", root: 4 },
          ],
        ],
        // What it said of it before is over: a person has accepted another one.
        ["b", [{ sequence: 1, hash: "b 1", root: 4 }]],
      ]),
      accepted: [{ ref: "b", root: 4, at: 5 }],
    });
  });

  test("has its fault at the first line that is wrong, and tells what came before", async () => {
    const { lines, roots } = listed;
    const verdict = await verified([...lines.slice(0, 2), ...lines.slice(3)]);
    expect(verdict).toMatchObject({ lines: 2, last: roots.one, fault: { kind: "gap", number: 4 } });
    expect(verdict.marks.get("a")).toEqual([{ sequence: 3, hash: "a 3", root: 2 }]);
    expect(verdict.accepted).toEqual([]);
  });

  test("that cannot be read has a fault; an outage is one", async () => {
    const lines = listed.lines.slice(0, 2);
    const broken = await verified(lines, undefined, new KeyturnError("data-broken", "line 3"));
    expect(broken).toMatchObject({ lines: 2, fault: { kind: "unreadable", number: 3 } });
    const outage = new KeyturnError("audit-unavailable", "no disk");
    await expect(verified(lines, undefined, outage)).rejects.toBe(outage);
  });

  test("is known by the anchor, wherever in the list it stands", async () => {
    for (const root of Object.values(listed.roots)) {
      expect((await verified(listed.lines, anchorOf(root))).fault).toBeUndefined();
    }
  });

  test("has another line than the anchor, and another fault comes first", async () => {
    const anchor = anchorOf(elsewhere.roots.two);
    const { lines } = listed;
    expect((await verified(lines, anchor)).fault).toEqual({ kind: "diverged", number: 3 });
    const key = { installation, anchor, publicKeys: ["another"] };
    expect((await verifyRoots(stream(lines), key)).fault).toEqual({ kind: "diverged", number: 3 });
    const cut = [...lines.slice(0, 3), ...lines.slice(4)];
    expect((await verified(cut, anchor)).fault).toEqual({ kind: "gap", number: 5 });
  });

  test("that ends before the anchor is older, and one that ends with it is not", async () => {
    const anchor = anchorOf(listed.roots.three);
    const { lines } = listed;
    const known = { installation, anchor };
    expect((await verifyRoots(stream(lines.slice(0, 3)), known)).fault).toEqual({ kind: "older", number: 3 });
    expect((await verifyRoots(stream(lines.slice(0, 4)), known)).fault).toBeUndefined();
  });

  test("is another key's, where this machine has another", async () => {
    const { lines } = listed;
    const known = { installation, publicKeys: [mine.publicKey] };
    expect((await verifyRoots(stream(lines), known)).fault).toEqual({ kind: "another-key", number: 5 });
    expect((await verifyRoots(stream(lines.slice(0, 4)), known)).fault).toBeUndefined();
  });

  test("is missing where there is a key, and not where there is none", async () => {
    expect((await verified([])).fault).toEqual({ kind: "missing", number: 0 });
    expect((await verifyRoots(stream([]), { installation })).fault).toBeUndefined();
  });

  test("of another installation is foreign", async () => {
    const known = { installation: "another" };
    expect((await verifyRoots(stream(listed.lines), known)).fault).toEqual({ kind: "foreign", number: 1 });
  });
});

describe("a chain against the marks of the roots", () => {
  const chain = sampleChain("a", 4);
  const markAt = (sequence: number, root: number, hash = chain[sequence - 1]?.hash ?? ""): Mark => ({
    sequence,
    hash,
    root,
  });

  test.each<[string, readonly Mark[], object | undefined]>([
    ["keeps none", [], undefined],
    ["keeps all", [markAt(2, 2), markAt(4, 3)], undefined],
    ["keeps two of one entry", [markAt(2, 2), markAt(2, 3)], undefined],
    ["has another entry", [markAt(2, 2, "x"), markAt(4, 3)], { kind: "replaced", sequence: 2, root: 2 }],
    [
      "has two others: the first is told",
      [markAt(2, 2, "x"), markAt(3, 3, "y")],
      { kind: "replaced", sequence: 2, root: 2 },
    ],
    [
      "has another by the second mark of one entry",
      [markAt(2, 2), markAt(2, 3, "x")],
      { kind: "replaced", sequence: 2, root: 3 },
    ],
    [
      "ends before it: the first is told",
      [markAt(4, 2), markAt(5, 3, "x"), markAt(6, 4, "y")],
      { kind: "cut-off", sequence: 4, root: 3 },
    ],
    [
      "has another entry, and ends before a mark",
      [markAt(2, 2, "x"), markAt(6, 3, "y")],
      { kind: "replaced", sequence: 2, root: 2 },
    ],
  ])("%s", async (_, marks, expected) => {
    const { entries, broken } = withMarks(stream(chain), marks);
    // Nothing is known before it was read to its end.
    expect(broken()).toBeUndefined();
    expect(await Array.fromAsync(entries)).toEqual(chain);
    expect(broken()).toEqual(expected);
  });

  test("of an empty chain are all beyond its end", async () => {
    const { entries, broken } = withMarks(stream([]), [markAt(1, 2)]);
    expect(await Array.fromAsync(entries)).toEqual([]);
    expect(broken()).toEqual({ kind: "cut-off", sequence: 0, root: 2 });
  });
});
