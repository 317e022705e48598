import { describe, expect, test } from "vitest";
import { AgentReport, type AgentState, type FleetView, hear, isReleased, viewFleet } from "./fleet.ts";

const now = 1_000_000;
const policy = { cacheTtlMs: 1_000, graceAtMostMs: 60_000 };

function agent(name: string, changes: Partial<AgentState> = {}): AgentState {
  return {
    ref: "app/db",
    agent: name,
    fleet: "agents",
    sequence: 1,
    inUse: [],
    holds: [],
    seenAt: now,
    adoptedAt: undefined,
    holdSeenAt: {},
    ...changes,
  };
}

const onNew = { adopted: "new", inUse: ["new"] };
const onBoth = { adopted: "new", inUse: ["new", "old"] };
const onOld = { adopted: "old", inUse: ["old"] };
const silent = { seenAt: now - 3 * policy.cacheTtlMs };
const held = (since: number, ...ids: readonly string[]) => ({
  holds: ids.map((id) => ({ id, version: "old", since: 0 })),
  holdSeenAt: Object.fromEntries(ids.map((id) => [id, since])),
});
const longAgo = now - policy.graceAtMostMs;

/** live, adopted, laggards, holders, gone; and whether the old version is released. */
type Row = readonly [live: number, adopted: number, laggards: string, holders: string, gone: string, boolean];

const rows: Readonly<Record<string, readonly [readonly AgentState[], Row]>> = {
  "nobody reports": [[], [0, 0, "", "", "", false]],
  "one has changed over": [[agent("a", onNew)], [1, 1, "", "", "", true]],
  "one is on the old one": [[agent("a", onOld)], [1, 0, "a", "", "", false]],
  "one has used the new one and not dropped the old one": [[agent("a", onBoth)], [1, 1, "a", "", "", false]],
  "one lives and has used neither": [[agent("a")], [1, 0, "", "", "", false]],
  "one has changed over, one has used neither": [
    [agent("a", onNew), agent("b")],
    [2, 1, "", "", "", true],
  ],
  "one has changed over, one not": [
    [agent("a", onNew), agent("b", onOld)],
    [2, 1, "b", "", "", false],
  ],
  "one uses a version that is neither": [
    [agent("a", { adopted: "older", inUse: ["older"] })],
    [1, 0, "", "", "", false],
  ],
  "heard of just within three TTLs": [
    [agent("a", { ...onOld, seenAt: now - 2_999 }), agent("b", onNew)],
    [2, 1, "a", "", "", false],
  ],
  "silent for three TTLs on the old one is gone, and not waited for": [
    [agent("a", { ...onOld, ...silent }), agent("b", onNew)],
    [1, 1, "", "", "a", true],
  ],
  "silent on the new one is not told as gone": [
    [agent("a", { ...onNew, ...silent })],
    [0, 0, "", "", "", false],
  ],
  "all silent prove nothing": [
    [agent("a", { ...onOld, ...silent }), agent("b", { ...onNew, ...silent })],
    [0, 0, "", "", "a", false],
  ],
  "leaving is not waited for, nor told as gone": [
    [agent("a", { ...onOld, leaving: true }), agent("b", onNew)],
    [1, 1, "", "", "", true],
  ],
  "leaving on the new one proves nothing": [
    [agent("a", { ...onNew, leaving: true })],
    [0, 0, "", "", "", false],
  ],
  "a hold on the old one": [[agent("a", { ...onBoth, ...held(now - 5, "h") })], [1, 1, "a", "a", "", false]],
  "a hold just before the longest grace is over": [
    [agent("a", { ...onBoth, ...held(longAgo + 1, "h") })],
    [1, 1, "a", "a", "", false],
  ],
  "a hold that outlasts the longest grace no longer counts": [
    [agent("a", { ...onBoth, ...held(longAgo, "h") })],
    [1, 1, "", "", "", true],
  ],
  "of two holds one is still in time": [
    [
      agent("a", {
        ...onBoth,
        ...held(longAgo, "h1", "h2"),
        holdSeenAt: { h1: longAgo, h2: now - 5 },
      }),
    ],
    [1, 1, "a", "a", "", false],
  ],
  "a hold that nobody saw begin is new": [
    [agent("a", { ...onBoth, holds: [{ id: "h", version: "old", since: 0 }] })],
    [1, 1, "a", "a", "", false],
  ],
  "the agent's clock counts for nothing": [
    [agent("a", { ...onBoth, ...held(now, "h"), holds: [{ id: "h", version: "old", since: -1e12 }] })],
    [1, 1, "a", "a", "", false],
  ],
  "a hold on the old one that is in no cache and no connection": [
    [agent("a", { ...onNew, ...held(now - 5, "h") })],
    [1, 1, "a", "a", "", false],
  ],
  "a hold on the new one does not prolong one on the old one": [
    [
      agent("a", {
        ...onBoth,
        holds: [
          { id: "h1", version: "old", since: 0 },
          { id: "h2", version: "new", since: 0 },
        ],
        holdSeenAt: { h1: longAgo, h2: now },
      }),
    ],
    [1, 1, "", "", "", true],
  ],
  "whoever has the old one in use, and holds the new one, is no holder": [
    [agent("a", { ...onBoth, holds: [{ id: "h", version: "new", since: 0 }], holdSeenAt: { h: now } })],
    [1, 1, "a", "", "", false],
  ],
  "a hold on the new one keeps nothing": [
    [agent("a", { ...onNew, holds: [{ id: "h", version: "new", since: 0 }], holdSeenAt: { h: longAgo } })],
    [1, 1, "", "", "", true],
  ],
};

function shown(view: FleetView): Row {
  const { live, adopted, laggards, holders, gone } = view;
  return [live, adopted, laggards.join(), holders.join(), gone.join(), isReleased(view)];
}

describe("viewFleet", () => {
  test.each(Object.entries(rows))("%s", (_, [agents, expected]) => {
    expect(shown(viewFleet(agents, { old: ["old"], new: "new" }, policy, now))).toEqual(expected);
  });

  test("without an old version nobody lags", () => {
    const agents = [agent("a", onOld), agent("b", onNew)];
    const view = viewFleet(agents, { old: [], new: "new" }, policy, now);
    expect(shown(view)).toEqual([2, 1, "", "", "", true]);
  });

  test.each([
    ["in use", { inUse: ["older"] }, "a", ""],
    ["by a hold", { holds: [{ id: "h", version: "older", since: 0 }] }, "a", "a"],
    [
      "in use, while a hold on another of them is too old to count",
      { ...held(longAgo, "h"), inUse: ["old", "older"] },
      "a",
      "a",
    ],
    [
      "by holds that are too old to count on each of them",
      {
        inUse: ["old", "older"],
        holds: [
          { id: "h1", version: "old", since: 0 },
          { id: "h2", version: "older", since: 0 },
        ],
        holdSeenAt: { h1: longAgo, h2: longAgo },
      },
      "",
      "",
    ],
  ])(
    "the old one goes by several names, and whoever has any of them lags: %s",
    (_, use, laggards, holders) => {
      const agents = [agent("a", { adopted: "new", ...use }), agent("b", onNew)];
      const view = viewFleet(agents, { old: ["old", "older"], new: "new" }, policy, now);
      expect(shown(view)).toEqual([2, 2, laggards, holders, "", laggards === ""]);
    },
  );

  test("an agent from the future, by a clock that was set back, is live", () => {
    const view = viewFleet(
      [agent("a", { ...onOld, seenAt: now + 9_999 })],
      { old: ["old"], new: "new" },
      policy,
      now,
    );
    expect(view.laggards).toEqual(["a"]);
  });
});

describe("what an agent sends", () => {
  const hold = { id: "h", version: "old", since: 0 };
  const report = { ref: "app/db", agent: "a", fleet: "agents", sequence: 1, inUse: ["old"], holds: [hold] };

  test("is taken as it is", () => {
    expect(AgentReport.parse(report)).toEqual(report);
    const more = { ...report, adopted: "new", leaving: true };
    expect(AgentReport.parse(more)).toEqual(more);
  });

  test.each(["ref", "agent", "fleet", "sequence", "inUse", "holds"])("is refused without its %s", (field) => {
    expect(AgentReport.safeParse({ ...report, [field]: undefined }).success).toBe(false);
  });

  test.each(["id", "version", "since"])("is refused with a hold without its %s", (field) => {
    const holds = [{ ...hold, [field]: undefined }];
    expect(AgentReport.safeParse({ ...report, holds }).success).toBe(false);
  });
});

describe("what an agent is known to say", () => {
  const report = (changes: Partial<AgentReport> = {}): AgentReport => ({
    ref: "app/db",
    agent: "a",
    fleet: "agents",
    sequence: 5,
    inUse: ["v2"],
    holds: [],
    ...changes,
  });
  const hold = (id: string) => ({ id, version: "v1", since: 1 });

  test("the first time is its report, with the time at which it came", () => {
    const said = report({ adopted: "v2", holds: [hold("h")], leaving: true });
    expect(hear(undefined, said, 100)).toEqual({
      ...said,
      seenAt: 100,
      adoptedAt: 100,
      holdSeenAt: { h: 100 },
    });
    expect(hear(undefined, report(), 100)).toEqual({
      ...report(),
      seenAt: 100,
      adoptedAt: undefined,
      holdSeenAt: {},
    });
  });

  test.each([
    [4, true],
    [5, false],
    [6, false],
  ])("changes by a greater sequence than %i: %s", (sequence, isNews) => {
    const known = agent("a", { sequence });
    expect(hear(known, report(), 200) !== undefined).toBe(isNews);
  });

  test.each([
    ["the same version", "v2", "v2", 100],
    ["another version", "v1", "v2", 200],
    ["a first version", undefined, "v2", 200],
    ["none any more", "v2", undefined, undefined],
  ])("keeps when it first named what it has adopted: %s", (_, before, adopted, expected) => {
    const known = agent("a", { ...(before === undefined ? {} : { adopted: before }), adoptedAt: 100 });
    const said = report(adopted === undefined ? {} : { adopted });
    expect(hear(known, said, 200)?.adoptedAt).toBe(expected);
  });

  test("keeps when each hold was first seen, and forgets those that were let go", () => {
    const known = agent("a", { holdSeenAt: { kept: 100, "let go": 100 } });
    const said = report({ holds: [hold("kept"), hold("new")] });
    expect(hear(known, said, 200)?.holdSeenAt).toEqual({ kept: 100, new: 200 });
  });
});
