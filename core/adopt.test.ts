import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  accepts,
  expectImported,
  type ImportWorld,
  password as legacyPassword,
  openWorld as openWorldOn,
  ref,
  rotate,
  verifierOf,
} from "../integration/import-world.ts";
import { type PostgresServer, startPostgres } from "../integration/postgres-server.ts";
import { memoryAuditLog, memoryJournal } from "../local/memory.ts";
import { rotator as password } from "../rotators/postgres-password.ts";
import { adopt, adoptable } from "./adopt.ts";
import { identify } from "./identify.ts";
import { LeakedText } from "./leaked.ts";
import { request, storeValue } from "./operate.ts";
import { reconcile } from "./reconcile.ts";
import { Secret } from "./secret.ts";

let server: PostgresServer;
const openWorld = () => openWorldOn(server);

beforeAll(async () => {
  server = await startPostgres({ maxConnections: 200 });
});

afterAll(async () => {
  await server.stop();
});

describe("an import", () => {
  test("changes nothing of the login, happens once, and is left by the next rotation", async () => {
    const world = await openWorld();
    const { ports, value, lines } = world;
    const verifier = await verifierOf(world);
    const findings = await adoptable(ref, ports, value);
    expect(findings.filter(({ ok }) => !ok)).toEqual([]);
    expect(await ports.store.read(ref, "current")).toBeUndefined();
    expect(await adopt(ref, ports, value, "ann")).toMatchObject({ answer: "imported", findable: true });
    expect(await adopt(ref, ports, value, "ann")).toMatchObject({ answer: "known" });
    expect(await verifierOf(world)).toBe(verifier);
    expect(await identify(ports, new LeakedText(new Secret(legacyPassword)))).toMatchObject([
      { ref, field: "password" },
    ]);
    await expectImported(world);
    expect(JSON.stringify([lines, findings])).not.toContain(legacyPassword);
  });

  test("of an imported value that leaked: a successor, and the legacy login cut", async () => {
    const world = await openWorld();
    const { ports, value } = world;
    await adopt(ref, ports, value, "ann");
    const [found] = await identify(ports, new LeakedText(new Secret(legacyPassword)));
    const stored = await ports.store.read(ref, { version: found?.version ?? "" });
    const fingerprint = ports.fingerprinter.fingerprint(stored?.value.reveal() ?? "");
    const version = { version: found?.version ?? "", fingerprint };
    await request(ref, ports, { kind: "emergency", by: "ann", version, cutFirst: false });
    const { record } = await reconcile(ref, ports, { worker: "worker" });
    expect(record).toMatchObject({
      state: { phase: "idle" },
      debts: [],
      compromised: [{ refusedAt: expect.any(Number) }],
    });
    expect(await accepts(world, value)).toBe(false);
    await expect(adopt(ref, ports, value, "ann")).rejects.toMatchObject({ code: "request-refused" });
  });

  test("is rolled back to while it is in grace", async () => {
    const world = await openWorld();
    const { ports, value } = world;
    await adopt(ref, ports, value, "ann");
    await request(ref, ports, { kind: "rotate", by: "tester" });
    const { record } = await reconcile(ref, ports, { worker: "worker" });
    expect(record.state.phase).toBe("grace");
    const between = await ports.store.read(ref, "current");
    await request(ref, ports, { kind: "rollback", by: "tester", insist: false });
    for (;;) {
      const { until } = await reconcile(ref, ports, { worker: "worker" });
      if (until === undefined) break;
      world.clock.advance(Math.max(1, until - world.clock.now()));
    }
    expect((await ports.store.read(ref, "current"))?.value.reveal()).toBe(value.reveal());
    expect([await accepts(world, value), await accepts(world, between?.value ?? value)]).toEqual([
      true,
      false,
    ]);
    expect(await rotate(world)).toMatchObject({ state: { phase: "idle" }, debts: [] });
    expect(await accepts(world, value)).toBe(false);
  });
});

test("after the journal was lost, what the store has is imported above every epoch that the target has seen", async () => {
  const world = await openWorld();
  const { ports, value } = world;
  await adopt(ref, ports, value, "ann");
  const { epoch } = await rotate(world);
  const current = await ports.store.read(ref, "current");
  const anew = { ...world, ports: { ...ports, journal: memoryJournal(), audit: memoryAuditLog() } };
  expect((await adoptable(ref, anew.ports, current?.value ?? value)).filter(({ ok }) => !ok)).toEqual([]);
  const imported = await adopt(ref, anew.ports, current?.value ?? value, "ann");
  expect(imported).toMatchObject({ answer: "imported", version: current?.version, record: { epoch } });
  expect(await rotate(anew)).toMatchObject({ state: { phase: "idle" }, debts: [] });
  expect(await accepts(world, current?.value ?? value)).toBe(false);
});

test("a login that administers itself is imported before anything of it is stored", async () => {
  const world = await openWorld();
  const { owner, ...connection } = world.target.config;
  const { username } = world.target.administrator;
  const managed = world.ports.secrets.get(ref);
  if (managed === undefined) throw new Error(`${owner} has no secret`);
  const self = { ...managed, type: password.type, admin: ref, config: { ...connection, username } };
  const ports = {
    ...world.ports,
    secrets: { get: (name: string) => (name === ref ? self : undefined), refs: () => [ref] },
    rotators: { load: async () => password },
  };
  const value = world.target.admin;
  expect(await adopt(ref, ports, value, "ann")).toMatchObject({ answer: "imported" });
  expect(await adopt(ref, ports, value, "ann")).toMatchObject({ answer: "known" });
  expect(await rotate({ ...world, ports })).toMatchObject({ state: { phase: "idle" }, debts: [] });
  expect(await accepts(world, value)).toBe(false);
});

describe("refused, and nothing has changed:", () => {
  const wrong = (value: Secret) =>
    new Secret(JSON.stringify({ ...JSON.parse(value.reveal()), password: "wrong-canary" }));

  async function expectUntouched({ ports, target, lines }: ImportWorld): Promise<void> {
    expect(await ports.store.read(ref, "current")).toBeUndefined();
    expect(await ports.store.read(ref, "pending")).toBeUndefined();
    expect(await ports.journal.load(ref)).toBeUndefined();
    const { rows } = await target.superuser.query(
      "SELECT shobj_description(oid, 'pg_authid') AS comment FROM pg_roles WHERE rolname = $1",
      [target.owner],
    );
    expect(rows).toEqual([{ comment: null }]);
    expect(lines.join()).not.toContain("canary");
  }

  test("a password that is wrong", async () => {
    const world = await openWorld();
    const failure: unknown = await adopt(ref, world.ports, wrong(world.value), "ann").catch(
      (error: unknown) => error,
    );
    expect(failure).toMatchObject({ code: "login-refused" });
    expect(String(failure)).not.toContain("canary");
    const findings = await adoptable(ref, world.ports, wrong(world.value));
    expect(findings.filter(({ ok }) => !ok)).toMatchObject([{ check: "value", code: "login-refused" }]);
    await expectUntouched(world);
  });

  test("a superuser", async () => {
    const world = await openWorld();
    await world.target.superuser.query(`ALTER ROLE ${world.target.owner} SUPERUSER`);
    await expect(adopt(ref, world.ports, world.value, "ann")).rejects.toMatchObject({
      code: "config-invalid",
    });
    await expectUntouched(world);
  });

  test("a role that another installation has marked", async () => {
    const [first, world] = [await openWorld(), await openWorld()];
    const theirs = { ...first.ports, installation: "theirs" };
    const managed = world.ports.secrets.get(ref);
    const there = { ...theirs, secrets: { get: () => managed, refs: () => [ref] } };
    await there.store.savePending("app/admin", "v2", world.target.admin);
    await there.store.promote("app/admin", "v2", (await there.store.read("app/admin", "current"))?.version);
    await adopt(ref, there, world.value, "bob");
    await expect(adopt(ref, world.ports, world.value, "ann")).rejects.toMatchObject({ code: "not-managed" });
    expect(await world.ports.store.read(ref, "current")).toBeUndefined();
    expect(await world.ports.journal.load(ref)).toBeUndefined();
  });

  test("a secret that has another value, in the journal or in the store", async () => {
    const world = await openWorld();
    const { ports, value } = world;
    await adopt(ref, ports, value, "ann");
    await rotate(world);
    await expect(adopt(ref, ports, value, "ann")).rejects.toMatchObject({
      code: "request-refused",
      message: expect.stringContaining("rotate it instead"),
    });
    const other = await openWorld();
    const next = (await ports.store.read(ref, "current"))?.value ?? value;
    const kept = await storeValue(ref, other.ports, next, {});
    await expect(adopt(ref, other.ports, other.value, "ann")).rejects.toMatchObject({
      code: "request-refused",
      message: expect.stringContaining("--from-store"),
    });
    // Once it is dead it makes room, and is kept by its version.
    await world.target.superuser.query(`ALTER ROLE ${world.target.slots[0]} PASSWORD NULL`);
    await adopt(ref, other.ports, other.value, "ann");
    expect((await other.ports.store.read(ref, "previous"))?.version).toBe(kept);
  });

  test("while its target is out of reach, as an outage", async () => {
    const world = await openWorld();
    const managed = world.ports.secrets.get(ref);
    if (managed === undefined) throw new Error("no secret");
    const config = { ...world.target.config, port: 1 };
    const value = new Secret(JSON.stringify({ ...JSON.parse(world.value.reveal()), port: 1 }));
    const ports = { ...world.ports, secrets: { get: () => ({ ...managed, config }), refs: () => [ref] } };
    await expect(adopt(ref, ports, value, "ann")).rejects.toMatchObject({ code: "unreachable" });
    await expectUntouched(world);
  });
});

test("of several imports at once one imports, and the others know it", async () => {
  const world = await openWorld();
  const done = await Promise.all(
    Array.from({ length: 6 }, (_, index) => adopt(ref, world.ports, world.value, `p${index}`)),
  );
  expect(done.filter(({ answer }) => answer === "imported")).toHaveLength(1);
  expect(new Set(done.map(({ version }) => version)).size).toBe(1);
  await expectImported(world);
});

test("of imports of one login in other words one comes after the other, and what they leave is whole", async () => {
  const world = await openWorld();
  const { ports, value } = world;
  const words = Array.from(
    { length: 4 },
    (_, index) => new Secret(value.reveal().replace(" }", `, "n": ${index} }`)),
  );
  const done = await Promise.allSettled(words.map((each) => adopt(ref, ports, each, "ann")));
  expect(done.filter(({ status }) => status === "fulfilled").length).toBeGreaterThanOrEqual(1);
  // Whoever has been overtaken again and again is told so.
  const gaveUp = done.flatMap((each) => (each.status === "rejected" ? [each.reason.code] : []));
  expect(gaveUp.filter((code) => code !== "conflict")).toEqual([]);
  const current = await ports.store.read(ref, "current");
  expect((await ports.journal.load(ref))?.record.current?.version).toBe(current?.version);
  expect(await rotate(world)).toMatchObject({ state: { phase: "idle" }, debts: [] });
  expect(await accepts(world, value)).toBe(false);
});
