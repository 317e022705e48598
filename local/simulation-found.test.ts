import { expect, test } from "vitest";
import { adopt } from "../core/adopt.ts";
import { KeyturnError } from "../core/errors.ts";
import { request } from "../core/operate.ts";
import type { Ports } from "../core/ports.ts";
import { reconcile } from "../core/reconcile.ts";
import { Secret } from "../core/secret.ts";
import { memoryPorts } from "./memory-ports.ts";
import { modelTarget } from "./model-target.ts";
import { loginOf } from "./simulation-end.ts";

/** What the simulation has found, each by its name. */
const ref = "app/db";

test("an import that another one has overtaken leaves no candidate behind", async () => {
  const target = modelTarget();
  const { ports } = memoryPorts(target.bothLive);
  target.meddle("app_a", "of old");
  const value = new Secret('{"username":"app_a","password":"of old"}');
  let overtaken = false;
  const slow: Ports = {
    ...ports,
    store: {
      ...ports.store,
      async savePending(...args) {
        if (!overtaken) expect(await adopt(ref, ports, value, "bob")).toMatchObject({ answer: "imported" });
        overtaken = true;
        return ports.store.savePending(...args);
      },
    },
  };
  expect(await adopt(ref, slow, value, "ann")).toMatchObject({ answer: "known" });
  expect(await ports.store.read(ref, "pending")).toBeUndefined();
});

test("an import that stood still while a rotation began leaves its candidate where readers find it", async () => {
  const target = modelTarget();
  const { ports } = memoryPorts(target.cutover);
  target.meddle("app", "of old");
  const value = new Secret('{"username":"app","password":"of old"}');
  let stoodStill = false;
  const slow: Ports = {
    ...ports,
    store: {
      ...ports.store,
      async read(name, which) {
        if (which === "pending" && !stoodStill) {
          stoodStill = true;
          await adopt(ref, ports, value, "bob");
          await request(ref, ports, { kind: "rotate", by: "bob" });
          target.fail("test", new KeyturnError("unreachable", "the target is out of reach"));
          await reconcile(ref, ports, { worker: "worker" });
        }
        return ports.store.read(name, which);
      },
    },
  };
  await expect(adopt(ref, slow, value, "ann")).rejects.toMatchObject({ code: "request-refused" });
  const pending = await ports.store.read(ref, "pending");
  const { username, password } = loginOf(pending?.value.reveal() ?? '{"username":"","password":""}');
  expect([username, target.accepts(username, password)]).toEqual(["app", true]);
});

test("an import that stood still while a rotation began marks nothing that the rotation would trip over", async () => {
  const target = modelTarget();
  const { ports, clock } = memoryPorts(target.cutover);
  target.meddle("app", "of old");
  const worded = (words: string) => new Secret(`{"username":"app","password":"of old","words":"${words}"}`);
  await adopt(ref, ports, worded("bob's"), "bob");
  let stoodStill = false;
  const slow: Ports = {
    ...ports,
    rotators: {
      load: async () => ({
        ...target.cutover,
        async adopt(...args) {
          if (!stoodStill) {
            stoodStill = true;
            await request(ref, ports, { kind: "rotate", by: "bob" });
            target.fail("set", new KeyturnError("unreachable", "the target is out of reach"), 1);
            await reconcile(ref, ports, { worker: "worker" });
          }
          await target.cutover.adopt?.(...args);
        },
      }),
    },
  };
  await adopt(ref, slow, worded("ann's"), "ann");
  clock.advance(60_000);
  const { record } = await reconcile(ref, ports, { worker: "worker" });
  expect(record.state).toMatchObject({ phase: "grace" });
  expect(target.accepts("app", "of old")).toBe(false);
});

test("an import that stood still while a rotation began saves no candidate that create would trip over", async () => {
  const target = modelTarget();
  const { ports } = memoryPorts(target.bothLive);
  target.meddle("app_a", "of old");
  const [stands, goesOn, hasSaved] = Array.from({ length: 3 }, () => Promise.withResolvers<void>());
  const slow: Ports = {
    ...ports,
    store: {
      ...ports.store,
      async savePending(...args) {
        stands?.resolve();
        await goesOn?.promise;
        return ports.store.savePending(...args);
      },
      promote() {
        hasSaved?.resolve();
        return new Promise(() => undefined);
      },
    },
  };
  const importing = adopt(ref, slow, new Secret('{"username":"app_a","password":"of old"}'), "ann").catch(
    ({ code }: KeyturnError) => code,
  );
  await stands?.promise;
  await request(ref, ports, { kind: "rotate", by: "bob" });
  const meeting: Ports = {
    ...ports,
    store: {
      ...ports.store,
      async savePending(...args) {
        goesOn?.resolve();
        await Promise.race([hasSaved?.promise, importing]);
        return ports.store.savePending(...args);
      },
    },
  };
  const { record } = await reconcile(ref, meeting, { worker: "worker" });
  const done: string[] = [];
  for await (const { action } of ports.audit.read(ref)) done.push(action);
  expect(done).not.toContain("create.failed");
  expect(await importing).toBe("request-refused");
  expect(record).toMatchObject({ state: { phase: "idle" }, debts: [] });
});

test.each(["bothLive", "cutover"] as const)(
  "%s: a rotation that halted although its finish was carried out goes on when it is cancelled",
  async (overlap) => {
    const target = modelTarget();
    const { ports } = memoryPorts(target[overlap]);
    const broken: Ports = {
      ...ports,
      store: {
        ...ports.store,
        async promote(...args) {
          await ports.store.promote(...args);
          throw new KeyturnError("data-broken", "the store cannot read what it keeps");
        },
      },
    };
    await request(ref, ports, { kind: "rotate", by: "ann" });
    await reconcile(ref, ports, { worker: "worker" });
    await request(ref, ports, { kind: "rotate", by: "ann" });
    const halted = await reconcile(ref, broken, { worker: "worker" });
    expect(halted.record.state).toMatchObject({ phase: "halted", from: "finish" });
    await request(ref, ports, { kind: "cancel", by: "ann", insist: true });
    const { record } = await reconcile(ref, ports, { worker: "worker" });
    const current = await ports.store.read(ref, "current");
    expect(record).toMatchObject({ state: { phase: "grace" }, current: { version: current?.version } });
  },
);
