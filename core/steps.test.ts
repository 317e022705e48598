import { describe, expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { KeyturnError } from "./errors.ts";
import type { RotationEvent } from "./events.ts";
import type { Ports } from "./ports.ts";
import { newRecord, type Rotation, type RotationRecord, type State } from "./record.ts";
import { Redactor } from "./redact.ts";
import { refusalsBelieved } from "./rotation.ts";
import type { Finding, RawContext, Rotator } from "./rotator.ts";
import { Secret } from "./secret.ts";
import { Session } from "./session.ts";
import type { Stand } from "./stand.ts";
import { perform } from "./steps.ts";

const ref = "app/db";
const secretOf = (name: string) =>
  new Secret(JSON.stringify({ username: "app", password: `canary-of-${name}-Jq83zWm5` }));
const nameOf = (value: Secret | undefined) => /canary-of-(\w+)/.exec(value?.reveal() ?? "")?.[1] ?? "none";
const { bothLive, cutover } = modelTarget();
const { fingerprinter } = memoryPorts(bothLive).ports;
const printOf = (name: string) => fingerprinter.fingerprint(secretOf(name).reveal());
const mark = (version: string) => ({ version, fingerprint: printOf(version) });
const names = new Map(["v0", "v1", "v2", "v9"].map((name) => [printOf(name), name]));

const rotation: Rotation = {
  id: "v2",
  kind: "rotate",
  urgent: false,
  requestedBy: "ann",
  startedAt: 0,
  pending: mark("v2"),
  previous: mark("v1"),
};
const tries = { attempts: 0, notBefore: 0 };
type Step = "create" | "set" | "test" | "finish" | "announce";
const inPhase = (phase: Step, changes: Partial<Rotation> = {}): State => ({
  phase,
  rotation: { ...rotation, ...changes },
  ...tries,
});

interface Given {
  readonly state?: State;
  readonly record?: Partial<RotationRecord>;
  /** What the store has: names of versions, whose values are called the same unless `holds` says otherwise. */
  readonly current?: string | undefined;
  readonly pending?: string | undefined;
  readonly holds?: Readonly<Record<string, string>>;
  readonly overlap?: "cutover";
  readonly verbs?: Partial<Rotator>;
}

/** A stand whose target, store and bus tell what is asked of them, in order. */
async function world({ state, record, current, pending, holds = {}, overlap, verbs }: Given) {
  const { ports: own, managed } = memoryPorts(bothLive);
  const calls: string[] = [];
  const events: RotationEvent[] = [];
  const { store, journal } = own;
  const put = (version: string) => store.savePending(ref, version, secretOf(holds[version] ?? version));
  if (current !== undefined) {
    await put(current);
    await store.promote(ref, current, undefined);
  }
  if (pending !== undefined) await put(pending);
  const fenceOf = ({ fence }: RawContext) =>
    `${fence.rotationId}@${fence.epoch}/${names.get(fence.fingerprint) ?? fence.fingerprint}`;
  const rotator: Rotator = {
    ...(overlap === undefined ? bothLive : cutover),
    adopt: async (value, context) => {
      calls.push(`adopt ${nameOf(value)} ${fenceOf(context)}`);
      await verbs?.adopt?.(value, context);
    },
    preflight: async (context) => {
      calls.push(`preflight ${fenceOf(context)}`);
      return (await verbs?.preflight?.(context)) ?? [];
    },
    sweep: async (context) => void calls.push(`sweep ${fenceOf(context)}`),
    create: async (from, context) => {
      calls.push(`create from ${nameOf(from)} ${fenceOf(context)}`);
      return secretOf("v2");
    },
    set: async (change, context) =>
      void calls.push(`set ${nameOf(change.pending)} from ${nameOf(change.current)} ${fenceOf(context)}`),
    test: async (change, context) => {
      calls.push(`test ${nameOf(change.pending)} from ${nameOf(change.current)} ${fenceOf(context)}`);
      await verbs?.test?.(change, context);
    },
  };
  const ports: Ports = {
    ...own,
    store: {
      ...store,
      savePending: (name, version, value) => {
        calls.push(`save ${version}: ${nameOf(value)}`);
        return store.savePending(name, version, value);
      },
      discardPending: (name, version) => {
        calls.push(`discard ${version}`);
        return store.discardPending(name, version);
      },
      promote: async (_, version, after) => void calls.push(`promote ${version} after ${after}`),
    },
    journal: {
      ...journal,
      remember: async (_, version, fields) =>
        void calls.push(`remember ${version}: ${Object.keys(fields).join()}`),
    },
    bus: { publish: async (event) => void events.push(event) },
  };
  const redactor = new Redactor();
  const known = { ...newRecord(ref), epoch: 7, state: state ?? { phase: "idle" as const }, ...record };
  const stand: Stand = { ports, managed, rotator, record: known, session: new Session(), redactor };
  return {
    calls,
    events,
    stand,
    redactor,
    does: (step: Step | "confirm") => perform({ do: "step", step }, stand),
  };
}

test("no step is taken without a rotation", async () => {
  const { does, calls } = await world({});
  await expect(does("set")).rejects.toMatchObject({
    code: "internal",
    message: "set without a rotation",
  });
  expect(calls).toEqual([]);
});

describe("create", () => {
  const state = inPhase("create", { pending: undefined });
  const saved = (current: string | undefined) => ({
    step: "create",
    result: "saved",
    pending: mark("v2"),
    current: current === undefined ? undefined : mark(current),
  });
  const foreign = { step: "create", result: "foreign", pending: mark("v9") };
  const debt = { ...mark("v9"), reason: "foreign", since: 0, cutFirst: false, ...tries } as const;
  const made = (from: string) => [
    "preflight v2@7/",
    "sweep v2@7/",
    `create from ${from} v2@7/`,
    "save v2: v2",
    "remember v2: password",
  ];

  test.each<readonly [string, Given, object, readonly string[]]>([
    ["makes the next value", { current: "v1" }, saved("v1"), made("v1")],
    ["makes the first value", {}, saved(undefined), made("none")],
    [
      "goes on with what it has saved",
      { current: "v1", pending: "v2" },
      saved("v1"),
      ["remember v2: password"],
    ],
    ["leaves somebody else's candidate alone", { current: "v1", pending: "v9" }, foreign, []],
    ["leaves it alone where nothing is current", { pending: "v9" }, foreign, []],
    [
      "leaves it alone although another one is owed",
      { current: "v1", pending: "v9", record: { debts: [{ ...debt, ...mark("v0") }] } },
      foreign,
      [],
    ],
    [
      "puts it aside once it is owed",
      { current: "v1", pending: "v9", record: { debts: [{ ...debt, ...mark("v0") }, debt] } },
      saved("v1"),
      [...made("v1").slice(0, 3), "discard v9", ...made("v1").slice(3)],
    ],
    [
      "leaves it alone although its value is owed: it may be a newer rotation's",
      { current: "v1", pending: "v9", record: { debts: [{ ...debt, version: "v0" }] } },
      foreign,
      [],
    ],
    [
      "leaves it alone although it holds what is current: it may be a newer rotation's",
      { current: "v1", pending: "v9", holds: { v9: "v1" } },
      { ...foreign, pending: { ...mark("v1"), version: "v9" } },
      [],
    ],
    [
      "puts it aside once that is recorded",
      {
        current: "v1",
        pending: "v9",
        holds: { v9: "v1" },
        state: inPhase("create", { pending: undefined, aside: ["v9"] }),
      },
      saved("v1"),
      ["discard v9", ...made("v1")],
    ],
    [
      "takes away first what may be saved late for rotations that were overtaken",
      { current: "v1", pending: "v8", state: inPhase("create", { pending: undefined, aside: ["v7", "v8"] }) },
      saved("v1"),
      ["discard v7", "discard v8", ...made("v1")],
    ],
    [
      "leaves alone what is none of them",
      { current: "v1", pending: "v9", state: inPhase("create", { pending: undefined, aside: ["v8"] }) },
      foreign,
      ["discard v8"],
    ],
    [
      "marks what an import has made current before it died",
      { current: "v1", record: { importing: ["v0", "v1"] } },
      saved("v1"),
      ["adopt v1 v2@7/v1", ...made("v1")],
    ],
    [
      "marks nothing that another import has not made current",
      { current: "v1", record: { importing: ["v0"] } },
      saved("v1"),
      made("v1"),
    ],
    [
      "marks nothing of a cutover type, whose set does",
      { current: "v1", record: { importing: ["v1"] }, overlap: "cutover" },
      saved("v1"),
      made("v1"),
    ],
    [
      "asks for no check where it is urgent",
      { current: "v1", state: inPhase("create", { pending: undefined, urgent: true }) },
      saved("v1"),
      made("v1").slice(1),
    ],
    [
      "takes the value that a rollback brings back",
      {
        current: "v1",
        pending: "v2",
        holds: { v3: "v1" },
        state: inPhase("create", { id: "v3", pending: undefined, restores: mark("v1") }),
        record: { debts: [{ ...debt, ...mark("v2") }] },
      },
      { step: "create", result: "saved", pending: { ...mark("v1"), version: "v3" }, current: mark("v1") },
      ["preflight v3@7/v1", "discard v2", "save v3: v1", "remember v3: password"],
    ],
  ])("%s", async (_, given, outcome, called) => {
    const { does, calls } = await world({ state, ...given });
    expect(await does("create")).toEqual(outcome);
    expect(calls).toEqual(called);
  });

  test.each([
    [false, "login-refused", "login-refused"],
    [true, "login-refused", "saved"],
    [true, "unreachable", "saved"],
    [true, "admin-refused", "admin-refused"],
    [false, "unreachable", "unreachable"],
  ] as const)("where that mark fails, urgent: %s, by %s: %s", async (urgent, code, expected) => {
    const { does } = await world({
      current: "v1",
      state: inPhase("create", { pending: undefined, urgent }),
      record: { importing: ["v1"] },
      verbs: { adopt: () => Promise.reject(new KeyturnError(code, "no")) },
    });
    const came = await does("create").then(
      (outcome) => outcome.result,
      (thrown: KeyturnError) => thrown.code,
    );
    expect(came).toBe(expected);
  });

  test("keeps what it has made out of every text", async () => {
    const { does, redactor } = await world({ state });
    await does("create");
    expect(redactor.redact("canary-of-v2-Jq83zWm5")).toBe("[redacted]");
  });

  test("of what can no longer be brought back fails", async () => {
    const { does, calls } = await world({ state: inPhase("create", { restores: mark("v0") }) });
    await expect(does("create")).rejects.toMatchObject({ code: "secret-missing" });
    expect(calls).toEqual(["preflight v2@7/v0"]);
  });

  const good: Finding = { check: "network", ok: true, message: "open", code: "unreachable" };
  const login: Finding = { check: "login", ok: false, message: "refused", code: "login-refused" };
  const access: Finding = { check: "access", ok: false, message: "none", code: "login-refused" };
  const plain: Finding = { check: "size", ok: false, message: "full" };

  test.each<readonly [string, readonly Finding[], string]>([
    ["login-refused", [good, login, access], "login: refused; access: none"],
    ["target-rejected", [login, plain], "login: refused; size: full"],
    ["target-rejected", [plain], "size: full"],
  ])("that is not ready ends as %s", async (code, findings, list) => {
    // What another rotation has left pending may be what works.
    const left = { current: "v1", pending: "v9", record: { debts: [{ ...debt, ...mark("v9") }] } };
    const { does, calls } = await world({ state, ...left, verbs: { preflight: async () => findings } });
    await expect(does("create")).rejects.toMatchObject({
      code,
      message: `not ready for a rotation: ${list}`,
    });
    expect(calls).toEqual(["preflight v2@7/"]);
  });
});

describe.each(["set", "test"] as const)("%s", (step) => {
  test("goes by the candidate, and what it takes over from", async () => {
    const { does, calls } = await world({ state: inPhase(step), current: "v1", pending: "v2" });
    expect(await does(step)).toEqual({ step, result: "done" });
    expect(calls).toEqual([`${step} v2 from v1 v2@7/v2`]);
  });

  test("of a candidate that is lost asks nobody", async () => {
    const { does, calls } = await world({ state: inPhase(step), current: "v1", pending: "v9" });
    await expect(does(step)).rejects.toMatchObject({ code: "pending-lost" });
    expect(calls).toEqual([]);
  });
});

describe("finish", () => {
  test.each([
    [rotation.previous, "promote v2 after v1"],
    [undefined, "promote v2 after undefined"],
  ])("publishes the candidate over what was current when it began: %o", async (previous, called) => {
    const { does, calls } = await world({ state: inPhase("finish", { previous }) });
    expect(await does("finish")).toEqual({ step: "finish", result: "done" });
    expect(calls).toEqual([called]);
  });
});

describe("announce", () => {
  test.each([
    [rotation.previous, "v1"],
    [undefined, undefined],
  ])("tells the fleet which version there is, and which there was: %o", async (before, previous) => {
    const { does, events } = await world({ state: inPhase("announce", { previous: before }) });
    expect(await does("announce")).toEqual({ step: "announce", result: "done" });
    expect(events).toEqual([
      {
        specversion: "1.0",
        id: "app/db/7/rotated",
        source: "keyturn/test",
        subject: ref,
        time: "2026-01-01T00:00:00.000Z",
        datacontenttype: "application/json",
        type: "dev.keyturn.secret.rotated.v1",
        data: { epoch: 7, version: "v2", previous, urgent: false },
      },
    ]);
  });
});

describe("confirm", () => {
  const refused = new KeyturnError("login-refused", "no");
  const grace = (refusals: number, changes: Partial<Rotation> = {}): State => ({
    phase: "grace",
    rotation: { ...rotation, ...changes },
    since: 0,
    confirmAt: 0,
    refusals,
    adopted: false,
    laggardsNamed: false,
    ...tries,
  });
  /** v1 is the old one, which both names and values still have; v2 is the new one. */
  const inGrace = (state: State, fails: Readonly<Record<string, Error>>) =>
    world({
      state,
      current: "v1",
      pending: "v2",
      verbs: {
        test: async ({ pending }) => {
          const failure = fails[nameOf(pending)];
          if (failure !== undefined) throw failure;
        },
      },
    });
  const [asked, old] = ["test v2 from none v2@7/v2", "test v1 from none v1@7/v1"];
  const believed = grace(refusalsBelieved - 1);

  test.each<readonly [string, State, Record<string, Error>, object, readonly string[]]>([
    ["works", grace(0), {}, { result: "works" }, [asked]],
    [
      "is refused, which is not believed yet",
      grace(refusalsBelieved - 2),
      { v2: refused },
      { result: "refused", previousWorks: false },
      [asked],
    ],
    [
      "is refused, and the old one works",
      believed,
      { v2: refused },
      { result: "refused", previousWorks: true },
      [asked, old],
    ],
    [
      "is refused, and so is the old one",
      believed,
      { v2: refused, v1: refused },
      { result: "refused", previousWorks: false },
      [asked, old],
    ],
    [
      "is refused, and there is no old one",
      grace(refusalsBelieved, { previous: undefined }),
      { v2: refused },
      { result: "refused", previousWorks: false },
      [asked],
    ],
    [
      "is refused, in no grace",
      inPhase("announce"),
      { v2: refused },
      { result: "refused", previousWorks: false },
      [asked],
    ],
  ])("finds that the new one %s", async (_, state, fails, outcome, called) => {
    const { does, calls } = await inGrace(state, fails);
    expect(await does("confirm")).toEqual({ step: "confirm", ...outcome });
    expect(calls).toEqual(called);
  });

  test("that gets no answer fails", async () => {
    const down = new KeyturnError("unreachable", "no answer");
    await expect((await inGrace(believed, { v2: down })).does("confirm")).rejects.toBe(down);
  });

  test("of a version that the store has lost fails", async () => {
    const { does } = await world({ state: grace(0), current: "v1" });
    await expect(does("confirm")).rejects.toMatchObject({ code: "secret-missing" });
  });
});
