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
