import { describe, expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { adopt } from "./adopt.ts";
import { KeyturnError } from "./errors.ts";
import { request, versionMark } from "./operate.ts";
import type { Ports } from "./ports.ts";
import { reconcile } from "./reconcile.ts";
import { type Debt, newRecord, type Rotation, type RotationRecord, type State } from "./record.ts";
import { Redactor } from "./redact.ts";
import type { RawContext, Rotator } from "./rotator.ts";
import { Secret } from "./secret.ts";
import { Session } from "./session.ts";
import { settle } from "./settle.ts";
import type { Stand } from "./stand.ts";
import { perform } from "./steps.ts";

const ref = "app/db";
/** One login in the words of each version, but for those that have another. */
const worded = (version: string, password = "of old") =>
  new Secret(JSON.stringify({ username: "app_a", password, words: version }));
const { bothLive } = modelTarget();
const { fingerprinter } = memoryPorts(bothLive).ports;
const printOf = (version: string) => fingerprinter.fingerprint(worded(version).reveal());
const mark = (version: string) => ({ version, fingerprint: printOf(version) });
const names = new Map(["v0", "v1", "v2", "v3"].map((version) => [printOf(version), version]));
const tries = { attempts: 0, notBefore: 0 };
const debtOf = (version: string, changes: Partial<Debt> = {}): Debt => ({
  ...mark(version),
  ...{ reason: "leaked", since: 0, cutFirst: false, ...tries },
  ...changes,
});

/**
 * A store with every version, of which `current` is current, and a target that refuses the login once it was retired by the words in which it knows
 * it; `calls` has what is asked of it, by whom, at which epoch and in which words.
 */
async function world(given: {
  readonly marked: string;
  readonly current?: string;
  readonly record?: Partial<RotationRecord>;
  readonly broken?: Readonly<Record<string, "data-broken" | "unreachable">>;
  readonly adopt?: "admin-refused" | "login-refused" | "unreachable";
  /** What the target says of the login until it is retired. */
  readonly verdict?: "unknown" | "refused";
  /** The login bears no mark yet. */
  readonly isUnmarked?: boolean;
  readonly overlap?: Rotator["overlap"];
}) {
  const { ports: own, managed } = memoryPorts(bothLive);
  const calls: string[] = [];
  for (const version of ["v0", "v1", "v2", "v3"]) {
    await own.store.savePending(
      ref,
      version,
      version === "v3" ? worded(version, "another") : worded(version),
    );
    if (version === given.current) await own.store.promote(ref, version, undefined);
    else await own.store.discardPending(ref, version);
  }
  let isRefused = false;
  let { isUnmarked = false } = given;
  const told = (verb: string, { fence }: RawContext) =>
    void calls.push(`${verb} ${fence.rotationId}@${fence.epoch}/${names.get(fence.fingerprint)}`);
  const rotator: Rotator = {
    ...bothLive,
    overlap: given.overlap ?? "both-live",
    adopt: async (_, context) => {
      told("adopt", context);
      if (given.adopt !== undefined) throw new KeyturnError(given.adopt, "it is not marked");
      isUnmarked = false;
    },
    retire: async (_, context) => {
      told("retire", context);
      if (isUnmarked) throw new KeyturnError("not-managed", "it bears no mark");
      isRefused ||= names.get(context.fence.fingerprint) === given.marked;
      return { sessionsEnded: isRefused ? 3 : 1, survives: isRefused ? ["a copy"] : [] };
    },
    refused: async (_, context) => {
      told("refused", context);
      return isRefused ? "refused" : (given.verdict ?? "accepted");
    },
  };
  const read: Ports["store"]["read"] = (name, which) => {
    const code = typeof which === "string" ? undefined : given.broken?.[Object.values(which).join()];
    return code === undefined
      ? own.store.read(name, which)
      : Promise.reject(new KeyturnError(code, "it cannot be read"));
  };
  const record = { ...newRecord(ref), epoch: 7, ...given.record };
  const ports: Ports = { ...own, store: { ...own.store, read } };
  const stand: Stand = { ports, managed, rotator, record, session: new Session(), redactor: new Redactor() };
  return { calls, stand };
}

describe("what is owed, and marked in other words", () => {
  const sameLogin: RotationRecord["sameLogin"] = [
    ["v0", "v1"],
    ["v1", "v2"],
  ];
  const proven = ["retire v0@7/v0", "refused v0@7/v0"];

  test("is retired by those as well, as often as it takes", async () => {
    const { calls, stand } = await world({ marked: "v2", record: { sameLogin } });
    expect(await settle(stand, debtOf("v0"), false)).toEqual({
      ...{ step: "settle", debt: debtOf("v0"), result: "refused", sessionsEnded: 5, survives: ["a copy"] },
    });
    expect(calls).toEqual([
      ...[...proven, "retire v0@7/v1", "refused v0@7/v0"],
      ...["retire v0@7/v2", "refused v0@7/v0"],
    ]);
  });

  test("is retired by no more of them once it is refused", async () => {
    const { calls, stand } = await world({ marked: "v1", record: { sameLogin } });
    expect(await settle(stand, debtOf("v0"), false)).toMatchObject({ result: "refused", sessionsEnded: 4 });
    expect(calls).toEqual([...proven, "retire v0@7/v1", "refused v0@7/v0"]);
    const known = await world({ marked: "v0", record: { sameLogin }, broken: { v1: "unreachable" } });
    expect(await settle(known.stand, debtOf("v0"), false)).toMatchObject({ result: "refused" });
    expect(known.calls).toEqual(proven);
  });

  test("is not proven where it is by none that is known", async () => {
    const { calls, stand } = await world({ marked: "v2", record: { sameLogin: [["v0", "v1"]] } });
    await expect(settle(stand, debtOf("v0"), false)).rejects.toMatchObject({
      code: "not-proven",
      message: "v0 is not proven refused: the target still accepts it",
    });
    expect(calls).toEqual([...proven, "retire v0@7/v1", "refused v0@7/v0"]);
  });

  test("has leaked is retired in all of them also while the target gives no clear answer", async () => {
    const given = { marked: "v1", verdict: "unknown", record: { sameLogin } } as const;
    const leaked = await world(given);
    expect(await settle(leaked.stand, debtOf("v0"), false)).toMatchObject({ result: "refused" });
    const { calls, stand } = await world(given);
    await expect(settle(stand, debtOf("v0", { reason: "retired" }), false)).rejects.toMatchObject({
      code: "not-proven",
      message: "v0 is not proven refused: the target gives no clear answer",
    });
    expect(calls).toEqual(proven);
  });

  test("has leaked is retired in the words of what the rotation replaces, if that is the same login", async () => {
    const inGrace = (previous: string): State => ({
      phase: "grace",
      rotation: {
        id: "v9",
        kind: "rotate",
        urgent: false,
        requestedBy: "ann",
        startedAt: 0,
        previous: mark(previous),
      },
      ...{ ...tries, since: 0, confirmAt: 0, refusals: 0, adopted: false, laggardsNamed: false },
    });
    const { calls, stand } = await world({ marked: "v2", record: { state: inGrace("v2") } });
    expect(await settle(stand, debtOf("v0"), false)).toMatchObject({ result: "refused" });
    expect(calls).toEqual([...proven, "retire v0@7/v2", "refused v0@7/v0"]);
    for (const [previous, reason] of [
      ["v3", "leaked"],
      ["v2", "retired"],
    ] as const) {
      const other = await world({ marked: previous, record: { state: inGrace(previous) } });
      await expect(settle(other.stand, debtOf("v0", { reason }), false)).rejects.toMatchObject({
        code: "not-proven",
      });
      expect(other.calls).toEqual(proven);
    }
  });

  test("is retired by the others where one of them can be read no more; where it may be read later, it waits", async () => {
    const lost = await world({ marked: "v2", record: { sameLogin }, broken: { v1: "data-broken" } });
    expect(await settle(lost.stand, debtOf("v0"), false)).toMatchObject({ result: "refused" });
    expect(lost.calls).toEqual([...proven, "retire v0@7/v2", "refused v0@7/v0"]);
    const away = await world({ marked: "v2", record: { sameLogin }, broken: { v1: "unreachable" } });
    await expect(settle(away.stand, debtOf("v0"), false)).rejects.toMatchObject({ code: "unreachable" });
  });

  test.each([[{ reason: "retired" }], [{ reason: "superseded", sameLogin }]] as const)(
    "is spared where current is that login, in whatever words: %j",
    async ({ reason, ...record }) => {
      const { calls, stand } = await world({ marked: "v0", current: "v2", record });
      await expect(settle(stand, debtOf("v0", { reason }), false)).rejects.toMatchObject({
        message: "v0 has the login of v2, which is in use",
      });
      expect(calls).toEqual([]);
    },
  );

  test("has leaked, and is current's login: that is told before anything is cut, and spares it no longer than until its successor is out", async () => {
    for (const cutFirst of [true, false]) {
      const debt = debtOf("v0", { cutFirst });
      const { calls, stand } = await world({ marked: "v2", current: "v2" });
      const named = { step: "settle", debt, result: "named", current: mark("v2") };
      expect(await settle(stand, debt, false)).toEqual(named);
      expect(calls).toEqual([]);
      const elsewhere = { sameLogin, current: { ...mark("v3"), since: 0 } };
      const stale = await world({ marked: "v2", current: "v2", record: elsewhere });
      expect(await settle(stale.stand, debt, false)).toEqual(named);
      const current = { ...mark("v2"), since: 0 };
      const known = await world({ marked: "v2", current: "v2", record: { sameLogin, current } });
      const outcome = settle(known.stand, debt, false).catch((thrown: KeyturnError) => thrown.code);
      expect(await outcome).toEqual(cutFirst ? expect.objectContaining({ result: "refused" }) : "not-proven");
    }
  });

  test("is cut first by no words of another login that is current", async () => {
    const { calls, stand } = await world({ marked: "v3", current: "v3" });
    const debt = debtOf("v0", { cutFirst: true });
    await expect(settle(stand, debt, false)).rejects.toMatchObject({ code: "not-proven" });
    expect(calls).toEqual(proven);
  });
});

describe("what another rotation has left in the one login of a cutover type", () => {
  const foreign = debtOf("v0", { reason: "foreign" });
  const cutover = (given: Partial<Parameters<typeof world>[0]> = {}) =>
    world({ marked: "v0", current: "v3", overlap: "cutover", ...given });
  const retired = ["retire v0@7/v0", "refused v0@7/v0"];

  test.each<[string, Partial<Parameters<typeof world>[0]>, RegExp]>([
    ["let in", {}, /^the target accepts v0 in place of current: `keyturn doctor --fix` sets current again, /],
    ["not known to be refused", { verdict: "unknown" }, /^v0 is not proven refused: .* no clear answer$/],
  ])("is what readers use, as long as it is %s: the login is not shut", async (_, given, message) => {
    const { calls, stand } = await cutover(given);
    const refusal = { code: "not-proven", message: expect.stringMatching(message) };
    await expect(settle(stand, foreign, false)).rejects.toMatchObject(refusal);
    expect(calls).toEqual(["refused v0@7/v0"]);
  });

  test.each<[string, Debt, Partial<Parameters<typeof world>[0]>, readonly string[]]>([
    ["is refused", foreign, { verdict: "refused" }, ["refused v0@7/v0", ...retired]],
    ["has leaked", debtOf("v0"), {}, retired],
    ["was retired", debtOf("v0", { reason: "retired" }), {}, retired],
    ["has a login of its own", foreign, { overlap: "both-live" }, retired],
  ])("is retired where it %s", async (_, debt, given, called) => {
    const { calls, stand } = await cutover(given);
    expect(await settle(stand, debt, false)).toMatchObject({ result: "refused" });
    expect(calls).toEqual(called);
  });
});

describe("what an import has made current, and not marked", () => {
  const cut = ["retire v1@7/v1", "refused v1@7/v1"];

  test.each([
    ["v1", { cutFirst: true }],
    ["none", {}],
  ])(
    "is marked by the epoch before where it has leaked and cannot be retired without: current %s, %j",
    async (current, changes) => {
      const record = { current: { ...mark("v1"), since: 0 } };
      const { calls, stand } = await world({ marked: "v1", current, record, isUnmarked: true });
      expect(await settle(stand, debtOf("v1", changes), false)).toMatchObject({ result: "refused" });
      expect(calls).toEqual(["retire v1@7/v1", "adopt v1@6/v1", ...cut]);
    },
  );

  test("is told as somebody else's where it has not leaked", async () => {
    const { calls, stand } = await world({ marked: "v1", isUnmarked: true });
    await expect(settle(stand, debtOf("v1", { reason: "retired" }), false)).rejects.toMatchObject({
      code: "not-managed",
    });
    expect(calls).toEqual(["retire v1@7/v1"]);
  });

  test("waits where it cannot be marked", async () => {
    const { calls, stand } = await world({ marked: "v1", isUnmarked: true, adopt: "unreachable" });
    await expect(settle(stand, debtOf("v1"), false)).rejects.toMatchObject({ code: "unreachable" });
    expect(calls).toEqual(["retire v1@7/v1", "adopt v1@6/v1"]);
  });
});

describe("a rotation's create", () => {
  const rotation: Rotation = { id: "v9", kind: "rotate", urgent: true, requestedBy: "ann", startedAt: 0 };
  const inCreate = (urgent: boolean): { readonly state: State } => ({
    state: { phase: "create", rotation: { ...rotation, urgent }, ...tries },
  });
  const create = async (
    record: Partial<RotationRecord>,
    refusal?: Parameters<typeof world>[0]["adopt"],
    urgent = true,
  ) => {
    const of = { ...inCreate(urgent), importing: ["v1"], ...record };
    const { calls, stand } = await world({
      ...{ marked: "v1", current: "v1", record: of },
      ...(refusal && { adopt: refusal }),
    });
    const outcome = await perform({ do: "step", step: "create" }, stand).catch((thrown: unknown) => thrown);
    return { marks: calls.filter((call) => call.startsWith("adopt")), outcome };
  };

  test("marks what an import has left at its epoch, and what is to be cut first at the one before", async () => {
    expect((await create({})).marks).toEqual(["adopt v9@7/v1"]);
    expect((await create({ debts: [debtOf("v1")] })).marks).toEqual(["adopt v9@7/v1"]);
    expect((await create({ debts: [debtOf("v1", { cutFirst: true })] })).marks).toEqual(["adopt v9@6/v1"]);
    expect((await create({ debts: [debtOf("v3", { cutFirst: true })] })).marks).toEqual(["adopt v9@7/v1"]);
    const named = {
      debts: [debtOf("v0", { cutFirst: true })],
      sameLogin: [["v1", "v0"]] satisfies [[string, string]],
    };
    expect((await create(named)).marks).toEqual(["adopt v9@6/v1"]);
  });

  test("marks nothing that is refused, nor what no import has left", async () => {
    expect((await create({ refused: ["v1"] })).marks).toEqual([]);
    expect((await create({ refused: ["v0"] })).marks).toEqual(["adopt v9@7/v1"]);
    expect((await create({ importing: ["v0"] })).marks).toEqual([]);
  });

  test.each([
    ["login-refused", true, { result: "saved" }],
    ["admin-refused", true, { code: "admin-refused" }],
    ["unreachable", true, { result: "saved" }],
    ["unreachable", false, { code: "unreachable" }],
    ["login-refused", false, { code: "login-refused" }],
  ] as const)("that cannot mark it by %s, urgent: %s", async (code, urgent, expected) => {
    expect((await create({}, code, urgent)).outcome).toMatchObject(expected);
  });
});

describe("an import that has died is cut first", () => {
  async function died() {
    const target = modelTarget();
    const { ports, clock } = memoryPorts(target.bothLive);
    target.meddle("app_a", "of old");
    await adopt(ref, ports, worded("hers"), "ann");
    const remember = () => Promise.reject(new Error("the process has ended"));
    const ending: Ports = { ...ports, journal: { ...ports.journal, remember } };
    await expect(adopt(ref, ending, worded("his"), "bob")).rejects.toThrow("has ended");
    const version = await versionMark(ref, ports, "current");
    await request(ref, ports, { kind: "emergency", by: "ann", version, cutFirst: true });
    const work = async () => {
      await reconcile(ref, ports, { worker: "worker" });
      clock.advance(60_000);
    };
    const failures = async () => {
      const found: string[] = [];
      for await (const { action, detail } of ports.audit.read(ref)) {
        if (action === "retire.failed") found.push(detail);
      }
      return found;
    };
    return { target, work, failures, isLetIn: () => target.accepts("app_a", "of old") };
  }

  test("at the first try", async () => {
    const { target, work, failures, isLetIn } = await died();
    target.fail("set", new KeyturnError("unreachable", "the target takes no new login"));
    await work();
    expect([isLetIn(), await failures()]).toEqual([false, []]);
  });

  test("also where the rotation has marked it before the cut came through", async () => {
    const { target, work, failures, isLetIn } = await died();
    target.fail("set", new KeyturnError("unreachable", "the target takes no new login"));
    target.fail("retire", new KeyturnError("unreachable", "the target is away"), 1);
    await work();
    await work();
    expect([isLetIn(), await failures()]).toEqual([false, ["try 1: unreachable: the target is away"]]);
  });
});
