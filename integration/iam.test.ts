import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type StrictIam, startStrictIam } from "./aws/strict-iam.ts";
import { iamWorld } from "./iam-world.ts";

let model: StrictIam;

beforeAll(async () => {
  model = await startStrictIam();
});

afterAll(async () => {
  delete process.env.AWS_ENDPOINT_URL;
  await model.close();
});

type World = ReturnType<typeof iamWorld>;

/** Twice rotated: the newer key is current, the older one inactive. */
async function rotatedTwice(keepInactiveMs?: number): Promise<World> {
  const world = iamWorld(model, keepInactiveMs);
  for (let count = 0; count < 2; count += 1) {
    await world.ask("rotate");
    await world.until("grace");
    await world.until("idle");
  }
  return world;
}

async function expectActive(world: World, ids: readonly string[]): Promise<void> {
  const keys = world.keys();
  const active = Object.keys(keys).filter((id) => keys[id] === "Active");
  expect(active.toSorted()).toEqual(ids.toSorted());
  expect(Object.keys(keys).length).toBeLessThanOrEqual(2);
}

describe("the access keys of a user, rotated by the whole core", () => {
  test("take turns, and one is active outside of a grace", async () => {
    const world = await rotatedTwice();
    const old = await world.current();
    await expectActive(world, [old]);
    await world.ask("rotate");
    await world.until("grace");
    const next = await world.current();
    expect(next).not.toBe(old);
    await expectActive(world, [old, next]);
    await world.until("idle");
    await expectActive(world, [next]);
  });

  test("are rolled back in a grace, with no third key, and the one given up makes room at once", async () => {
    const world = await rotatedTwice(86_400_000);
    // A person has deleted what waits for its time.
    world.target.user.keys.splice(0, 1);
    const old = await world.current();
    await world.ask("rotate");
    await world.until("grace");
    await world.ask("rollback");
    await world.until("idle");
    expect(await world.current()).toBe(old);
    await expectActive(world, [old]);
  });

  test("have a successor at once where current leaks in a grace, although both slots are taken", async () => {
    const world = await rotatedTwice(86_400_000);
    // A person has deleted what waits for its time.
    world.target.user.keys.splice(0, 1);
    await world.ask("rotate");
    await world.until("grace");
    const leaked = await world.current();
    await world.leak("current");
    await world.until("idle");
    const successor = await world.current();
    expect(successor).not.toBe(leaked);
    await expectActive(world, [successor]);
  });

  test.each([false, true])(
    "have one where current leaks soon after a rotation (cut first: %s)",
    async (cutFirst) => {
      const world = await rotatedTwice(86_400_000);
      const leaked = await world.current();
      await world.leak("current", cutFirst);
      await world.until("idle");
      const successor = await world.current();
      expect(successor).not.toBe(leaked);
      await expectActive(world, [successor]);
    },
  );

  test.each(["before", "after"] as const)(
    "converge wherever a call is torn, %s it is carried out",
    async (when) => {
      const world = await rotatedTwice();
      let torn = 0;
      for (let at = 1; ; at += 1) {
        const old = await world.current();
        const tear = { at, when };
        model.behaviour.tear = tear;
        await world.ask("rotate");
        await world.until("grace");
        await world.until("idle");
        model.behaviour.tear = undefined;
        const value = await world.current();
        expect(value, `torn at ${at}`).not.toBe(old);
        await expectActive(world, [value]);
        if (tear.at > 0) break;
        torn += 1;
      }
      expect(torn).toBeGreaterThan(25);
      // Nothing is left of what was interrupted: the last rotation has swept.
      const names = [...world.target.user.tags.keys()];
      expect(names).not.toContain("keyturn:minting");
      expect(names.filter((name) => name.startsWith("keyturn:key:")).length).toBe(2);
    },
    240_000,
  );
});
