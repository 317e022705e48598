import { describe, expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { acceptReports } from "./accept-reports.ts";
import { KeyturnError } from "./errors.ts";
import { enrolSchedules, forgetSilentAgents, request, storeValue, versionMark } from "./operate.ts";
import type { ManagedSecret, Ports } from "./ports.ts";
import { newRecord, type Rotation, type RotationRecord, type State } from "./record.ts";
import type { Request } from "./request.ts";
import type { Rotator } from "./rotator.ts";
import { every } from "./schedule.ts";
import { Secret } from "./secret.ts";

const ref = "app/db";
const secretOf = (name: string) => new Secret(JSON.stringify({ username: "app", password: `of ${name}` }));
const tries = { attempts: 0, notBefore: 0 };
const rotation: Rotation = { id: "v2", kind: "rotate", urgent: false, requestedBy: "ann", startedAt: 0 };

/** A Keyturn in memory whose one secret is as the manifest would say, and whose journal can be made to fail. */
function world(managed: Partial<ManagedSecret> = {}, verbs: Partial<Rotator> = {}) {
  const { bothLive } = modelTarget();
  const memory = memoryPorts(bothLive);
  const { journal, store, fingerprinter } = memory.ports;
  const failures: Error[] = [];
  const secret = { ...memory.managed, ...managed };
  const ports: Ports = {
    ...memory.ports,
    secrets: { get: (name) => (name === ref ? secret : undefined), refs: () => [ref] },
    rotators: { load: async () => ({ ...bothLive, ...verbs }) },
    journal: {
      ...journal,
      save: async (record, revision) => {
        const failure = failures.shift();
        if (failure !== undefined) throw failure;
        return journal.save(record, revision);
      },
    },
  };
  const print = (name: string) => fingerprinter.fingerprint(secretOf(name).reveal());
  return {
    ports,
    failures,
    clock: memory.clock,
    now: memory.clock.now(),
    print,
    mark: (name: string) => ({ version: name, fingerprint: print(name) }),
    keep: async (version: string, after: string | undefined) => {
      await store.savePending(ref, version, secretOf(version));
      await store.promote(ref, version, after);
    },
    put: (changes: Partial<RotationRecord>) => journal.save({ ...newRecord(ref), ...changes }, undefined),
    ask: (what: Request) => request(ref, ports, what),
    record: async () => (await journal.load(ref))?.record,
  };
}
const rotate = { kind: "rotate", by: "ann" } as const;
const rollback = { kind: "rollback", by: "ann", insist: false } as const;
const cancel = { kind: "cancel", by: "ann", insist: false } as const;
const emergency = (version: { readonly version: string; readonly fingerprint: string }) =>
  ({ kind: "emergency", by: "ann", version, cutFirst: false }) as const;

describe("a request", () => {
  test("puts a secret under Keyturn with what the store has of it, and is due at once", async () => {
    const { ask, keep, record, mark, now, clock } = world();
    await keep("v1", undefined);
    clock.advance(5);
    const answered = await ask(rotate);
    expect(answered).toMatchObject({ answer: "began", why: "rotation begins" });
    expect(await record()).toEqual(answered.record);
    expect(answered.record).toMatchObject({
      epoch: 1,
      current: { ...mark("v1"), since: now },
      dueAt: now + 5,
      state: { phase: "create", rotation: { previous: mark("v1"), startedAt: now + 5 } },
      outbox: { entries: [{ action: "rotate.began", actor: "ann", at: now + 5 }] },
    });
  });

  test("other than an emergency goes by what the record has as current", async () => {
    const { ask, keep, put, mark } = world();
    await keep("v2", undefined);
    await put({ current: { ...mark("v1"), since: 3 } });
    expect((await ask(rotate)).record).toMatchObject({
      current: { ...mark("v1"), since: 3 },
      state: { rotation: { previous: mark("v1") } },
    });
  });

  test("for a secret without a value begins with none", async () => {
    const { ask } = world();
    expect((await ask(rotate)).record).not.toHaveProperty("current");
  });

  test.each<readonly [string, Request, string]>([
    ["refused", rollback, "the old credential is retired: rotate instead"],
    ["nothing", cancel, "no rotation is under way that could be cancelled"],
  ])("that comes to %s is not saved", async (answer, what, why) => {
    const { ask, record, keep } = world();
    await keep("v1", undefined);
    expect(await ask(what)).toMatchObject({ answer, why, notes: [], events: [] });
    expect(await record()).toBeUndefined();
  });

  test("is made again where somebody else was faster, and fails for any other reason", async () => {
    const { ask, failures, record } = world();
    const down = new KeyturnError("unreachable", "no answer");
    failures.push(new KeyturnError("conflict", "moved"), down);
    await expect(ask(rotate)).rejects.toBe(down);
    failures.push(new KeyturnError("conflict", "moved"));
    expect((await ask(rotate)).answer).toBe("began");
    expect((await record())?.epoch).toBe(1);
  });
});

describe("what a rotation would stumble over is told before it begins", () => {
  const stored = async (it: ReturnType<typeof world>, name: string, text: string) => {
    await it.ports.store.savePending(name, "v1", new Secret(text));
    await it.ports.store.promote(name, "v1", undefined);
  };
  const failureOf = async (it: ReturnType<typeof world>, what: Request) => {
    const failure: unknown = await it.ask(what).catch((thrown: unknown) => thrown);
    expect(await it.record()).toBeUndefined();
    return failure;
  };

  test.each([rotate, rollback])("a config that cannot be: $kind", async (what) => {
    const message =
      "the config of type model-both-live is not usable: owner: Invalid input: expected string, received number";
    expect(await failureOf(world({ config: { owner: 7 } }), what)).toMatchObject({
      code: "config-invalid",
      message: `app/db: ${message}`,
      cause: { code: "config-invalid", message },
    });
  });

  test("an administering login that is not stored", async () => {
    expect(await failureOf(world({ admin: "ops/admin" }), rotate)).toMatchObject({
      code: "secret-missing",
      message: "the administering login ops/admin of app/db is not stored",
    });
  });

  test("an administering login that cannot be one", async () => {
    const it = world({ admin: "ops/admin" });
    await stored(it, "ops/admin", "root");
    expect(await failureOf(it, rotate)).toMatchObject({
      code: "credential-invalid",
      message: "ops/admin: the administering login is not JSON",
    });
  });

  test("none, where the type needs one", async () => {
    expect(await failureOf(world({}, { needsAdmin: true }), rotate)).toMatchObject({
      code: "config-invalid",
      message: "app/db names no administering login: write `admin: { secret: … }`",
    });
  });

  test("a stored value that the type cannot read", async () => {
    const it = world();
    await stored(it, ref, "just words");
    expect(await failureOf(it, rotate)).toMatchObject({
      code: "credential-invalid",
      message: "app/db: the stored value is not JSON",
    });
  });

  test("and nothing of it where all is well", async () => {
    const it = world({ admin: "ops/admin" }, { needsAdmin: true });
    await stored(it, "ops/admin", "{}");
    expect((await it.ask(rotate)).answer).toBe("began");
  });

  test("but for the administering login, where who asks may not read it", async () => {
    const spares = { sparesAdmin: true };
    const { ports } = world({ admin: "ops/admin" });
    expect((await request(ref, ports, rotate, spares)).answer).toBe("began");
    const wrong = world({ config: { owner: 7 }, admin: "ops/admin" });
    await expect(request(ref, wrong.ports, rotate, spares)).rejects.toMatchObject({ code: "config-invalid" });
    const none = world({}, { needsAdmin: true });
    await expect(request(ref, none.ports, rotate, spares)).rejects.toMatchObject({ code: "config-invalid" });
    expect(await wrong.record()).toBeUndefined();
  });

  test("but a cut, or a cancel, is not kept waiting by it", async () => {
    const { ask, mark, keep } = world({ config: { owner: 7 }, admin: "ops/admin" });
    await keep("v1", undefined);
    expect((await ask(cancel)).answer).toBe("nothing");
    expect((await ask(emergency(mark("v1")))).answer).toBe("began");
  });
});

describe("an emergency strikes what the store has as current", () => {
  const halted: State = { phase: "halted", from: "set", code: "internal", reason: "a defect", at: 0 };

  test.each<readonly [string, State, string, string]>([
    ["at rest", { phase: "idle" }, "v2", "create"],
    ["halted", halted, "v2", "create"],
    [
      "while a rotation has not looked at it yet",
      { phase: "create", rotation: { ...rotation, id: "v3" }, ...tries },
      "v2",
      "create",
    ],
    [
      "while one is undone that never did",
      { phase: "undo", rotation: { ...rotation, id: "v3" }, reason: "cancelled", ...tries },
      "v2",
      "create",
    ],
    [
      "but not while a rotation decides which it is",
      { phase: "set", rotation: { ...rotation, id: "v3" }, ...tries },
      "v1",
      "set",
    ],
    [
      "nor while one is undone that was about to",
      {
        phase: "undo",
        rotation: { ...rotation, id: "v3", pending: { version: "v3", fingerprint: "f" } },
        reason: "cancelled",
        ...tries,
      },
      "v1",
      "undo",
    ],
  ])("%s", async (_, state, version, phase) => {
    const { keep, put, ask, mark, now, clock } = world();
    await keep("v1", undefined);
    clock.advance(9);
    await keep("v2", "v1");
    await put({ current: { ...mark("v1"), since: 3 }, state });
    const { record } = await ask(emergency(mark("v2")));
    const since = version === "v1" ? 3 : now + 9;
    expect(record).toMatchObject({ current: { ...mark(version), since }, state: { phase } });
  });

  test("also where the record has none", async () => {
    const { keep, put, ask, mark, now } = world();
    await keep("v1", undefined);
    await put({});
    expect((await ask(emergency(mark("v1")))).record.current).toEqual({ ...mark("v1"), since: now });
  });

  test.each([
    ["is the same version", true],
    ["has none", false],
  ])("and the record's where it %s", async (_, isStored) => {
    const { keep, put, ask, mark } = world();
    if (isStored) await keep("v1", undefined);
    await put({ current: { version: "v1", fingerprint: "by an older key", since: 3 } });
    const { record } = await ask(emergency(mark("v1")));
    expect(record.current).toEqual({ version: "v1", fingerprint: "by an older key", since: 3 });
  });
});

describe("a grace that is to end by hand", () => {
  const retire = { kind: "retire", by: "eve", insist: false } as const;
  const inGrace = async () => {
    const it = world();
    await it.keep("v1", undefined);
    await it.keep("v2", "v1");
    await it.put({
      current: { ...it.mark("v2"), since: 0 },
      state: {
        phase: "grace",
        rotation: { ...rotation, pending: it.mark("v2"), previous: it.mark("v1") },
        since: 0,
        confirmAt: 0,
        refusals: 0,
        adopted: false,
        laggardsNamed: false,
        ...tries,
      },
    });
    const said = { ref, agent: "host/a", fleet: "agents", sequence: 1, adopted: "v2", holds: [] };
    return { ...it, report: (...inUse: string[]) => acceptReports(it.ports, [{ ...said, inUse }]) };
  };

  test("does not, while somebody needs the old credential, unless it is insisted on", async () => {
    const { report, ask, record } = await inGrace();
    await report("v1", "v2");
    const before = await record();
    expect(await ask(retire)).toEqual({
      record: before,
      notes: [],
      events: [],
      answer: "refused",
      why: "still on the old version: host/a; insist to cut it off nevertheless",
    });
    expect(await record()).toEqual(before);
    expect(await ask({ ...retire, insist: true })).toMatchObject({
      answer: "began",
      record: { state: { phase: "retire", forced: true } },
    });
  });

  test("does, once nobody does", async () => {
    const { report, ask } = await inGrace();
    await report("v2");
    expect(await ask(retire)).toMatchObject({
      answer: "began",
      record: { state: { phase: "retire", forced: false } },
    });
  });

  test("is none where nothing is current, and none that anybody objects to in a first version's", async () => {
    const { ask, put, mark } = world();
    expect(await ask(retire)).toMatchObject({ answer: "nothing", why: "nothing is owed" });
    const state = { phase: "retire", rotation, since: 0, forced: true, ...tries } as const;
    await put({ current: { ...mark("v2"), since: 0 }, state });
    expect(await ask(retire)).toMatchObject({ answer: "nothing", why: "nothing is owed" });
  });

  test("asks nobody where something else is asked for", async () => {
    const { report, ask } = await inGrace();
    await report("v1");
    expect((await ask({ kind: "pause", by: "eve", reason: "a migration" })).answer).toBe("began");
  });
});

describe("a version", () => {
  test("is found by its stage or its id, with the fingerprint of its value", async () => {
    const { ports, keep, mark } = world();
    await keep("v1", undefined);
    await keep("v2", "v1");
    await ports.store.savePending(ref, "v3", secretOf("v3"));
    const found = ["previous", "current", "pending", "v1"].map((which) => versionMark(ref, ports, which));
    expect(await Promise.all(found)).toEqual(["v1", "v2", "v3", "v1"].map(mark));
  });

  test("that is not there is missed", async () => {
    await expect(versionMark(ref, world().ports, "v9")).rejects.toMatchObject({
      code: "secret-missing",
      message: "app/db has no version v9",
    });
  });
});

test("a value that a person brings is current at once, and its fields are found again", async () => {
  const { ports, keep } = world();
  await keep("v1", undefined);
  const field = new Secret("canary-brought-7Wq4");
  const version = await storeValue(ref, ports, secretOf("v2"), { password: field });
  expect(await ports.store.read(ref, "current")).toMatchObject({ version });
  expect(await ports.store.read(ref, "previous")).toMatchObject({ version: "v1" });
  const candidates = ports.fingerprinter.candidates(field.reveal());
  expect(await ports.journal.identify(candidates)).toEqual([{ ref, version, field: "password" }]);
});

test("a value of what is only held needs nothing to be there before", async () => {
  const { ports } = world();
  const version = await storeValue("ops/admin", ports, secretOf("root"), {});
  expect(await ports.store.read("ops/admin", "current")).toMatchObject({ version });
});

describe("a schedule", () => {
  const scheduled = (it: ReturnType<typeof world>, schedule = every(10)): Ports => {
    const managed = it.ports.secrets.get(ref);
    const policy = managed && { ...managed.policy, schedule };
    return {
      ...it.ports,
      secrets: {
        get: (name) => (name === ref ? managed && policy && { ...managed, policy } : undefined),
        refs: () => ["app/gone", ref],
      },
    };
  };
  const known = { current: { version: "v1", fingerprint: "f", since: 1_000 } };

  test.each([
    [null, 1_010, 2],
    [1_011, 1_010, 2],
    [1_010, 1_010, 1],
    [1_009, 1_009, 1],
  ])("of what is due at %s makes it due at %i", async (dueAt, expected, revision) => {
    const it = world();
    await it.put({ ...known, dueAt });
    await enrolSchedules(scheduled(it));
    expect(await it.ports.journal.load(ref)).toEqual({
      record: { ...newRecord(ref), ...known, dueAt: expected },
      revision,
    });
  });

  test.each<readonly [string, Partial<RotationRecord>]>([
    ["without a value waits for a person", {}],
    [
      "that is under way has a time of its own",
      { ...known, state: { phase: "undo", rotation, reason: "", ...tries } },
    ],
  ])("of a secret %s", async (_, changes) => {
    const it = world();
    await it.put(changes);
    await enrolSchedules(scheduled(it));
    expect(await it.ports.journal.load(ref)).toEqual({
      record: { ...newRecord(ref), ...changes },
      revision: 1,
    });
  });

  test("of what nobody has asked for yet waits, too", async () => {
    const it = world();
    await enrolSchedules(scheduled(it));
    expect(await it.record()).toBeUndefined();
  });

  test("that there is none of changes nothing", async () => {
    const it = world();
    await it.put(known);
    await enrolSchedules(it.ports);
    expect((await it.ports.journal.load(ref))?.revision).toBe(1);
  });

  test("is left to whoever is at work, and to nobody where the journal fails", async () => {
    const it = world();
    await it.put(known);
    const down = new KeyturnError("unreachable", "no answer");
    it.failures.push(new KeyturnError("conflict", "moved"), down);
    await enrolSchedules(scheduled(it));
    await expect(enrolSchedules(scheduled(it))).rejects.toBe(down);
  });
});

test("agents that were silent for more than a week are forgotten", async () => {
  const { ports, clock } = world();
  const said = { ref, fleet: "agents", sequence: 1, adopted: undefined, inUse: [], holds: [] };
  await acceptReports(ports, [{ ...said, agent: "host/a" }]);
  clock.advance(1);
  await acceptReports(ports, [{ ...said, agent: "host/b" }]);
  clock.advance(7 * 86_400_000);
  await forgetSilentAgents(ports);
  expect((await ports.journal.agents(ref)).map(({ agent }) => agent)).toEqual(["host/b"]);
});
