import { beforeEach, describe, expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { decide } from "./decide.ts";
import { KeyturnError } from "./errors.ts";
import { viewFleet } from "./fleet.ts";
import { request } from "./operate.ts";
import { reconcile } from "./reconcile.ts";
import { newRecord, type RotationRecord } from "./record.ts";
import { answer } from "./request.ts";
import { Secret } from "./secret.ts";

const ref = "app/db";

function world() {
  const target = modelTarget();
  const memory = memoryPorts(target.cutover, { policy: { graceAtMostMs: 3_000 } });
  const { ports, clock } = memory;
  const login = async (which: "current" | "pending") => {
    const stored = await ports.store.read(ref, which);
    const { username, password } = JSON.parse(stored?.value.reveal() ?? "{}");
    return { username, password, isGood: target.accepts(username, password) };
  };
  return {
    ...memory,
    target,
    login,
    begin: () => request(ref, ports, { kind: "rotate", by: "tester" }),
    until: async (phase: string): Promise<RotationRecord> => {
      for (let turn = 0; turn < 400; turn += 1) {
        const { until, record } = await reconcile(ref, ports, { worker: "worker" });
        if (record.state.phase === phase || until === undefined) return record;
        clock.advance(Math.max(1, until - clock.now()));
      }
      throw new Error(`never reached ${phase}`);
    },
    notes: async (action: string) => {
      const found: string[] = [];
      for await (const entry of ports.audit.read(ref)) if (entry.action === action) found.push(entry.detail);
      return found;
    },
  };
}

let it: ReturnType<typeof world>;

beforeEach(async () => {
  it = world();
});

const rejected = new KeyturnError("access-differs", "the probe failed");

test("a first candidate that fails its test is taken back, though there is nothing to set back", async () => {
  it.target.fail("test", rejected, 1);
  await it.begin();
  expect(await it.until("idle")).toMatchObject({ state: { phase: "idle" }, debts: [] });
  expect(await it.notes("undo.done")).toHaveLength(1);
  await it.begin();
  await it.until("idle");
  expect((await it.login("current")).isGood).toBe(true);
});

describe("when a value is current", () => {
  beforeEach(async () => {
    await it.begin();
    await it.until("idle");
  });

  test("finish says for how long readers were without it, and only where there was something to be without", async () => {
    await it.begin();
    await it.until("idle");
    expect(await it.notes("finish.done")).toEqual([
      "",
      expect.stringMatching(/^the old value was refused, and the new one not current, for at most \d+ ms$/),
    ]);
  });

  test("undo asks of it only whether it is accepted, whatever else the candidate was refused for", async () => {
    it.target.fail("test", rejected);
    await it.begin();
    expect(await it.until("idle")).toMatchObject({ state: { phase: "idle" }, debts: [] });
    expect((await it.login("current")).isGood).toBe(true);
  });

  test("a candidate of nobody's that is good at the target is replaced, not waited for", async () => {
    const { username } = await it.login("current");
    it.target.meddle(username, "foreign");
    await it.ports.store.savePending(
      ref,
      "theirs",
      new Secret(`{"username":"${username}","password":"foreign"}`),
    );
    await it.begin();
    expect(await it.until("idle")).toMatchObject({ state: { phase: "idle" }, debts: [] });
    expect(it.target.accepts(username, "foreign")).toBe(false);
    expect((await it.login("current")).isGood).toBe(true);
  });
});

describe("a debt, of which the next set is what pays it,", () => {
  const overlaps = [
    ["cutover", "began", "step set", "change"],
    ["both-live", "waiting", "settle", "wait"],
  ] as const;

  test.each(overlaps)(
    "of a %s type: a request is %s, a rotation comes to %s, a wish to %s",
    (...expected) => {
      const [overlap, asked, goesOn, wished] = expected;
      const around = { policy: it.managed.policy, overlap, now: 1_000, newId: "v3" };
      const nobody = viewFleet([], { old: ["v1"], new: "v2" }, it.managed.policy, 1_000);
      const tries = { attempts: 0, notBefore: 0 };
      const debt = {
        version: "v0",
        fingerprint: "f0",
        reason: "foreign",
        since: 0,
        cutFirst: false,
        ...tries,
      } as const;
      const idle = {
        ...newRecord(ref),
        current: { version: "v1", fingerprint: "f1", since: 0 },
        debts: [debt],
      };
      const rotation = {
        id: "v2",
        kind: "rotate",
        urgent: false,
        requestedBy: "tester",
        startedAt: 0,
      } as const;
      const wish = { kind: "rotate", requestedBy: "tester", at: 0 } as const;
      expect(answer(idle, { kind: "rotate", by: "tester" }, around).answer).toBe(asked);
      const action = decide({ ...idle, state: { phase: "set", rotation, ...tries } }, nobody, around);
      expect(action.do === "step" ? `step ${action.step}` : action.do).toBe(goesOn);
      const later = { ...idle, debts: [{ ...debt, notBefore: 2_000 }], wish };
      expect(decide(later, nobody, around).do).toBe(wished);
      // Where nobody asks for a rotation it is paid as ever.
      expect(decide(idle, nobody, around).do).toBe("settle");
    },
  );
});
