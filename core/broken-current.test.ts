import { expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { request } from "./operate.ts";
import { reconcile } from "./reconcile.ts";
import { Secret } from "./secret.ts";

const ref = "app/db";

test.each(["bothLive", "cutover"] as const)(
  "%s: a rotation that meets a current value which is no JSON is undone, and the next one goes on when it is mended",
  async (kind) => {
    const { ports, clock } = memoryPorts(modelTarget()[kind], { policy: { graceAtMostMs: 2_000 } });
    const toTheEnd = async () => {
      for (let turn = 0; turn < 30; turn += 1) {
        const { until, record } = await reconcile(ref, ports, { worker: "worker" });
        if (until === undefined) return record;
        clock.advance(Math.max(1, until - clock.now()));
      }
      throw new Error("it never comes to rest");
    };
    const store = async (version: string, value: Secret, before: string | undefined) => {
      await ports.store.savePending(ref, version, value);
      await ports.store.promote(ref, version, before);
    };
    await request(ref, ports, { kind: "rotate", by: "tester" });
    await toTheEnd();
    const whole = await ports.store.read(ref, "current");
    if (whole === undefined) throw new Error("there is no value");
    await request(ref, ports, { kind: "rotate", by: "tester" });
    await store("broken", new Secret("this is no JSON at all"), whole.version);
    expect(await toTheEnd()).toMatchObject({ state: { phase: "idle" }, debts: [] });
    expect(await ports.store.read(ref, "pending")).toBeUndefined();
    await store("mended", whole.value, "broken");
    const { record } = await request(ref, ports, { kind: "rotate", by: "tester" });
    expect(record.state.phase).toBe("create");
    const rested = await toTheEnd();
    expect(rested).toMatchObject({ state: { phase: "idle" }, debts: [] });
    expect((await ports.store.read(ref, "current"))?.version).toBe(rested.current?.version);
    expect(rested.current?.version).not.toBe("mended");
  },
);
