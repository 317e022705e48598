import { beforeEach, describe, expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { asAdmin, otherAdmins } from "./admin.ts";
import type { ManagedSecret, Ports } from "./ports.ts";
import { newRecord, type RotationRecord } from "./record.ts";
import { Redactor } from "./redact.ts";
import type { Rotator } from "./rotator.ts";
import { Secret } from "./secret.ts";
import { Session } from "./session.ts";
import { contextOf, type Stand } from "./stand.ts";

const adminRef = "ops/admin";
const { bothLive, cutover } = modelTarget();

interface World {
  readonly ports: Ports;
  readonly redactor: Redactor;
  readonly stand: (ref?: string, record?: RotationRecord) => Stand;
  readonly manage: (type: "both-live" | "cutover") => void;
  readonly save: (version: string, promote?: { readonly after: string | undefined }) => Promise<void>;
}

let it: World;

beforeEach(() => {
  const { ports: own, managed } = memoryPorts(cutover);
  const secrets = new Map<string, ManagedSecret>([["app/db", { ...managed, admin: adminRef }]]);
  const ports: Ports = {
    ...own,
    secrets: { get: (ref) => secrets.get(ref), refs: () => [...secrets.keys()] },
    rotators: { load: async (type) => (type === bothLive.type ? bothLive : cutover) },
  };
  const redactor = new Redactor();
  it = {
    ports,
    redactor,
    stand: (ref = "app/db", record = newRecord(ref)) => ({
      ports,
      managed: secrets.get(ref) ?? managed,
      rotator: cutover,
      record,
      session: new Session(),
      redactor,
    }),
    manage: (type) => {
      const { type: name } = type === "cutover" ? cutover : bothLive;
      secrets.set(adminRef, { ...managed, ref: adminRef, type: name, admin: adminRef });
    },
    save: async (version, promote) => {
      const value = new Secret(JSON.stringify({ username: "admin", password: `canary-${version}` }));
      await ports.store.savePending(adminRef, version, value);
      if (promote !== undefined) await ports.store.promote(adminRef, version, promote.after);
    },
  };
});

/** What is tried, one after the other, when everything is refused; `meanwhile` happens after so many tries. */
async function tried(stand: Stand, meanwhile: Readonly<Record<number, () => Promise<void>>> = {}) {
  const context = await contextOf(stand, "v", "f");
  const versions: string[] = [];
  for (let admin = context.admin; admin !== undefined; admin = await context.nextAdmin?.()) {
    versions.push(/canary-(\w+)/.exec(admin.reveal())?.[1] ?? "");
    await meanwhile[versions.length]?.();
  }
  return versions;
}

test("an administering login that nobody rotates is what it is, unless it was stored anew meanwhile", async () => {
  await it.save("v1", { after: undefined });
  expect(await tried(it.stand())).toEqual(["v1"]);
  expect(await tried(it.stand(), { 1: () => it.save("v2", { after: "v1" }) })).toEqual(["v1", "v2"]);
});

test("one that is not stored is missed", async () => {
  await expect(contextOf(it.stand(), "v", "f")).rejects.toMatchObject({
    code: "secret-missing",
    message: "the administering login ops/admin of app/db is not stored",
  });
});

test("one that is taken out of the store meanwhile is refused as it was", async () => {
  await it.save("v1", { after: undefined });
  const stand = it.stand();
  const context = await contextOf(stand, "v", "f");
  const emptied = { ...stand.ports.store, read: async () => undefined };
  Object.assign(stand.ports.store, emptied);
  expect(await context.nextAdmin?.()).toBeUndefined();
});

test("a secret that names none has none, also when there is one of no name", async () => {
  const stand = it.stand();
  const nameless = { ...stand, managed: { ...stand.managed, admin: undefined } };
  const read = async () => {
    throw new Error("nothing is to be read");
  };
  Object.assign(stand.ports.store, { read });
  const context = await contextOf(nameless, "v", "f");
  expect([context.admin, await context.nextAdmin?.()]).toEqual([undefined, undefined]);
  expect(await otherAdmins(nameless, undefined)()).toBeUndefined();
});

test("one that was not there at first is tried once it is, and neither it nor a field of it can be printed", async () => {
  await it.save("v1", { after: undefined });
  const rotator: Rotator = { ...cutover, adminFields: () => ({ password: new Secret("canary-field-8Rm1") }) };
  const next = await otherAdmins({ ...it.stand(), rotator }, undefined)();
  expect(next?.reveal()).toContain("canary-v1");
  expect(it.redactor.redact("canary-field-8Rm1")).toBe("[redacted]");
});

test("one of a both-live type is never read before it is current", async () => {
  it.manage("both-live");
  await it.save("v1", { after: undefined });
  await it.save("v2");
  expect(await tried(it.stand())).toEqual(["v1"]);
});

describe("one of a cutover type", () => {
  beforeEach(async () => {
    it.manage("cutover");
    await it.save("v1", { after: undefined });
  });

  test("is tried as current, pending and current again; while it changes, that passes", async () => {
    await it.save("v2");
    await expect(tried(it.stand())).rejects.toMatchObject({
      code: "target-busy",
      disposition: "retry",
      message: "the administering login ops/admin is being changed at this moment",
    });
    const context = await contextOf(it.stand(), "v", "f");
    const order = [context.admin, await context.nextAdmin?.(), await context.nextAdmin?.()];
    expect(order.map((admin) => /canary-(\w+)/.exec(admin?.reveal() ?? "")?.[1])).toEqual(["v1", "v2", "v1"]);
  });

  test("is tried anew where it was published under the reader's hands, and is refused only then", async () => {
    await it.save("v2");
    const publish = { 1: () => it.ports.store.promote(adminRef, "v2", "v1") };
    expect(await tried(it.stand(), publish)).toEqual(["v1", "v2"]);
  });

  test("that was refused amid a change is tried again where the change has been taken back before anybody could look", async () => {
    await it.save("v2");
    const context = await contextOf(it.stand(), "v", "f");
    await it.ports.store.discardPending(adminRef, "v2");
    const next = await context.nextAdmin?.();
    expect(next?.reveal()).toContain("canary-v1");
    expect(await context.nextAdmin?.()).toBeUndefined();
  });

  test("is refused as such when nothing of it changes; but it is asked twice, for a change of it may have been taken back meanwhile", async () => {
    expect(await tried(it.stand())).toEqual(["v1", "v1"]);
  });

  test("has no candidate in the store for a moment, while an emergency makes the next one: that passes, too", async () => {
    const rotation = {
      id: "v3",
      kind: "rotate",
      urgent: true,
      requestedBy: "emergency",
      startedAt: 0,
    } as const;
    const state = { phase: "create", rotation, attempts: 0, notBefore: 0 } as const;
    await it.ports.journal.save({ ...newRecord(adminRef), state }, undefined);
    await expect(tried(it.stand())).rejects.toMatchObject({ code: "target-busy", disposition: "retry" });
  });

  test.each([
    { phase: "idle" },
    { phase: "halted", from: "undo", code: "superseded", reason: "a person has to look", at: 0 },
  ] as const)("is refused as such where nothing goes on by itself: $phase", async (state) => {
    await it.ports.journal.save({ ...newRecord(adminRef), state }, undefined);
    expect(await tried(it.stand())).toEqual(["v1", "v1"]);
  });

  test("no word of what was tried is left in what is written", async () => {
    await it.save("v2");
    await tried(it.stand()).catch(() => undefined);
    for (const which of ["current", "pending"] as const) {
      const stored = await it.ports.store.read(adminRef, which);
      expect(it.redactor.redact(`the value ${stored?.value.reveal()}`)).not.toMatch(/canary/);
    }
  });

  test("that administers itself may be on any value that its own record knows", async () => {
    await it.save("v2");
    await it.ports.store.discardPending(adminRef, "v2");
    await it.save("v3");
    const debt = {
      version: "v2",
      fingerprint: "f2",
      reason: "superseded",
      since: 0,
      cutFirst: false,
    } as const;
    const record = { ...newRecord(adminRef), debts: [{ ...debt, attempts: 0, notBefore: 0 }] };
    expect(await tried(it.stand(adminRef, record))).toEqual(["v1", "v3", "v1", "v3", "v1", "v2"]);
  });
});

test("a login that administers itself is what is being brought, until it is stored; all else is where it is", async () => {
  const { ports } = memoryPorts(cutover);
  const brought = new Secret("brought");
  for (const ref of [adminRef, "app/db"]) {
    await ports.store.savePending(ref, "v1", new Secret(`stored of ${ref}`));
    await ports.store.promote(ref, "v1", undefined);
    await ports.store.savePending(ref, "v2", new Secret(`pending of ${ref}`));
  }
  const store = asAdmin(adminRef, ports.store, brought);
  expect(await store.read(adminRef, "current")).toEqual({
    ref: adminRef,
    version: "",
    value: brought,
    createdAt: 0,
  });
  const other = await store.read("app/db", "current");
  const pending = await store.read(adminRef, "pending");
  const first = await store.read(adminRef, { version: "v1" });
  expect([other, pending, first].map((stored) => stored?.value.reveal())).toEqual([
    "stored of app/db",
    "pending of ops/admin",
    "stored of ops/admin",
  ]);
  expect((await store.versions(adminRef)).map(({ version }) => version)).toEqual(["v2", "v1"]);
});
