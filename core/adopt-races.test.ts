import { describe, expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { adopt } from "./adopt.ts";
import { type StopMode, Trap } from "./crash.contract.ts";
import { request } from "./operate.ts";
import type { Ports } from "./ports.ts";
import { reconcile } from "./reconcile.ts";
import { Secret } from "./secret.ts";

const ref = "app/db";
const password = "legacy-3Vq81";
const worded = (words: string): Secret => new Secret(JSON.stringify({ username: "app", password, words }));

/** A login that exists, a whole Keyturn in memory, and the same Keyturn as one importer has it, who stops in the trap. */
function worldWith(trap: Trap) {
  const target = modelTarget();
  target.meddle("app", password);
  const memory = memoryPorts(target.bothLive, { policy: { graceAtMostMs: 2_000 } });
  const { ports, clock } = memory;
  const rotator = trap.wrap("rotator", target.bothLive);
  const doomed: Ports = {
    ...ports,
    store: trap.wrap("store", ports.store),
    journal: trap.wrap("journal", ports.journal),
    rotators: { load: async () => rotator },
  };
  const expectImported = async () => {
    const current = await ports.store.read(ref, "current");
    const fingerprint = ports.fingerprinter.fingerprint(current?.value.reveal() ?? "");
    const loaded = await ports.journal.load(ref);
    expect(loaded?.record.current).toMatchObject({ version: current?.version, fingerprint });
    expect(await ports.store.read(ref, "pending")).toBeUndefined();
  };
  const expectWhole = async ({ isImported = true } = {}) => {
    if (isImported) await expectImported();
    await request(ref, ports, { kind: "rotate", by: "tester" });
    for (let turn = 0; turn < 40; turn += 1) {
      const { until } = await reconcile(ref, ports, { worker: "worker" });
      if (until === undefined) break;
      clock.advance(Math.max(1, until - clock.now()));
    }
    expect((await ports.journal.load(ref))?.record).toMatchObject({ state: { phase: "idle" }, debts: [] });
    expect(await ports.store.read(ref, "pending")).toBeUndefined();
    expect(target.accepts("app", password)).toBe(false);
  };
  return { ports, doomed, expectWhole };
}

/** Stops one importer at one call after the other while another one imports, and gives how many calls there were. */
async function atEveryCall(
  mode: StopMode,
  first: Secret,
  then: (trap: Trap, importing: Promise<unknown>) => Promise<void>,
) {
  for (let call = 1; ; call += 1) {
    const trap = new Trap(call, mode);
    const { ports, doomed, expectWhole } = worldWith(trap);
    const importing = adopt(ref, doomed, first, "ann");
    const came = await Promise.race([importing.then(() => "ended"), trap.hasStopped.then(() => "stopped")]);
    if (came === "ended") return call - 1;
    try {
      await adopt(ref, ports, worded("bob's"), "bob");
      await then(trap, importing);
      await expectWhole();
    } catch (cause) {
      throw new Error(`stopped at call ${call}, ${trap.where}`, { cause });
    }
  }
}

describe.each([
  ["in other words", "ann's"],
  ["in the same words", "bob's"],
])("while another one imports the login %s, an import that stops", (_, words) => {
  describe.each(["before", "after"] as const)("%s any of its calls", (mode) => {
    test("dies, and what the other one leaves is whole", async () => {
      expect(await atEveryCall(mode, worded(words), async () => undefined)).toBeGreaterThanOrEqual(8);
    });

    test("goes on, and what the two leave is whole", async () => {
      const goesOn = async (trap: Trap, importing: Promise<unknown>) => {
        trap.thaw();
        await importing;
      };
      expect(await atEveryCall(mode, worded(words), goesOn)).toBeGreaterThanOrEqual(8);
    });
  });
});

test.each(["before", "after"] as const)(
  "an import in other words that dies %s any of its calls is no hindrance to the rotation that comes next",
  async (mode) => {
    let calls = 0;
    for (let call = 1; ; call += 1) {
      const trap = new Trap(call, mode);
      const { ports, doomed, expectWhole } = worldWith(trap);
      await adopt(ref, ports, worded("bob's"), "bob");
      const importing = adopt(ref, doomed, worded("ann's"), "ann").then(() => "ended");
      if ((await Promise.race([importing, trap.hasStopped])) === "ended") break;
      await expectWhole({ isImported: false }).catch((cause: unknown) => {
        throw new Error(`stopped at call ${call}, ${trap.where}`, { cause });
      });
      calls = call;
    }
    expect(calls).toBeGreaterThanOrEqual(8);
  },
);

test("what an import has met at its target is in no error of it", async () => {
  const { ports } = worldWith(new Trap(0, "before"));
  const target = modelTarget();
  const telling = {
    ...target.bothLive,
    adopt: async () => {
      throw new Error(`no comment for ${password}`, { cause: password });
    },
  };
  target.meddle("app", password);
  const anew = { ...ports, rotators: { load: async () => telling } };
  const error = await adopt(ref, anew, worded("ann's"), "ann").catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "internal", message: "no comment for [redacted]" });
  expect(error).not.toHaveProperty("cause");
});
