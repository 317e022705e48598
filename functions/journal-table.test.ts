import { describe, expect, test } from "vitest";
import {
  agentKey,
  agentPartitions,
  dueShardOf,
  dueShards,
  fingerprintKey,
  journalTable,
  placeKey,
  recordKey,
  refKey,
} from "./journal-table.ts";

const flat = ({ pk, sk }: ReturnType<typeof recordKey>) => [pk.S, sk.S];

describe("a key of the journal's table", () => {
  test.each([
    ["a record", recordKey("app/db"), ["secret#app/db", "record"]],
    ["a name in the list of secrets", refKey("app/db"), ["refs", "ref#app/db"]],
    ["an agent's word", agentKey("app/db", "host-1"), ["agents#4#app/db", "agent#host-1"]],
    ["another agent's word", agentKey("app/db", "host-3"), ["agents#7#app/db", "agent#host-3"]],
    ["a fingerprint", fingerprintKey("k1:ab"), ["fingerprint#k1:ab", "known"]],
    [
      "a place of a fingerprint",
      placeKey("k1:ab", "app/db", "v1", "password"),
      ["fingerprint#k1:ab", 'place#["app/db","v1","password"]'],
    ],
  ])("of %s stays what it is: a table that is there has it", (_, key, expected) => {
    expect(flat(key)).toEqual(expected);
  });

  test.each([
    ["places", placeKey("f", "a", "b#c", "d"), placeKey("f", "a#b", "c", "d")],
    ["places with quotes", placeKey("f", 'a","b', "c", "d"), placeKey("f", "a", 'b","c', "d")],
    ["agents and secrets", agentKey("a", "b#c"), agentKey("a#b", "c")],
    ["secrets and shards", agentKey("0#a", "b"), agentKey("a", "b")],
  ])("is never another one's: %s", (_, one, other) => {
    expect(flat(one)).not.toEqual(flat(other));
  });

  test.each([
    ["secret", () => refKey("r".repeat(1100)), "the name of the ref that begins with rrr"],
    ["secret in letters of four bytes", () => refKey("😀".repeat(300)), "longer than the 1024 bytes"],
    ["agent", () => agentKey("app/db", "a".repeat(1100)), "the name of the agent that begins with aaa"],
    ["partition", () => recordKey("r".repeat(2100)), "longer than the 2048 bytes"],
  ])("refuses a name that DynamoDB does not take, and says which: %s", (_, make, said) => {
    expect(make).toThrow(expect.objectContaining({ code: "input-invalid" }));
    expect(make).toThrow(said);
  });
});

describe("is spread", () => {
  const share = (shards: readonly string[]): number => {
    const counts = Map.groupBy(shards, (shard) => shard);
    return Math.max(...[...counts.values()].map(({ length }) => length)) / shards.length;
  };

  test("ten thousand agents of one secret: no partition has much more than its eighth", () => {
    const agents = Array.from({ length: 10_000 }, (_, at) => agentKey("app/db", `host-${at}`).pk.S);
    expect(new Set(agents)).toEqual(new Set(agentPartitions("app/db")));
    expect(share(agents)).toBeLessThan(0.14);
  });

  test("what is due: no shard has much more than its quarter", () => {
    const due = Array.from({ length: 10_000 }, (_, at) => dueShardOf(`app/${at}`));
    expect(new Set(due)).toEqual(new Set(dueShards));
    expect(share(due)).toBeLessThan(0.27);
  });
});

test("the index of what is due has what a tick asks for, and no record", () => {
  expect(journalTable.GlobalSecondaryIndexes[0]?.Projection).toEqual({
    ProjectionType: "INCLUDE",
    NonKeyAttributes: ["ref"],
  });
});
