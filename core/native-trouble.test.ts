import { describe, expect, test } from "vitest";
import { KeyturnError } from "./errors.ts";
import { nativeRef, openNative } from "./native.contract.ts";
import { nativeStep, nativeSteps } from "./native.ts";
import { request, versionMark } from "./operate.ts";
import { reconcile } from "./reconcile.ts";

const down = (times: number) => [new KeyturnError("unreachable", "no route to the database"), times] as const;

describe("a step that fails", () => {
  test("is tried again within the time of the call", async () => {
    const { target, drive, record, slept } = await openNative();
    await drive("create", "t1");
    target.fail("set", ...down(2));
    await drive("set", "t1");
    expect((await record()).state.phase).toBe("test");
    expect(slept).toEqual([100, 200]);
  });

  test("tells why when that time is over, and goes on when it is asked for again", async () => {
    const { target, drive, record, ports, clock } = await openNative();
    await drive("create", "t1");
    target.fail("set", ...down(1));
    await expect(drive("set", "t1", ports, 100)).rejects.toMatchObject({
      code: "unreachable",
      message: "setSecret of app/db: unreachable: no route to the database; it goes on by itself",
    });
    expect((await record()).state).toMatchObject({ phase: "set", attempts: 1 });
    clock.advance(100);
    await drive("set", "t1");
    expect((await record()).state.phase).toBe("test");
  });

  test("begins nothing after the time of the call", async () => {
    const { drive, record, ports } = await openNative();
    await drive("create", "t1");
    await expect(drive("set", "t1", ports, 0)).rejects.toMatchObject({
      code: "timeout",
      message: "setSecret of app/db: it goes on by itself",
    });
    expect((await record()).state.phase).toBe("set");
  });

  test("that is rejected is taken back at once, and its token is refused from then on", async () => {
    const { target, drive, record, before, expectSettled, settle, rotate } = await openNative();
    await drive("create", "t1");
    await drive("set", "t1");
    target.fail("test", new KeyturnError("access-differs", "a grant is missing"), 1);
    await expect(drive("test", "t1")).rejects.toMatchObject({
      code: "access-differs",
      message: "testSecret of app/db: access-differs: a grant is missing; t1 was taken back, or put aside",
    });
    await expectSettled(before);
    const rested = await record();
    for (const step of nativeSteps) {
      await expect(drive(step, "t1")).rejects.toMatchObject({ code: "request-refused" });
    }
    expect({ ...(await record()), lease: undefined, dueAt: rested.dueAt }).toEqual(rested);
    await rotate("t2");
    await settle();
    await expectSettled("t2");
  });

  test("and cannot be taken back says so, and goes on when it can", async () => {
    const { target, drive, record, settle, before, expectSettled } = await openNative();
    await drive("create", "t1");
    await drive("set", "t1");
    target.fail("test", new KeyturnError("access-differs", "a grant is missing"), 1);
    target.fail("retire", ...down(1));
    await expect(drive("test", "t1")).rejects.toThrow("t1 is being taken back: a grant is missing");
    await expect(drive("finish", "t1")).rejects.toThrow("t1 is being taken back: a grant is missing");
    await expect(drive("create", "t1")).rejects.toThrow("createSecret of app/db: a grant is missing");
    expect((await record()).state.phase).toBe("undo");
    await settle();
    await expectSettled(before);
  });

  test("and halts calls a person, whoever asks", async () => {
    const { target, drive, record, ports } = await openNative();
    await drive("create", "t1");
    target.fail("set", new KeyturnError("fence-conflict", "two claim one epoch"), 1);
    await expect(drive("set", "t1")).rejects.toMatchObject({ code: "fence-conflict" });
    const halted = await record();
    for (const step of nativeSteps) await expect(drive(step, "t1")).rejects.toThrow("two claim one epoch");
    expect(await record()).toEqual(halted);
    await expect(drive("create", "t2")).rejects.toThrow("halted in set: fence-conflict: two claim one epoch");
    expect((await record()).state).toEqual(halted.state);
    expect((await ports.store.read(nativeRef, "pending"))?.version).toBe("t1");
  });

  test("shows no value", async () => {
    const { target, drive, loginOf, lines, record } = await openNative();
    await drive("create", "t1");
    const { password } = await loginOf("pending");
    target.fail("set", new KeyturnError("target-rejected", `the target says: ${password}`), 1);
    const thrown = await drive("set", "t1").catch((error: Error) => error.message);
    expect(thrown).toContain("the target says: ");
    for (const text of [thrown, lines.join("\n"), JSON.stringify(await record())])
      expect(text).not.toContain(password);
  });
});

describe("another worker", () => {
  test("that has it in hand is waited for", async () => {
    const { drive, ports, record, clock, slept } = await openNative();
    await drive("create", "t1");
    const loaded = await ports.journal.load(nativeRef);
    const lease = { holder: "tick", until: clock.now() + 700 };
    if (loaded !== undefined) await ports.journal.save({ ...loaded.record, lease }, loaded.revision);
    await drive("set", "t1");
    expect(slept).toEqual([500, 500]);
    expect((await record()).state.phase).toBe("test");
  });

  test("that has it in hand for too long is told of", async () => {
    const { drive, ports, clock } = await openNative();
    await drive("create", "t1");
    const loaded = await ports.journal.load(nativeRef);
    const lease = { holder: "tick", until: clock.now() + 9_000 };
    if (loaded !== undefined) await ports.journal.save({ ...loaded.record, lease }, loaded.revision);
    await expect(drive("set", "t1", ports, 600)).rejects.toMatchObject({ code: "timeout" });
  });

  test.each([
    [9_000, "t2"],
    [400, "busy"],
  ])("that takes something back is waited for %i ms by what comes next: %s", async (budgetMs, what) => {
    const { drive, ports, clock, record } = await openNative();
    await drive("create", "t1");
    await request(nativeRef, ports, { kind: "cancel", by: "ann", insist: false });
    const loaded = await ports.journal.load(nativeRef);
    const lease = { holder: "tick", until: clock.now() + 1_200 };
    if (loaded !== undefined) await ports.journal.save({ ...loaded.record, lease }, loaded.revision);
    if (what === "busy") {
      await expect(drive("create", "t2", ports, budgetMs)).rejects.toThrow("busy: t1 is being taken back");
      expect((await record()).wish).toMatchObject({ kind: "rotate" });
    } else {
      await drive("create", "t2", ports, budgetMs);
      expect((await record()).state).toMatchObject({ phase: "set", rotation: { id: "t2" } });
    }
  });

  test("leaves a rotation alone that Secrets Manager drives, until patience ends", async () => {
    const { drive, tick, clock, record } = await openNative();
    await drive("create", "t1");
    const driven = await record();
    await tick();
    expect(await record()).toEqual(driven);
    clock.advance(9_999);
    await tick();
    expect((await record()).state.phase).toBe("set");
    clock.advance(1);
    await tick();
    expect((await record()).state.phase).toBe("grace");
  });

  test("moves first: the journal is read again, whatever it was about to save", async () => {
    const { drive, ports, record } = await openNative();
    let moved = false;
    const journal = {
      ...ports.journal,
      save: async (...args: Parameters<typeof ports.journal.save>) => {
        const loaded = moved ? undefined : await ports.journal.load(nativeRef);
        moved = true;
        if (loaded !== undefined) await ports.journal.save({ ...loaded.record, dueAt: 1 }, loaded.revision);
        return ports.journal.save(...args);
      },
    };
    await drive("create", "t1", { ...ports, journal });
    expect((await record()).state).toMatchObject({ phase: "set", rotation: { id: "t1" } });
    moved = false;
    await expect(drive("set", "t9", { ...ports, journal })).rejects.toThrow("t9 is not under way");
    await drive("create", "t2", { ...ports, journal });
    expect((await record()).state).toMatchObject({ phase: "set", rotation: { id: "t2" } });
  });

  test("of a journal that is away is no other worker", async () => {
    const { drive, ports, record } = await openNative();
    const away = new KeyturnError("journal-unavailable", "no answer");
    const save = async () => {
      throw away;
    };
    const before = await record();
    const journal = { ...ports.journal, save };
    await expect(drive("create", "t1", { ...ports, journal })).rejects.toBe(away);
    expect(await record()).toEqual(before);
  });
});

describe("what begins elsewhere", () => {
  test("is asked for when the grace has ended that kept it waiting, and begins under the new token", async () => {
    const { rotate, drive, settle, record, ports, clock, expectSettled } = await openNative();
    await rotate("t1");
    await expect(drive("create", "t2")).rejects.toMatchObject({
      code: "request-refused",
      message: expect.stringMatching(
        /^createSecret of app\/db: busy: the grace of t1 is under way; .* at the earliest$/,
      ),
    });
    expect(await record()).toMatchObject({ wish: { kind: "rotate" }, closed: ["t2"], dueAt: clock.now() });
    await expect(
      ports.store.savePending(nativeRef, "t2", (await current(ports)).value),
    ).rejects.toMatchObject({ code: "conflict" });
    const told: string[] = [];
    await settle({
      begin: async ({ lease, state, wish }) => {
        told.push(`${state.phase} ${wish?.requestedBy} ${lease?.holder}`);
        if (told.length === 1) throw new KeyturnError("throttled", "too fast");
        await rotate("t3");
        return true;
      },
    });
    expect(told).toEqual(["idle Secrets Manager undefined", "idle Secrets Manager undefined"]);
    expect((await record()).wish).toBeUndefined();
    await expectSettled("t3");
  });

  test("is only wished for when a person asks", async () => {
    const { ports, tick, record, clock, settle } = await openNative();
    const answered = await request(
      nativeRef,
      ports,
      { kind: "rotate", by: "ann" },
      { beginsElsewhere: true },
    );
    expect(answered).toMatchObject({
      answer: "waiting",
      record: { wish: { requestedBy: "ann" }, state: { phase: "idle" } },
    });
    let told = 0;
    const begin = async () => {
      told += 1;
      return true;
    };
    expect(await tick({ begin })).toMatchObject({ result: "waiting", until: clock.now() + 10_000 });
    expect([told, (await record()).wish?.requestedBy]).toEqual([1, "ann"]);
    expect((await settle({ begin: async () => false })).state.phase).toBe("idle");
    expect((await record()).wish).toBeUndefined();
  });

  test("begins here where nobody else does", async () => {
    const { ports, settle, record, before } = await openNative();
    await request(nativeRef, ports, { kind: "rotate", by: "ann" }, { beginsElsewhere: true });
    await settle({ begin: async () => false });
    expect((await record()).current?.version).not.toBe(before);
  });

  test("is not asked for a rollback, nor by a step", async () => {
    const { ports, drive, rotate, record, clock, settle, loginOf, before } = await openNative();
    const old = await loginOf({ version: before });
    for (const step of ["create", "set", "test"] as const) await drive(step, "t1");
    const loaded = await ports.journal.load(nativeRef);
    const wish = { kind: "rollback", requestedBy: "ann", at: clock.now() } as const;
    if (loaded !== undefined) await ports.journal.save({ ...loaded.record, wish }, loaded.revision);
    await drive("finish", "t1");
    expect((await record()).state.phase).toBe("grace");
    await rotate("t2");
    expect((await record()).state).toMatchObject({
      phase: "grace",
      rotation: { id: "t2", kind: "rollback", requestedBy: "ann" },
    });
    expect(await loginOf("current")).toEqual(old);
    await settle({
      begin: async () => {
        throw new Error("asked");
      },
    });
  });
});

const current = async (ports: Awaited<ReturnType<typeof openNative>>["ports"]) => {
  const stored = await ports.store.read(nativeRef, "current");
  if (stored === undefined) throw new Error("no current value");
  return stored;
};

test("what is owed is paid before a rotation begins; while it cannot be, the rotation is wished for", async () => {
  const { target, rotate, drive, record, settle, ports, clock, expectSettled } = await openNative();
  await rotate("t1");
  await request(nativeRef, ports, { kind: "retire", by: "ann", insist: true });
  target.fail("retire", ...down(3));
  clock.advance(1_000);
  await reconcile(nativeRef, ports, { worker: "tick" });
  const loaded = await ports.journal.load(nativeRef);
  if (loaded !== undefined) {
    await ports.journal.save(
      { ...loaded.record, state: { phase: "idle" }, lease: undefined },
      loaded.revision,
    );
  }
  clock.advance(5_000);
  await expect(drive("create", "t2")).rejects.toThrow("busy: not yet proven refused, and paid first: ");
  clock.advance(5_000);
  target.fail("retire", undefined);
  await drive("create", "t3");
  expect(await record()).toMatchObject({ debts: [], state: { phase: "set", rotation: { id: "t3" } } });
  for (const step of ["set", "test", "finish"] as const) await drive(step, "t3");
  await settle();
  await expectSettled("t3");
});

test("an emergency in the middle takes the candidate along, and no step holds it up", async () => {
  const { drive, ports, settle, record, expectSettled } = await openNative();
  await drive("create", "t1");
  const version = await versionMark(nativeRef, ports, "current");
  await request(nativeRef, ports, { kind: "emergency", by: "ann", version, cutFirst: false });
  await expect(drive("create", "t2")).rejects.toThrow(
    "busy: an emergency is under way, and goes on by itself",
  );
  await settle();
  expect((await record()).compromised[0]?.refusedAt).toBeDefined();
  await expectSettled("t1");
  for (const step of nativeSteps) await drive(step, "t1");
});

test("the hooks of a worker see every step and change", async () => {
  const { ports, clock } = await openNative();
  const seen: string[] = [];
  await nativeStep({ step: "create", ref: nativeRef, token: "t1" }, ports, {
    until: clock.now() + 9_000,
    observe: ({ notes }) => seen.push(...notes.map(({ action }) => action)),
    trace: async ({ step }, carryOut) => {
      seen.push(step);
      return carryOut();
    },
  });
  expect(seen).toEqual(["create", "create.done"]);
});
