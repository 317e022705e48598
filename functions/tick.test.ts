import { expect, test } from "vitest";
import { KeyturnError } from "../core/errors.ts";
import { enrolSchedules, request } from "../core/operate.ts";
import { reconcile } from "../core/reconcile.ts";
import { every } from "../core/schedule.ts";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { Tick } from "./tick.ts";

const ref = "app/db";

function ticking() {
  const memory = memoryPorts(modelTarget().bothLive);
  const done: string[] = [];
  const down = new Set<string>();
  const part = (name: string) => {
    done.push(name);
    if (down.has(name)) throw new KeyturnError("bus-unavailable", `${name} is away`);
  };
  const tick = new Tick({
    ports: memory.ports,
    queues: { order: async (name) => part(`order ${name}`) },
    hosts: {
      sweep: async () => {
        part("sweep");
        return [];
      },
    },
    witness: {
      sign: async () => {
        part("sign");
        return { root: undefined, isNew: false, parted: [], accepted: [] };
      },
    },
    assertTagged: async () => part("tags"),
    assertKeysThere: async () => part("keys"),
  });
  return { ...memory, tick, done, down };
}

test("what is due is ordered every minute, and house is kept at the start and once an hour", async () => {
  const { tick, done, clock, ports } = ticking();
  expect(await tick.run()).toEqual({ due: 0 });
  expect(done.splice(0)).toEqual(["sweep", "sign", "tags", "keys"]);
  await request(ref, ports, { kind: "rotate", by: "test" });
  clock.advance(60_000);
  expect(await tick.run()).toEqual({ due: 1 });
  expect(done.splice(0)).toEqual([`order ${ref}`, "sweep"]);
  clock.advance(3_600_000);
  await tick.run();
  expect(done).toEqual([`order ${ref}`, "sweep", "sign", "tags", "keys"]);
});

test.each(["sweep", "sign", "tags", "keys", `order ${ref}`])(
  "where %s fails, the rest is done, and the run fails",
  async (broken) => {
    const { tick, done, down, ports, lines } = ticking();
    await request(ref, ports, { kind: "rotate", by: "test" });
    down.add(broken);
    await expect(tick.run()).rejects.toThrow(`${broken} is away`);
    expect(done).toEqual([`order ${ref}`, "sweep", "sign", "tags", "keys"]);
    expect(lines.join("\n")).toMatch(/^error /m);
    // House that was not kept is kept a minute later, and not an hour.
    down.clear();
    done.splice(0);
    await tick.run();
    expect(done.includes("sign")).toBe(["sign", "tags", "keys"].includes(broken));
  },
);

test("what the manifest has no more is not ordered; what is under way or owed there is told until it is back", async () => {
  const { tick, done, clock, ports, lines } = ticking();
  await request(ref, ports, { kind: "rotate", by: "test" });
  const { get } = ports.secrets;
  Object.assign(ports.secrets, { get: () => undefined });
  for (let minute = 1; minute <= 2; minute += 1) {
    clock.advance(60_000);
    await expect(tick.run()).rejects.toMatchObject({
      code: "manifest-invalid",
      message: expect.stringContaining(`has no more ${ref} (create, 0 debts): deploy it with them`),
    });
  }
  expect(done).toEqual(["sweep", "sign", "tags", "keys", "sweep"]);
  expect(lines.join("\n")).toMatch(/^error seeing to what the manifest has no more/m);
  expect((await ports.journal.load(ref))?.record.state.phase).toBe("create");
  Object.assign(ports.secrets, { get });
  expect(await tick.run()).toEqual({ due: 1 });
});

test("a secret that is at rest may be taken out of the manifest, is due no more, and finds its time when it is back", async () => {
  const { tick, done, ports, clock, managed } = ticking();
  await request(ref, ports, { kind: "rotate", by: "test" });
  await reconcile(ref, ports, { worker: "test" });
  Object.assign(managed.policy, { schedule: every(1_000) });
  await enrolSchedules(ports);
  clock.advance(60_000);
  expect((await ports.journal.due(clock.now(), 9)).length).toBe(1);
  const { get } = ports.secrets;
  Object.assign(ports.secrets, { get: () => undefined });
  expect(await tick.run()).toEqual({ due: 0 });
  expect(done).toEqual(["sweep", "sign", "tags", "keys"]);
  expect(await ports.journal.due(Number.MAX_SAFE_INTEGER, 9)).toEqual([]);
  Object.assign(ports.secrets, { get });
  clock.advance(3_600_000);
  await tick.run();
  expect(await tick.run()).toEqual({ due: 1 });
});
