import { describe, expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { Trap } from "./crash.contract.ts";
import { KeyturnError } from "./errors.ts";
import { type NativeWorld, nativeRef, openNative, overlaps } from "./native.contract.ts";
import { type NativeStep, nativeStep, nativeSteps } from "./native.ts";
import { request, versionMark } from "./operate.ts";

describe.each(overlaps)("%s", (overlap) => {
  test("the four steps, each of them no further than it says", async () => {
    const { drive, record, settle, expectSettled, bus, clock } = await openNative(overlap);
    const seen: string[] = [];
    const told = bus.events.length;
    for (const step of nativeSteps) {
      await drive(step, "t1");
      const { state, dueAt, lease } = await record();
      seen.push(state.phase);
      expect(lease).toBeUndefined();
      if (step !== "finish") expect(dueAt).toBe(clock.now() + 10_000);
    }
    expect(seen).toEqual(["set", "test", "finish", "grace"]);
    expect(bus.events.slice(told).map(({ type }) => type)).toEqual(["dev.keyturn.secret.rotated.v1"]);
    await settle();
    await expectSettled("t1");
  });

  test("each step again and again is once", async () => {
    const { drive, record, settle, expectSettled, loginOf } = await openNative(overlap);
    for (const [at, step] of nativeSteps.entries()) {
      await drive(step, "t1");
      const once = await record();
      const candidate = await loginOf({ version: "t1" });
      for (const earlier of nativeSteps.slice(0, at + 1)) await drive(earlier, "t1");
      expect(await record()).toEqual(once);
      expect(await loginOf({ version: "t1" })).toEqual(candidate);
    }
    await settle();
    const rested = await record();
    for (const step of nativeSteps) await drive(step, "t1");
    expect(await record()).toEqual(rested);
    await expectSettled("t1");
  });
});

describe("what is refused, and changes nothing", () => {
  test.each([
    [["create"], "test", "set of t1 comes first"],
    [["create"], "finish", "set of t1 comes first"],
    [["create", "set"], "finish", "test of t1 comes first"],
  ] as const)("after %j %s is too early", async (done, step, why) => {
    const { drive, record } = await openNative();
    for (const one of done) await drive(one, "t1");
    const before = await record();
    await expect(drive(step, "t1")).rejects.toMatchObject({
      code: "request-refused",
      message: `${step}Secret of app/db: ${why}`,
    });
    expect(await record()).toEqual(before);
  });

  test.each([
    ["create", "set", "t2 is not under way"],
    ["create", "finish", "t2 is not under way"],
    ["set", "test", "t2 is not under way"],
  ] as const)("after %s, %s with another token", async (last, step, why) => {
    const { drive, record } = await openNative();
    for (const one of nativeSteps.slice(0, nativeSteps.indexOf(last) + 1)) await drive(one, "t1");
    const before = await record();
    await expect(drive(step, "t2")).rejects.toMatchObject({ message: `${step}Secret of app/db: ${why}` });
    expect(await record()).toEqual(before);
  });

  test.each(["set", "finish"] as const)("%s at rest", async (step) => {
    const { drive, record } = await openNative();
    const before = await record();
    await expect(drive(step, "t1")).rejects.toMatchObject({ code: "request-refused" });
    expect(await record()).toEqual(before);
  });

  test("any step of a secret that was never imported", async () => {
    const { ports } = memoryPorts(modelTarget().bothLive);
    for (const step of nativeSteps) {
      await expect(
        nativeStep({ step, ref: nativeRef, token: "t1" }, ports, { until: 0 }),
      ).rejects.toMatchObject({
        code: "secret-missing",
        message: "app/db is not under Keyturn yet: import it first",
      });
    }
    await expect(
      nativeStep({ step: "set", ref: "no/such", token: "t1" }, ports, { until: 0 }),
    ).rejects.toMatchObject({
      code: "input-invalid",
    });
    expect(await ports.journal.refs()).toEqual([]);
  });
});

describe("testSecret of a token that is nowhere", () => {
  test.each(["idle", "grace"])("tries the current value in %s, and changes nothing", async (phase) => {
    const { drive, record, rotate, ports } = await openNative();
    if (phase === "grace") await rotate("t1");
    const before = { record: await record(), versions: await ports.store.versions(nativeRef) };
    expect(before.record.state.phase).toBe(phase);
    await drive("test", "dry");
    expect({ record: await record(), versions: await ports.store.versions(nativeRef) }).toEqual(before);
  });

  test("says what is wrong", async () => {
    const { drive, target, loginOf } = await openNative();
    const { username } = await loginOf("current");
    target.fail("preflight", new KeyturnError("admin-refused", "nobody lets us in"), 1);
    await expect(drive("test", "dry")).rejects.toMatchObject({ code: "admin-refused" });
    target.meddle(username, undefined);
    await expect(drive("test", "dry")).rejects.toMatchObject({ code: "login-refused" });
  });

  test("lists what a dry run finds", async () => {
    const { drive, rotator, ports, loginOf } = await openNative();
    const finding = (check: string, ok: boolean) => ({
      check,
      ok,
      message: `${check} it is`,
      code: "target-rejected" as const,
    });
    const wary = {
      ...rotator,
      preflight: async () => [finding("slow", false), finding("fine", true), finding("old", false)],
    };
    await expect(
      drive("test", "dry", { ...ports, rotators: { load: async () => wary } }),
    ).rejects.toMatchObject({
      code: "target-rejected",
      message: "not ready for a rotation: slow: slow it is; old: old it is",
    });
    expect(await loginOf("current")).toBeDefined();
  });

  test("needs a current value", async () => {
    const { drive, ports } = await openNative();
    const store = { ...ports.store, read: async () => undefined };
    await expect(drive("test", "dry", { ...ports, store })).rejects.toMatchObject({
      code: "secret-missing",
      message: "app/db has no current value",
    });
  });
});

/** Stops the n-th call to the outside that a step makes, for good. */
function stopped(
  world: NativeWorld,
  step: NativeStep,
  token: string,
  call: number,
  mode: "before" | "after",
) {
  const { ports, rotator } = world;
  const trap = new Trap(call, mode);
  const wrapped = trap.wrap("rotator", rotator);
  const doomed = world
    .drive(step, token, {
      ...ports,
      store: trap.wrap("store", ports.store),
      journal: trap.wrap("journal", ports.journal),
      bus: trap.wrap("bus", ports.bus),
      audit: trap.wrap("audit", ports.audit),
      rotators: { load: async () => wrapped },
    })
    .catch(() => undefined);
  return {
    trap,
    doomed,
    first: Promise.race([doomed.then(() => "ended"), trap.hasStopped.then(() => "stopped")]),
  };
}

/** A function that is killed at every call of every step, and what Secrets Manager may do then. */
async function everyKill(
  overlap: (typeof overlaps)[number],
  mode: "before" | "after",
  act: (world: NativeWorld, step: NativeStep, thaw: () => Promise<void>) => Promise<void>,
): Promise<number> {
  let kills = 0;
  for (const step of nativeSteps) {
    for (let call = 1; ; call += 1) {
      const world = await openNative(overlap);
      for (const before of nativeSteps.slice(0, nativeSteps.indexOf(step))) await world.drive(before, "t1");
      const { trap, doomed, first } = stopped(world, step, "t1", call, mode);
      if ((await first) !== "stopped") break;
      kills += 1;
      const thaw = async () => {
        trap.thaw();
        await doomed;
      };
      await act(world, step, thaw).catch((cause: unknown) => {
        throw new Error(`killed in ${step}, ${trap.where}`, { cause });
      });
    }
  }
  return kills;
}

describe.each(overlaps)("%s: a function that is killed at any call", (overlap) => {
  describe.each(["before", "after"] as const)("%s it is carried out", (mode) => {
    test("is followed by the same step with the same token, at once", async () => {
      const kills = await everyKill(overlap, mode, async (world, step) => {
        for (const next of nativeSteps.slice(nativeSteps.indexOf(step))) await world.drive(next, "t1");
        await world.settle();
        await world.expectSettled("t1");
      });
      expect(kills).toBeGreaterThan(20);
    });

    test("is followed by a rotation with another token, which begins as soon as it can", async () => {
      const answers = new Set<string>();
      await everyKill(overlap, mode, async (world) => {
        const began = await world.rotate("t2").then(
          () => true,
          (thrown: Error) => {
            answers.add(thrown.message.replace(/^.*?: (busy: [a-z0-9 ]+).*$/, "$1"));
            return false;
          },
        );
        await world.settle({ begin: async () => false });
        const { current } = await world.record();
        if (began) expect(current?.version).toBe("t2");
        await world.expectSettled(current?.version ?? "");
        await world.rotate("t3");
        await world.settle();
        await world.expectSettled("t3");
      });
      // What is out cannot be taken back; everything before it made room for the new token.
      expect([...answers].sort()).toEqual([
        "busy: t1 is being published",
        "busy: the grace of t1 is under way",
      ]);
    });

    test("is overtaken when it goes on after another token, and overwrites nothing", async () => {
      await everyKill(overlap, mode, async (world, _, thaw) => {
        await world.rotate("t2").catch(() => undefined);
        await world.settle({ begin: async () => false });
        await world.rotate("t3");
        await thaw();
        await world.settle();
        const { current } = await world.record();
        // One that had recorded nothing may still ask for a rotation: that is one more.
        expect(["t1", "t2", world.before]).not.toContain(current?.version);
        await world.expectSettled(current?.version ?? "");
      });
    });

    test("is finished by the tick after a while, if Secrets Manager says nothing more", async () => {
      await everyKill(overlap, mode, async (world) => {
        world.clock.advance(20_000);
        await world.settle();
        const { current } = await world.record();
        await world.expectSettled(current?.version ?? "");
        expect([world.before, "t1"]).toContain(current?.version);
      });
    });

    test("is overtaken by an emergency", async () => {
      await everyKill(overlap, mode, async (world) => {
        const version = await versionMark(nativeRef, world.ports, "current");
        await request(nativeRef, world.ports, { kind: "emergency", by: "ann", version, cutFirst: false });
        const { compromised, state } = await world.settle();
        expect({
          phase: state.phase,
          refused: compromised.every(({ refusedAt }) => refusedAt !== undefined),
        }).toEqual({ phase: "idle", refused: true });
        await world.expectSettled((await world.record()).current?.version ?? "");
      });
    });
  });
});
