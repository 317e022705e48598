import { expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { diagnose } from "./diagnose.ts";
import { cutDirectly, type DirectAccess, liveLogins } from "./direct.ts";
import { KeyturnError } from "./errors.ts";
import { examine } from "./examine.ts";
import { request } from "./operate.ts";
import { reconcile } from "./reconcile.ts";
import { repair } from "./repair.ts";
import { Secret } from "./secret.ts";

const ref = "app/db";

async function world() {
  const target = modelTarget();
  const { ports, clock, managed } = memoryPorts(target.bothLive);
  const until = async (phase: string) => {
    for (let turn = 0; turn < 100; turn += 1) {
      const { until: wakeAt, record } = await reconcile(ref, ports, { worker: "worker" });
      if (record.state.phase === phase || wakeAt === undefined) return record;
      clock.advance(Math.max(1, wakeAt - clock.now()));
    }
    throw new Error(`never reached ${phase}`);
  };
  await request(ref, ports, { kind: "rotate", by: "ann" });
  await until("idle");
  const login = async () => {
    const stored = await ports.store.read(ref, "current");
    const { username, password }: Record<"username" | "password", string> = JSON.parse(
      stored?.value.reveal() ?? "{}",
    );
    return { username, password };
  };
  const access: DirectAccess = { managed, rotator: target.bothLive, admin: new Secret("{}"), ports };
  return { target, ports, until, login, access };
}

test("cuts what the target lets in, with no store and no journal, and the doctor makes a successor", async () => {
  const { target, ports, until, login, access } = await world();
  const { username, password } = await login();
  expect((await liveLogins(access)).map((mark) => mark.login)).toEqual([username]);
  target.setSessions(username, 4);
  expect(await cutDirectly(access, [username])).toEqual([
    { login: username, installation: "test", sessionsEnded: 4, survives: [] },
  ]);
  expect(target.accepts(username, password)).toBe(false);
  expect(await liveLogins(access)).toEqual([]);

  const seen = await examine(ref, ports);
  expect(diagnose(seen, 3).map(({ ailment }) => ailment)).toContain("current-refused");
  await repair(seen, ports, "ann");
  await until("idle");
  expect(target.accepts(username, password)).toBe(false);
  const next = await login();
  expect(next).not.toEqual({ username, password });
  expect(target.accepts(next.username, next.password)).toBe(true);
});

test("a worker that comes back cannot let in again what was cut", async () => {
  const { target, ports, until, login, access } = await world();
  await request(ref, ports, { kind: "rotate", by: "ann" });
  await until("grace");
  const { username, password } = await login();
  const live = (await liveLogins(access)).map((mark) => mark.login);
  expect(live).toHaveLength(2);
  await cutDirectly(access, live);
  await until("halted");
  expect(target.accepts(username, password)).toBe(false);
});

test("leaves alone what was not named, and what belongs to another secret", async () => {
  const { target, login, access } = await world();
  const { username, password } = await login();
  expect(await cutDirectly(access, ["somebody"])).toEqual([]);
  const others: DirectAccess = { ...access, managed: { ...access.managed, ref: "other/db" } };
  expect(await liveLogins(others)).toEqual([]);
  expect(await cutDirectly(others, [username])).toEqual([]);
  expect(target.accepts(username, password)).toBe(true);
});

test("whatever the target says, the administering login is in no error", async () => {
  const { access, target } = await world();
  const admin = new Secret('{"username":"root","password":"canary-direct-9Tq4"}');
  const inspect = async (): Promise<never> => {
    throw new KeyturnError("unreachable", `cannot send ${admin.reveal()}`);
  };
  const telling: DirectAccess = { ...access, admin, rotator: { ...target.bothLive, inspect } };
  const error = await liveLogins(telling).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "unreachable", message: "cannot send [redacted]" });
  expect(error).not.toHaveProperty("cause");
});
