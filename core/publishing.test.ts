import { expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { KeyturnError } from "./errors.ts";
import type { SecretStore } from "./ports.ts";
import { Publishing } from "./publishing.ts";
import { newRecord } from "./record.ts";
import { Secret } from "./secret.ts";

const ref = "app/db";

function world(changes: Partial<SecretStore> = {}, revision?: number) {
  const { ports } = memoryPorts(modelTarget().bothLive);
  const store = { ...ports.store, ...changes };
  return { ports, publishing: new Publishing(ports.journal, store, { ref, revision }) };
}

test("a candidate of an earlier import is put aside while the record is as it was read", async () => {
  const { ports, publishing } = world();
  await ports.store.savePending(ref, "v1", new Secret("one"));
  await publishing.putAside("v1");
  expect(await ports.store.read(ref, "pending")).toBeUndefined();
});

test("a candidate stays when the record has moved: it may be a rotation's", async () => {
  const { ports, publishing } = world();
  await ports.store.savePending(ref, "v1", new Secret("one"));
  await ports.journal.save(newRecord(ref), undefined);
  await expect(publishing.putAside("v1")).rejects.toMatchObject({
    code: "conflict",
    message: "the record of app/db has moved",
  });
  expect((await ports.store.read(ref, "pending"))?.version).toBe("v1");
});

test("a candidate is put aside at the revision that was read", async () => {
  const { ports, publishing } = world({}, 1);
  await ports.journal.save(newRecord(ref), undefined);
  await ports.store.savePending(ref, "v1", new Secret("one"));
  await publishing.putAside("v1");
  expect(await ports.store.read(ref, "pending")).toBeUndefined();
});

test("what is promoted is current, and is checked to be so", async () => {
  const { ports, publishing } = world();
  await ports.store.savePending(ref, "v1", new Secret("one"));
  await publishing.promote("v1", undefined);
  expect((await ports.store.read(ref, "current"))?.version).toBe("v1");
  await publishing.assertCurrent("v1");
  await expect(publishing.assertCurrent("v2")).rejects.toMatchObject({
    code: "conflict",
    message: "current of app/db was changed in the store meanwhile",
  });
});

test("nothing is current before anything is promoted", async () => {
  await expect(world().publishing.assertCurrent("v1")).rejects.toMatchObject({ code: "conflict" });
});

test.each([
  ["overtaken takes its candidate away", "conflict", undefined],
  ["left without an answer leaves it: it may be current", "unreachable", "v1"],
] as const)("whoever is %s", async (_, code, left) => {
  const { ports, publishing } = world({ promote: () => Promise.reject(new KeyturnError(code, "no")) });
  await ports.store.savePending(ref, "v1", new Secret("one"));
  await expect(publishing.promote("v1", undefined)).rejects.toMatchObject({ code, message: "no" });
  expect((await ports.store.read(ref, "pending"))?.version).toBe(left);
});
