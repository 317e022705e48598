import { describe, expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { adopt } from "./adopt.ts";
import { KeyturnError } from "./errors.ts";
import { asLeaked } from "./leaked-login.ts";
import { request, storeValue, versionMark } from "./operate.ts";
import type { Ports } from "./ports.ts";
import { reconcile } from "./reconcile.ts";
import { newRecord, type Rotation, type RotationRecord, type VersionMark } from "./record.ts";
import { Secret } from "./secret.ts";

const ref = "app/db";
const worded = (words: string, password = "of old") =>
  new Secret(JSON.stringify({ username: "app_a", password, words }));
const rotation: Rotation = { id: "v9", kind: "rotate", urgent: false, requestedBy: "ann", startedAt: 0 };
const tries = { attempts: 0, notBefore: 0 };

describe("a version that leaks", () => {
  /** A store with the login of `current` in other words as `left`, and another login as `other`; what is read of it by version. */
  async function world(broken: Readonly<Record<string, "data-broken" | "unreachable">> = {}) {
    const { ports: own } = memoryPorts(modelTarget().bothLive);
    const reads: string[] = [];
    const save = async (version: string, value: Secret, promote?: { readonly after: string | undefined }) => {
      await own.store.savePending(ref, version, value);
      if (promote === undefined) await own.store.discardPending(ref, version);
      else await own.store.promote(ref, version, promote.after);
    };
    await save("left", worded("his"));
    await save("other", worded("hers", "another"));
    await save("current", worded("hers"), { after: undefined });
    const store: Ports["store"] = {
      ...own.store,
      read: (name, which) => {
        const version = typeof which === "string" ? which : Object.values(which).join();
        reads.push(version);
        const code = broken[version];
        if (code !== undefined) return Promise.reject(new KeyturnError(code, "it cannot be read"));
        return own.store.read(name, which);
      },
    };
    const ports = { ...own, store };
    const mark = async (version: string): Promise<VersionMark> => versionMark(ref, own, version);
    const record = async (changes: Partial<RotationRecord> = {}): Promise<RotationRecord> => ({
      ...newRecord(ref),
      current: { ...(await mark("current")), since: 0 },
      ...changes,
    });
    return { ports, reads, mark, record };
  }
  /** Not at rest: the record says which version is current. */
  const inSet = (changes: Partial<Rotation> = {}) =>
    ({ state: { phase: "set", rotation: { ...rotation, ...changes }, ...tries } }) as const;

  test("is another name of current where it has its login in other words", async () => {
    const { ports, mark, record, reads } = await world();
    const before = await record(inSet());
    expect(await asLeaked(before, await mark("left"), ports)).toEqual({
      ...before,
      sameLogin: [["left", "current"]],
    });
    expect(reads).toEqual(["left", "current"]);
  });

  test("is another name of what current took over from, where it has that login", async () => {
    const { ports, mark, record } = await world();
    const previous = await mark("current");
    const current = { ...(await mark("other")), since: 0 };
    const before = await record({ ...inSet({ previous }), current });
    expect((await asLeaked(before, await mark("left"), ports)).sameLogin).toEqual([["left", "current"]]);
  });

  test("is another name of what a rollback brings back, and of what is owed, where they have that login", async () => {
    const { ports, mark, record } = await world();
    const elsewhere = { current: { ...(await mark("other")), since: 0 } };
    const restores = await mark("current");
    const inRollback = await record({ ...inSet({ restores }), ...elsewhere });
    expect((await asLeaked(inRollback, await mark("left"), ports)).sameLogin).toEqual([["left", "current"]]);
    const debt = { ...restores, reason: "retired", since: 0, cutFirst: false, ...tries } as const;
    const owing = await record({ ...inSet(), ...elsewhere, debts: [debt] });
    expect((await asLeaked(owing, await mark("left"), ports)).sameLogin).toEqual([["left", "current"]]);
  });

  test("and is owed itself is compared with all others", async () => {
    const { ports, mark, record, reads } = await world();
    const left = { ...(await mark("left")), reason: "leaked", since: 0, cutFirst: false, ...tries } as const;
    const elsewhere = { current: { ...(await mark("other")), since: 0 } };
    const owing = { ...left, ...(await mark("current")) };
    const before = await record({ ...inSet(), ...elsewhere, debts: [left, owing] });
    expect((await asLeaked(before, left, ports)).sameLogin).toEqual([["left", "current"]]);
    expect(reads).toEqual(["left", "other", "current"]);
  });

  test("at rest, and published after all, is owed no more; a leaked value that it took over from is", async () => {
    const { ports, mark, record } = await world();
    const before = { ...(await mark("other")), since: 0 };
    const debt = {
      ...(await mark("current")),
      reason: "superseded",
      since: 0,
      cutFirst: false,
      ...tries,
    } as const;
    const leak = { ...before, reportedBy: "ann", at: 0 };
    const resting = await record({ current: before, debts: [debt], compromised: [leak] });
    const after = await asLeaked(resting, debt, ports);
    expect(after.current?.version).toBe("current");
    expect(after.debts).toMatchObject([
      { version: "other", reason: "leaked", notBefore: ports.clock.now(), since: ports.clock.now() },
    ]);
  });

  test("at rest, and stored in other words, is told as an import that has not ended, with those that were", async () => {
    const { ports, mark, record } = await world();
    const before = { ...(await mark("left")), since: 0 };
    const after = await asLeaked(await record({ current: before, importing: ["theirs"] }), before, ports);
    expect(after.importing).toEqual(["theirs", "current"]);
    expect((await asLeaked(await record({ current: before }), before, ports)).importing).toEqual(["current"]);
    expect(after.sameLogin).toEqual([["current", "left"]]);
  });

  test("with another login is no name of anything", async () => {
    const { ports, mark, record } = await world();
    const before = await record(inSet());
    expect(await asLeaked(before, await mark("other"), ports)).toBe(before);
  });

  test.each<readonly [string, string, (mark: VersionMark) => Partial<RotationRecord>]>([
    ["current", "current", () => inSet()],
    ["a name of current", "left", () => ({ ...inSet(), sameLogin: [["left", "current"]] })],
    ["the candidate", "other", (pending) => inSet({ pending })],
    ["what a rollback brings back", "other", (restores) => inSet({ restores })],
    ["what the rotation replaces", "other", (previous) => inSet({ previous })],
  ])("and is known to be %s asks the store for nothing", async (_, version, changes) => {
    const { ports, mark, record, reads } = await world();
    const leaked = await mark(version);
    const before = await record(changes(leaked));
    expect(await asLeaked(before, leaked, ports)).toBe(before);
    expect(reads).toEqual([]);
  });

  test.each([
    ["itself", "left", "data-broken"],
    ["itself", "left", "unreachable"],
    ["current", "current", "data-broken"],
    ["current", "current", "unreachable"],
  ] as const)("is cut off although %s cannot be read: %s, %s", async (_, version, code) => {
    const { ports, mark, record } = await world({ [version]: code });
    const before = await record(inSet());
    expect(await asLeaked(before, await mark("left"), ports)).toBe(before);
  });

  test("of which nothing is left tells nothing", async () => {
    const { ports, record } = await world();
    const before = await record(inSet());
    expect(await asLeaked(before, { version: "gone", fingerprint: "any" }, ports)).toBe(before);
  });

  test("of a secret of which nothing is known tells nothing", async () => {
    const { ports, mark } = await world();
    const before = { ...newRecord(ref), ...inSet() };
    expect(await asLeaked(before, await mark("left"), ports)).toBe(before);
  });
});

test("a leak of what an overtaken import has left in the store is one of current, and gets a successor", async () => {
  const target = modelTarget();
  const { ports, clock } = memoryPorts(target.bothLive);
  target.meddle("app_a", "of old");
  await adopt(ref, ports, worded("hers"), "ann");
  await ports.store.savePending(ref, "left", worded("his"));
  await ports.store.discardPending(ref, "left");
  const version = await versionMark(ref, ports, "left");
  await request(ref, ports, { kind: "emergency", by: "ann", version, cutFirst: false });
  for (let turn = 0; turn < 3; turn += 1) {
    clock.advance(60_000);
    await reconcile(ref, ports, { worker: "worker" });
  }
  expect((await ports.journal.load(ref))?.record).toMatchObject({
    state: { phase: "idle" },
    debts: [],
    compromised: [{ version: "left", refusedAt: expect.any(Number) }],
  });
  expect(target.accepts("app_a", "of old")).toBe(false);
  const current = JSON.parse((await ports.store.read(ref, "current"))?.value.reveal() ?? "{}");
  expect(target.accepts(current.username, current.password)).toBe(true);
});

test.each([true, false])(
  "a leak whose login could not be read when it was told is one of current once it can be, cut first: %s",
  async (cutFirst) => {
    const target = modelTarget();
    const { ports, clock } = memoryPorts(target.bothLive);
    target.meddle("app_a", "of old");
    const { version: current } = await adopt(ref, ports, worded("hers"), "ann");
    await ports.store.savePending(ref, "left", worded("his"));
    await ports.store.discardPending(ref, "left");
    const version = await versionMark(ref, ports, "left");
    const read: Ports["store"]["read"] = (name, which) =>
      typeof which !== "string" && "version" in which && which.version === current
        ? Promise.reject(new KeyturnError("unreachable", "the store is away"))
        : ports.store.read(name, which);
    const broken: Ports = { ...ports, store: { ...ports.store, read } };
    const leak = { kind: "emergency", by: "ann", version, cutFirst } as const;
    expect((await request(ref, broken, leak)).record.sameLogin).toEqual([]);
    for (let turn = 0; turn < 3; turn += 1) {
      await reconcile(ref, ports, { worker: "worker" });
      clock.advance(60_000);
    }
    const record = (await ports.journal.load(ref))?.record;
    expect(record).toMatchObject({ state: { phase: "idle" }, debts: [], sameLogin: [["left", current]] });
    expect(target.accepts("app_a", "of old")).toBe(false);
    const now = JSON.parse((await ports.store.read(ref, "current"))?.value.reveal() ?? "{}");
    expect(target.accepts(now.username, now.password)).toBe(true);
  },
);

test("a leak that is told again is known by its name from then on", async () => {
  const target = modelTarget();
  const { ports } = memoryPorts(target.bothLive);
  target.meddle("app_a", "of old");
  const { version: current } = await adopt(ref, ports, worded("hers"), "ann");
  await ports.store.savePending(ref, "left", worded("his"));
  await ports.store.discardPending(ref, "left");
  const version = await versionMark(ref, ports, "left");
  const broken: Ports = {
    ...ports,
    store: { ...ports.store, read: () => Promise.reject(new KeyturnError("unreachable", "it is away")) },
  };
  const leak = { kind: "emergency", by: "ann", version, cutFirst: false } as const;
  const known = await ports.journal.load(ref);
  const inSet: RotationRecord = {
    ...newRecord(ref),
    ...known?.record,
    state: { phase: "set", rotation, ...tries },
  };
  await ports.journal.save(inSet, known?.revision);
  expect((await request(ref, broken, leak)).answer).toBe("began");
  expect(await request(ref, ports, leak)).toMatchObject({
    answer: "joined",
    record: { sameLogin: [["left", current]] },
  });
  expect((await ports.journal.load(ref))?.record.sameLogin).toEqual([["left", current]]);
});

test("what somebody has stored in other words is never shut for the name that is owed", async () => {
  const target = modelTarget();
  const { ports, clock } = memoryPorts(target.bothLive);
  target.meddle("app_a", "of old");
  const { version: old } = await adopt(ref, ports, worded("hers"), "ann");
  await request(ref, ports, { kind: "rotate", by: "ann" });
  const { record } = await reconcile(ref, ports, { worker: "worker" });
  expect(record.state.phase).toBe("grace");
  await storeValue(ref, ports, worded("his"), {});
  clock.advance(600_000);
  const after = await reconcile(ref, ports, { worker: "worker" });
  expect(after.record.debts).toMatchObject([{ version: old }]);
  expect(target.accepts("app_a", "of old")).toBe(true);
});
