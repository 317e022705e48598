import { expect, test } from "vitest";
import { KeyturnError } from "../core/errors.ts";
import { request } from "../core/operate.ts";
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
  });
  return { ...memory, tick, done, down };
}

test("what is due is ordered every minute, and house is kept at the start and once an hour", async () => {
  const { tick, done, clock, ports } = ticking();
  expect(await tick.run()).toEqual({ due: 0 });
  expect(done.splice(0)).toEqual(["sweep", "sign", "tags"]);
  await request(ref, ports, { kind: "rotate", by: "test" });
  clock.advance(60_000);
  expect(await tick.run()).toEqual({ due: 1 });
  expect(done.splice(0)).toEqual([`order ${ref}`, "sweep"]);
  clock.advance(3_600_000);
  await tick.run();
  expect(done).toEqual([`order ${ref}`, "sweep", "sign", "tags"]);
});

test.each(["sweep", "sign", "tags", `order ${ref}`])(
  "where %s fails, the rest is done, and the run fails",
  async (broken) => {
    const { tick, done, down, ports, lines } = ticking();
    await request(ref, ports, { kind: "rotate", by: "test" });
    down.add(broken);
    await expect(tick.run()).rejects.toThrow(`${broken} is away`);
    expect(done).toEqual([`order ${ref}`, "sweep", "sign", "tags"]);
    expect(lines.join("\n")).toMatch(/^error /m);
    // House that was not kept is kept a minute later, and not an hour.
    down.clear();
    done.splice(0);
    await tick.run();
    expect(done.includes("sign")).toBe(["sign", "tags"].includes(broken));
  },
);
