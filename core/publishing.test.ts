import { expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { KeyturnError } from "./errors.ts";
import type { SecretStore } from "./ports.ts";
import { claim, Publishing } from "./publishing.ts";
import { newRecord } from "./record.ts";
import { Secret } from "./secret.ts";

const ref = "app/db";

/** An import that has claimed the record. */
async function world(changes: Partial<SecretStore> = {}) {
  const { ports } = memoryPorts(modelTarget().bothLive);
  const store = { ...ports.store, ...changes };
  const how = { version: "v2", epoch: 0, revision: undefined };
  const { revision } = await claim(ports.journal, newRecord(ref), how);
  return { ports, revision, publishing: new Publishing(ports.journal, store, { ref, revision }) };
}

test("a claim tells what the import is going to save, besides others that have not ended, at its epoch", async () => {
  const { ports, revision } = await world();
  const first = { ...newRecord(ref), importing: ["v2"] };
  expect(await ports.journal.load(ref)).toEqual({ record: first, revision });
  const how = { version: "v3", epoch: 1, revision };
  const claimed = await claim(ports.journal, first, how);
  expect(claimed.record).toEqual({ ...first, epoch: 1, importing: ["v2", "v3"] });
  expect(await ports.journal.load(ref)).toEqual(claimed);
  await expect(claim(ports.journal, first, how)).rejects.toMatchObject({ code: "conflict" });
});

test("a candidate of an earlier import is put aside while the record is as it was claimed", async () => {
  const { ports, publishing } = await world();
  await ports.store.savePending(ref, "v1", new Secret("one"));
  await publishing.putAside("v1");
  expect(await ports.store.read(ref, "pending")).toBeUndefined();
});

test("a candidate stays when the record has moved: it may be a rotation's", async () => {
  const { ports, revision, publishing } = await world();
  await ports.store.savePending(ref, "v1", new Secret("one"));
  await ports.journal.save(newRecord(ref), revision);
  await expect(publishing.putAside("v1")).rejects.toMatchObject({
    code: "conflict",
    message: "the record of app/db has moved",
  });
  expect((await ports.store.read(ref, "pending"))?.version).toBe("v1");
});

test("nor is it put aside when the record is gone", async () => {
  const { ports, revision } = await world();
  await ports.store.savePending(ref, "v1", new Secret("one"));
  const lost = new Publishing({ load: async () => undefined }, ports.store, { ref, revision });
  await expect(lost.putAside("v1")).rejects.toMatchObject({ code: "conflict" });
  expect((await ports.store.read(ref, "pending"))?.version).toBe("v1");
});

test("what is promoted is current, and is checked to be so", async () => {
  const { ports, publishing } = await world();
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
  const { publishing } = await world();
  await expect(publishing.assertCurrent("v1")).rejects.toMatchObject({ code: "conflict" });
});

test.each([
  ["overtaken takes its candidate away", "conflict", undefined],
  ["left without an answer leaves it: it may be current", "unreachable", "v1"],
] as const)("whoever is %s", async (_, code, left) => {
  const { ports, publishing } = await world({ promote: () => Promise.reject(new KeyturnError(code, "no")) });
  await ports.store.savePending(ref, "v1", new Secret("one"));
  await expect(publishing.promote("v1", undefined)).rejects.toMatchObject({ code, message: "no" });
  expect((await ports.store.read(ref, "pending"))?.version).toBe(left);
});
