import { describe, expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import type { Ports } from "./ports.ts";
import { type Debt, newRecord, type Rotation, type RotationRecord, type State } from "./record.ts";
import { Redactor } from "./redact.ts";
import type { Mark, RawContext, Rotator } from "./rotator.ts";
import { Secret } from "./secret.ts";
import { Session } from "./session.ts";
import type { Stand } from "./stand.ts";
import { perform } from "./steps.ts";

const ref = "app/db";
const secretOf = (name: string) =>
  new Secret(JSON.stringify({ username: "app", password: `canary-of-${name}-Jq83zWm5` }));
const nameOf = (value: Secret | undefined) => /canary-of-(\w+)-/.exec(value?.reveal() ?? "")?.[1] ?? "none";
const { bothLive } = modelTarget();
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
const undo = (changes: Partial<Rotation> = {}): State => ({
  phase: "undo",
  rotation: { ...rotation, ...changes },
  reason: "cancelled",
  ...tries,
});
type Verdict = "refused" | "accepted" | "unknown";

interface Given {
  readonly state?: State;
  readonly record?: Partial<RotationRecord>;
  readonly overlap?: "cutover";
  /** What the store has, and which of it is current; values are called as their versions, but for `holds`. */
  readonly versions?: readonly string[];
  readonly current?: string | undefined;
  readonly pending?: string | undefined;
  readonly holds?: Readonly<Record<string, string>>;
  /** What the target says of a value; "refused" where nothing else is said. */
  readonly verdicts?: Readonly<Record<string, Verdict>>;
  readonly verbs?: Partial<Rotator>;
}

/** A stand whose target and store tell what is asked of them, in order. */
async function world(given: Given) {
  const { versions = [], current, pending, holds = {}, verdicts = {}, verbs } = given;
  const { ports: own, managed } = memoryPorts(bothLive);
  const { store } = own;
  const calls: string[] = [];
  const save = (version: string) => store.savePending(ref, version, secretOf(holds[version] ?? version));
  for (const version of versions) {
    await save(version);
    if (version === current) await store.promote(ref, version, undefined);
    else await store.discardPending(ref, version);
  }
  if (pending !== undefined) await save(pending);
  const at = ({ fence }: RawContext) => `${fence.rotationId}@${fence.epoch}/${names.get(fence.fingerprint)}`;
  const rotator: Rotator = {
    ...bothLive,
    overlap: given.overlap ?? "both-live",
    set: async (change, context) =>
      void calls.push(`set ${nameOf(change.pending)} from ${nameOf(change.current)} ${at(context)}`),
    retire: async (value, context) => {
      calls.push(`retire ${nameOf(value)} ${at(context)}`);
      return { sessionsEnded: 2, survives: ["a copy"] };
    },
    refused: async (value, context) => {
      calls.push(`refused ${nameOf(value)} ${at(context)}`);
      return verdicts[nameOf(value)] ?? "refused";
    },
    usage: async (value, context) => {
      calls.push(`usage ${nameOf(value)} ${at(context)}`);
      return verbs?.usage?.(value, context);
    },
    inspect: async (context) => {
      calls.push(`inspect ${at(context)}`);
      return verbs?.inspect?.(context);
    },
    cut:
      verbs?.cut &&
      (async (login, context) => {
        calls.push(`cut ${login} ${at(context)}`);
        return verbs.cut?.(login, context) ?? { sessionsEnded: 0, survives: [] };
      }),
  };
  const ports: Ports = {
    ...own,
    store: {
      ...store,
      discardPending: async (_, version) => void calls.push(`discard ${version}`),
      disable: async (_, version) => {
        calls.push(`disable ${version}`);
        return "disabled";
      },
    },
  };
  const redactor = new Redactor();
  const record = {
    ...newRecord(ref),
    epoch: 7,
    state: given.state ?? ({ phase: "idle" } as const),
    ...given.record,
  };
  const stand: Stand = { ports, managed, rotator, record, session: new Session(), redactor };
  return { calls, stand, redactor };
}

describe("undo", () => {
  const undone = async (given: Given) => {
    const { calls, stand, redactor } = await world({
      versions: ["v1"],
      current: "v1",
      pending: "v2",
      state: undo(),
      record: { current: { ...mark("v1"), since: 0 }, ...given.record },
      ...given,
    });
    return {
      calls,
      redactor,
      outcome: await perform({ do: "step", step: "undo" }, stand).catch((e: unknown) => e),
    };
  };
  const done = { step: "undo", result: "done" };
  const takenBack = ["retire v2 v2@7/v2", "refused v2 v2@7/v2", "discard v2", "disable v2"];
  const setBack = ["set v1 from v2 v2@7/v1", "refused v1 v2@7/v1"];
  const cutover = { overlap: "cutover", verdicts: { v1: "accepted" } } as const;
  /** Version v2 is to bring v0 back. */
  const rollback = (restores: string): Partial<Given> => ({
    holds: { v2: restores },
    state: undo({
      kind: "rollback",
      restores: mark(restores),
      pending: { ...mark(restores), version: "v2" },
    }),
  });
  const leaked = (version: string) => ({
    record: {
      current: { ...mark("v1"), since: 0 },
      compromised: [{ ...mark(version), reportedBy: "ann", at: 0 }],
    },
  });

  test.each<readonly [string, Given, readonly string[]]>([
    ["of a candidate that was never saved only shuts its id", { pending: undefined }, ["discard v2"]],
    [
      "shuts the ids of those that it had overtaken, too",
      { pending: undefined, state: undo({ pending: undefined, aside: ["v7", "v8"] }) },
      ["discard v7", "discard v8", "discard v2"],
    ],
    ["has the target refuse the candidate before it is put aside", {}, takenBack],
    ["of a first candidate, too", { record: {}, current: undefined, versions: [] }, takenBack],
    ["of a cutover type sets current back first", cutover, [...setBack, ...takenBack]],
    [
      "of a cutover type with no current one has none to set back",
      { overlap: "cutover", current: undefined, versions: [] },
      takenBack,
    ],
    ["of a rollback leaves alone what was the fleet's before", rollback("v0"), ["discard v2"]],
    [
      "of a rollback to what has leaked has it refused",
      { ...rollback("v0"), ...leaked("v0") },
      ["retire v0 v2@7/v0", "refused v0 v2@7/v0", "discard v2", "disable v2"],
    ],
    [
      "of a rollback of a cutover type sets current back, and ends no session of the fleet's",
      { ...rollback("v0"), ...cutover },
      ["set v1 from v0 v2@7/v1", "refused v1 v2@7/v1", "refused v0 v2@7/v0", "discard v2", "disable v2"],
    ],
    [
      "of a rollback of a cutover type to what has leaked ends its sessions",
      { ...rollback("v0"), ...cutover, ...leaked("v0") },
      [
        "set v1 from v0 v2@7/v1",
        "refused v1 v2@7/v1",
        "retire v0 v2@7/v0",
        "refused v0 v2@7/v0",
        "discard v2",
        "disable v2",
      ],
    ],
    [
      "of a rollback of a cutover type to the very value that is current changes nothing",
      { ...rollback("v1"), ...cutover },
      ["discard v2"],
    ],
  ])("%s", async (_, given, called) => {
    const { calls, outcome } = await undone(given);
    expect(outcome).toEqual(done);
    expect(calls).toEqual(called);
  });

  test.each<readonly [string, Given]>([
    ["takes nothing back that is current in the store", {}],
    ["nor what a rollback has made current", rollback("v0")],
  ])("%s", async (_, given) => {
    const { calls, outcome } = await undone({
      ...given,
      versions: ["v2"],
      current: "v2",
      pending: undefined,
    });
    expect(outcome).toEqual({ step: "undo", result: "published" });
    expect(calls).toEqual([]);
  });

  test.each<readonly [string, Given, string, string, readonly string[]]>([
    [
      "of a value that is current in the store is refused",
      { holds: { v2: "v1" } },
      "request-refused",
      "v2 is current in the store: it cannot be taken back any more",
      [],
    ],
    [
      "is not done while the target still accepts the candidate",
      { verdicts: { v2: "accepted" } },
      "not-proven",
      "v2 is not proven refused: the target still accepts it",
      takenBack.slice(0, 2),
    ],
    [
      "is not done without a clear answer",
      { verdicts: { v2: "unknown" } },
      "not-proven",
      "v2 is not proven refused: the target gives no clear answer",
      takenBack.slice(0, 2),
    ],
    [
      "of a cutover type is not done before current is accepted again",
      { overlap: "cutover" },
      "not-proven",
      "v1 was set back, and the target does not accept it",
      setBack,
    ],
  ])("%s", async (_, given, code, message, called) => {
    const { calls, outcome } = await undone(given);
    expect(outcome).toMatchObject({ code, message });
    expect(calls).toEqual(called);
  });

  test("keeps the candidate out of every text", async () => {
    const { redactor } = await undone({});
    expect(redactor.redact("canary-of-v2-Jq83zWm5")).toBe("[redacted]");
  });
});

const debtOf = (version: string, changes: Partial<Debt> = {}): Debt => ({
  ...mark(version),
  reason: "retired",
  since: 0,
  cutFirst: false,
  ...tries,
  ...changes,
});

describe("to settle a debt", () => {
  const settled = async (debt: Debt, given: Given, asks = false) => {
    const { calls, stand, redactor } = await world({ versions: ["v0", "v1"], current: "v1", ...given });
    const outcome = await perform({ do: "settle", debt, asks }, stand).catch((thrown: unknown) => thrown);
    return { calls, outcome, redactor };
  };
  const paid = { step: "settle", result: "refused", sessionsEnded: 2, survives: ["a copy"] };
  const proven = (version: string) => [
    `retire ${version} ${version}@7/${version}`,
    `refused ${version} ${version}@7/${version}`,
  ];
  const inSet: State = { phase: "set", rotation, ...tries };
  const usage = (sessions: number) => ({ usage: async () => ({ sessions, clients: ["psql"] }) });

  test.each<readonly [string, Debt, Given, boolean, readonly string[]]>([
    ["the target refuses it, and it is disabled", debtOf("v0"), {}, false, [...proven("v0"), "disable v0"]],
    [
      "the target refuses it, though nothing is current",
      debtOf("v0"),
      { versions: ["v0"], current: undefined },
      false,
      [...proven("v0"), "disable v0"],
    ],
    [
      "somebody else's candidate is put aside as well",
      debtOf("v9"),
      { pending: "v9", state: inSet },
      false,
      [...proven("v9"), "discard v9", "disable v9"],
    ],
    [
      "a candidate is no reason to spare another value",
      debtOf("v0"),
      { pending: "v2", state: inSet },
      false,
      [...proven("v0"), "disable v0"],
    ],
    [
      "what is current is cut where it is to be, and stays readable",
      debtOf("v1", { cutFirst: true }),
      {},
      false,
      proven("v1"),
    ],
    [
      "its users are asked for, and there are none",
      debtOf("v0"),
      { verbs: usage(0) },
      true,
      ["usage v0 v0@7/v0", ...proven("v0"), "disable v0"],
    ],
    [
      "its users are asked for, and nobody can tell",
      debtOf("v0"),
      {},
      true,
      ["usage v0 v0@7/v0", ...proven("v0"), "disable v0"],
    ],
  ])("%s", async (_, debt, given, asks, called) => {
    const { calls, outcome } = await settled(debt, given, asks);
    expect(outcome).toEqual({ ...paid, debt });
    expect(calls).toEqual(called);
  });

  test("waits for those who use it", async () => {
    const { calls, outcome } = await settled(debtOf("v0"), { verbs: usage(1) }, true);
    expect(outcome).toEqual({ step: "settle", debt: debtOf("v0"), result: "in-use", clients: ["psql"] });
    expect(calls).toEqual(["usage v0 v0@7/v0"]);
  });

  test.each<readonly [string, Debt, Given, string]>([
    ["current", debtOf("v0"), { holds: { v0: "v1" } }, "v0 has the login of v1, which is in use"],
    [
      "the candidate",
      debtOf("v0"),
      { pending: "v2", holds: { v0: "v2" }, state: inSet },
      "v0 has the login of v2, which is in use",
    ],
  ])("spares the login of %s", async (_, debt, given, message) => {
    const { calls, outcome } = await settled(debt, given);
    expect(outcome).toMatchObject({ code: "not-proven", message });
    expect(calls).toEqual([]);
  });

  test("does not end while the target accepts it", async () => {
    const { calls, outcome } = await settled(debtOf("v0"), { verdicts: { v0: "accepted" } });
    expect(outcome).toMatchObject({ code: "not-proven" });
    expect(calls).toEqual(proven("v0"));
  });

  test("keeps it out of every text", async () => {
    const { redactor } = await settled(debtOf("v0"), {});
    expect(redactor.redact("canary-of-v0-Jq83zWm5")).toBe("[redacted]");
  });
});

describe("to settle a debt whose value nobody can read any more", () => {
  const debt = debtOf("v0");
  const live: Mark = {
    ...mark("v0"),
    login: "app_a",
    verb: "set",
    epoch: 3,
    seen: 3,
    rotationId: "v0",
    ref,
    installation: "test",
    accepts: true,
  };
  const residue = { sessionsEnded: 4, survives: [] };
  const cut = async () => residue;
  const settled = async (given: Given) => {
    const { calls, stand } = await world({ versions: ["v1"], current: "v1", ...given });
    const outcome = await perform({ do: "settle", debt, asks: true }, stand).catch((e: unknown) => e);
    return { calls, outcome };
  };
  const marked = (...marks: readonly Mark[]): Given => ({ verbs: { inspect: async () => marks, cut } });
  const gone = { step: "settle", debt, result: "gone", sessionsEnded: 0, survives: [] };
  const asked = ["inspect v0@7/v0"];

  test.each<readonly [string, Given, readonly string[]]>([
    ["the target keeps no marks", {}, asked],
    ["nothing is marked", marked(), asked],
    ["another secret's is marked", marked({ ...live, ref: "other/db" }), asked],
    ["another installation's is marked", marked({ ...live, installation: "theirs" }), asked],
    ["another value is marked", marked({ ...live, fingerprint: printOf("v9") }), asked],
    ["it is marked and not let in", marked({ ...live, accepts: false }), asked],
    [
      "nothing is marked, before there is a candidate",
      { ...marked(), state: { phase: "create", rotation: { ...rotation, pending: undefined }, ...tries } },
      asked,
    ],
    ["there is one login, which the next set replaces", { ...marked(live), overlap: "cutover" }, []],
    [
      "current is that login by another name",
      { ...marked(live), record: { current: { ...mark("v1"), since: 0 }, sameLogin: [["v1", "v0"]] } },
      [],
    ],
    ["current has that value", { ...marked(live), record: { current: { ...mark("v0"), since: 0 } } }, []],
    [
      "the candidate has that value",
      { ...marked(live), state: { phase: "set", rotation: { ...rotation, pending: mark("v0") }, ...tries } },
      [],
    ],
  ])("it is gone where %s", async (_, given, called) => {
    const { calls, outcome } = await settled(given);
    expect(outcome).toEqual(gone);
    expect(calls).toEqual(called);
  });

  test("a login that the target lets in again is shut by its name, and that is proven", async () => {
    let isShut = false;
    const { calls, outcome } = await settled({
      verbs: {
        inspect: async () => (isShut ? [] : [{ ...live, login: "other", accepts: false }, live]),
        cut: async () => {
          isShut = true;
          return residue;
        },
      },
    });
    expect(outcome).toEqual({ step: "settle", debt, result: "refused", ...residue });
    expect(calls).toEqual([...asked, "cut app_a v0@7/v0", ...asked]);
  });

  test.each<readonly [string, Given, readonly string[]]>([
    ["does not heed it", marked(live), [...asked, "cut app_a v0@7/v0", ...asked]],
    ["cannot be told by name", { verbs: { inspect: async () => [live] } }, asked],
  ])("it is not proven where the target %s", async (_, given, called) => {
    const { calls, outcome } = await settled(given);
    expect(outcome).toMatchObject({
      code: "not-proven",
      message: "v0 is not proven refused: the target still lets in app_a",
    });
    expect(calls).toEqual(called);
  });
});
