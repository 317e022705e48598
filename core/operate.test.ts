import { expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { request, storeValue } from "./operate.ts";
import { reconcile } from "./reconcile.ts";
import { Secret } from "./secret.ts";

test("a value is stored although an earlier attempt died between its two halves", async () => {
  const { ports } = memoryPorts(modelTarget().bothLive);
  await ports.store.savePending("app/admin", "died here", new Secret("first"));
  const version = await storeValue("app/admin", ports, new Secret("second"), {});
  expect((await ports.store.read("app/admin", "current"))?.version).toBe(version);
  expect(await ports.store.read("app/admin", "pending")).toBeUndefined();
});

test("the candidate of a rotation is never put aside for a value that a person brings", async () => {
  const { ports } = memoryPorts(modelTarget().bothLive);
  await request("app/db", ports, { kind: "rotate", by: "tester" });
  await ports.store.savePending("app/db", "under way", new Secret("candidate"));
  await expect(storeValue("app/db", ports, new Secret("mine"), {})).rejects.toMatchObject({
    code: "conflict",
  });
  expect((await ports.store.read("app/db", "pending"))?.version).toBe("under way");
});

test("an emergency strikes what the store has as current, should somebody have changed it there", async () => {
  const target = modelTarget();
  const { ports } = memoryPorts(target.bothLive);
  await request("app/db", ports, { kind: "rotate", by: "tester" });
  await reconcile("app/db", ports, { worker: "worker" });
  const outside = new Secret(JSON.stringify({ username: "app_a", password: "changed from outside" }));
  const version = await storeValue("app/db", ports, outside, {});
  const fingerprint = ports.fingerprinter.fingerprint(outside.reveal());
  const leak = { kind: "emergency", by: "ann", version: { version, fingerprint }, cutFirst: false } as const;
  const { record } = await request("app/db", ports, leak);
  expect(record).toMatchObject({
    current: { version },
    state: { phase: "create", rotation: { urgent: true } },
  });
});

test("what somebody has stored once more is another name of the same login, to an emergency as well", async () => {
  const { ports } = memoryPorts(modelTarget().bothLive);
  await request("app/db", ports, { kind: "rotate", by: "tester" });
  const first = (await reconcile("app/db", ports, { worker: "worker" })).record.current?.version ?? "";
  const value = (await ports.store.read("app/db", "current"))?.value ?? new Secret("none");
  const again = await storeValue("app/db", ports, value, {});
  const version = { version: "another", fingerprint: "print of another" };
  const { record } = await request("app/db", ports, {
    kind: "emergency",
    by: "ann",
    version,
    cutFirst: false,
  });
  expect(record).toMatchObject({ current: { version: again }, sameLogin: [[again, first]] });
  const other = new Secret(JSON.stringify({ username: "app_a", password: "changed from outside" }));
  await storeValue("app/db", ports, other, {});
  const next = { version: "a third", fingerprint: "print of a third" };
  const later = await request("app/db", ports, {
    kind: "emergency",
    by: "ann",
    version: next,
    cutFirst: false,
  });
  expect(later.record?.sameLogin).toEqual([[again, first]]);
});
