import { afterAll, beforeAll, expect, test } from "vitest";
import { storeValue } from "../core/operate.ts";
import { Secret } from "../core/secret.ts";
import { expectImported, openWorld, password, ref, verifierOf } from "../integration/import-world.ts";
import { type PostgresServer, startPostgres } from "../integration/postgres-server.ts";
import { ImportAnswer } from "./importing.ts";
import { RotationTokens } from "./native-rotation.ts";
import { takeEvent } from "./rotating.ts";

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres({ maxConnections: 50 });
});
afterAll(() => server.stop());

/** A function of an installation whose database is a real one, called as Lambda calls it. */
async function installed() {
  const world = await openWorld(server);
  const { ports, target, value } = world;
  const ordered: string[] = [];
  const queues = { order: async (name: string) => void ordered.push(name) };
  const tokens = { rotationTokens: new RotationTokens(), accountOf: () => "111122223333" };
  const rotating = { ports, queues, ...tokens, begin: async () => false, ready: async () => undefined };
  const invocation = { awsRequestId: "r1", getRemainingTimeInMillis: () => 60_000 };
  const call = (event: unknown) => takeEvent(rotating, event, invocation);
  const order = async (more: object = {}) =>
    ImportAnswer.parse(await call({ import: { ref, by: "person:ann", plan: false, ...more } }));
  /** As somebody has put it there, without Keyturn. */
  const put = (given: Secret) => storeValue(ref, ports, given, {});
  return { ...world, ordered, queues, call, order, put, login: target.owner, value };
}

test("what the store has is looked at, and imported as the command imports it; an order that comes again changes nothing", async () => {
  const world = await installed();
  const { order, put, value, login, ports, ordered, lines } = world;
  await put(value);
  const before = await verifierOf(world);
  const planned = await order({ plan: true });
  expect(planned).toMatchObject({ login });
  expect("findings" in planned && planned.findings.filter(({ ok }) => !ok)).toEqual([]);
  expect(await ports.journal.load(ref)).toBeUndefined();
  const first = await order();
  expect(first).toMatchObject({ login, imported: { answer: "imported", findable: true } });
  expect(ordered).toEqual([ref]);
  const { revision } = (await ports.journal.load(ref)) ?? {};
  expect(await order()).toMatchObject({ login, imported: { answer: "known" } });
  expect((await ports.journal.load(ref))?.revision).toBe(revision);
  expect(await verifierOf(world)).toBe(before);
  expect(JSON.stringify([lines, planned, first])).not.toContain(password);
  await expectImported(world);
});

test("two that come at once are one import", async () => {
  const world = await installed();
  await world.put(world.value);
  const both = await Promise.all([world.order(), world.order()]);
  expect(both.map((one) => "imported" in one)).toEqual([true, true]);
  await expectImported(world);
});

test("the address is added as the manifest has it, and a queue that is away keeps up nothing", async () => {
  const { order, put, queues, ports, login } = await installed();
  Object.assign(queues, { order: () => Promise.reject(new Error("away")) });
  await put(new Secret(JSON.stringify({ username: login, password })));
  expect(await order()).toMatchObject({ imported: { answer: "imported" } });
  const stored = await ports.store.read(ref, "current");
  expect(JSON.parse(stored?.value.reveal() ?? "")).toMatchObject({
    username: login,
    database: expect.anything(),
  });
});

test("what is not imported is told with its reason, changes nothing, and holds no value", async () => {
  const world = await installed();
  const { order, put, lines, login, ports } = world;
  const told: unknown[] = [await order()];
  expect(told[0]).toMatchObject({
    error: { code: "secret-missing", message: expect.stringContaining("put the one that works there") },
  });
  const wrong = new Secret(JSON.stringify({ username: login, password: `${password}-that-is-wrong` }));
  await put(wrong);
  told.push(await order());
  expect(told[1]).toMatchObject({ error: { code: "login-refused" } });
  told.push(await order({ ref: "no/such" }), await order({ value: password }));
  expect(told.slice(2)).toMatchObject([
    { error: { code: "input-invalid", message: "the manifest has no secret no/such" } },
    { error: { code: "input-invalid" } },
  ]);
  expect(await ports.journal.load(ref)).toBeUndefined();
  expect((await ports.store.read(ref, "current"))?.value.equals(wrong)).toBe(true);
  expect(JSON.stringify([told, lines])).not.toContain(password);
});

test("steps and work go where they went, and what is neither is refused", async () => {
  const { call } = await installed();
  await expect(call({ Step: "createSecret" })).rejects.toThrow("not what Secrets Manager sends");
  expect(await call({ Records: [] })).toEqual({ batchItemFailures: [] });
  for (const event of [{ ref }, null, "import"])
    await expect(call(event)).rejects.toMatchObject({ code: "input-invalid" });
});
