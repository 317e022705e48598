import { expect, test } from "vitest";
import { KeyturnError } from "../core/errors.ts";
import { request } from "../core/operate.ts";
import type { ManagedSecret } from "../core/ports.ts";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget, type Verb } from "../local/model-target.ts";
import { workOn } from "./working.ts";

const ref = "app/db";

/** A secret whose second rotation does not get through a step, and whose manifest is deployed anew meanwhile. */
async function held(step: Verb) {
  const target = modelTarget();
  const memory = memoryPorts(target.bothLive, { policy: { attemptsMax: 50 } });
  const { ports, clock, managed } = memory;
  const queues = { order: async () => undefined };
  const invocation = { awsRequestId: "r1", getRemainingTimeInMillis: () => 60_000 };
  const work = () =>
    workOn(ref, { ports, queues, begin: async () => false, ready: async () => undefined }, invocation);
  const record = async () => (await ports.journal.load(ref))?.record;
  const current = async () => (await ports.store.read(ref, "current"))?.value;
  const works = async () => {
    const { username, password } = JSON.parse((await current())?.reveal() ?? "{}");
    return target.accepts(username, password);
  };
  const toTheEnd = async () => {
    for (let turn = 0; turn < 100; turn += 1) {
      await work();
      clock.advance(5_000);
    }
    return record();
  };
  await request(ref, ports, { kind: "rotate", by: "test" });
  await work();
  const before = await current();
  target.fail(step, new KeyturnError("unreachable", "no answer"));
  await request(ref, ports, { kind: "rotate", by: "test" });
  await work();
  /** As the next deployment has it. */
  const deploy = (changed: Partial<ManagedSecret>) => void Object.assign(managed, changed);
  return { ...memory, target, work, record, current, works, toTheEnd, before, deploy };
}

/** What is said of the record of a secret at rest, with its current value the only one that works. */
async function expectAtRest({ toTheEnd, works, target }: Awaited<ReturnType<typeof held>>, live: string) {
  const ended = await toTheEnd();
  expect(ended).toMatchObject({ state: { phase: "idle" }, debts: [] });
  expect(target.live()).toEqual([live]);
  expect(await works()).toBe(true);
}

test("a config that cannot be used, deployed before anything is made, ends the rotation with nothing changed", async () => {
  const world = await held("create");
  const { target, deploy, before, current, lines, work, clock, record } = world;
  deploy({ config: { host: "elsewhere" } });
  target.fail("create", undefined);
  clock.advance(10_000);
  await work();
  expect((await current())?.reveal()).toBe(before?.reveal());
  expect(await record()).toMatchObject({ state: { phase: "idle" } });
  expect(lines.join("\n")).toContain("the config of type model-both-live is not usable: owner");
  await expectAtRest(world, "app_a");
});

test.each(["set", "test"] as const)(
  "a config that cannot be used, deployed in %s, halts with current as it is, and what was begun is taken back when it can be",
  async (step) => {
    const world = await held(step);
    const { target, deploy, before, current, works, work, clock, record, managed, ports } = world;
    const { config } = managed;
    deploy({ config: { host: "elsewhere" } });
    target.fail(step, undefined);
    clock.advance(10_000);
    await work();
    expect((await current())?.reveal()).toBe(before?.reveal());
    expect(await works()).toBe(true);
    expect(await record()).toMatchObject({
      state: { phase: "halted", from: "undo", code: "config-invalid" },
    });
    deploy({ config });
    await request(ref, ports, { kind: "resume", by: "ann" });
    await expectAtRest(world, "app_a");
  },
);

test.each([
  ["create", "app"],
  ["set", "app_b"],
  ["test", "app_b"],
] as const)(
  "another type, deployed in %s, goes on with the candidate that is saved, and nothing of the old one works at the end",
  async (step, live) => {
    const world = await held(step);
    const { target, deploy, works, work, clock, ports } = world;
    Object.assign(ports.rotators, { load: async () => target.cutover });
    deploy({ type: target.cutover.type });
    target.fail(step, undefined);
    clock.advance(10_000);
    await work();
    expect(await works()).toBe(true);
    await expectAtRest(world, live);
  },
);

test("a secret that is gone in the middle stays as it is, says so, and goes on when it is back", async () => {
  const world = await held("set");
  const { target, ports, work, before, current, record } = world;
  const { get } = ports.secrets;
  const was = await record();
  Object.assign(ports.secrets, { get: () => undefined });
  target.fail("set", undefined);
  await expect(work()).rejects.toMatchObject({
    code: "input-invalid",
    message: `the manifest has no secret ${ref}`,
  });
  expect(await record()).toEqual(was);
  expect((await current())?.reveal()).toBe(before?.reveal());
  Object.assign(ports.secrets, { get });
  await expectAtRest(world, "app_b");
});

test("other fleets and another grace hold from the next look on, and lose nothing", async () => {
  const world = await held("test");
  const { target, deploy, work, clock, managed, record } = world;
  target.fail("test", undefined);
  clock.advance(10_000);
  await work();
  expect(await record()).toMatchObject({ state: { phase: "grace" } });
  deploy({ fleets: ["others"], policy: { ...managed.policy, graceAtLeastMs: 20_000 } });
  clock.advance(10_000);
  await work();
  expect(await record()).toMatchObject({ state: { phase: "grace" } });
  expect([...target.live()].toSorted()).toEqual(["app_a", "app_b"]);
  await expectAtRest(world, "app_b");
});
