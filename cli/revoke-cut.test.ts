import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { request, storeValue } from "../core/operate.ts";
import type { Ports } from "../core/ports.ts";
import { reconcile } from "../core/reconcile.ts";
import { newRecord } from "../core/record.ts";
import type { Rotator } from "../core/rotator.ts";
import { Secret } from "../core/secret.ts";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { type LocalStore, openLocal } from "../local/open.ts";
import type { ManifestSecret } from "../manifest/manifest.ts";
import type { OpenManifest, OpenSecret } from "./open.ts";
import { type Aimed, aim } from "./revoke-aim.ts";
import { choose } from "./revoke-choose.ts";
import { type Cut, cutAll } from "./revoke-cut.ts";
import { revokedVersion } from "./revoke-report.ts";

const base = mkdtempSync(join(tmpdir(), "keyturn-revoke-"));
afterAll(() => rmSync(base, { recursive: true }));

let local: LocalStore;
let lines: string[];
const terminal = {
  json: false,
  say: (line: string) => void lines.push(line),
  show: (line: string) => void lines.push(line),
  warn: (line: string) => void lines.push(line),
  result: () => undefined,
  line: async () => true,
};

beforeEach(async () => {
  lines = [];
  const path = mkdtempSync(join(base, "store-"));
  local = await openLocal({ path, key: `${path}.key`, create: true, environment: {} });
});
afterEach(() => local.close());

const options = { which: "current", tenant: "acme", timeout: 60 };

/** Secrets of one tenant in a real store, each with a login of its own at a target in memory. */
async function tenantOf(number: number, around: (rotator: Rotator) => Rotator = (rotator) => rotator) {
  const target = modelTarget();
  const rotator = around(target.bothLive);
  const secrets = new Map(
    Array.from({ length: number }, (_, index): [string, ManifestSecret] => {
      const ref = `acme/${index}`;
      return [
        ref,
        {
          ref,
          type: rotator.type,
          config: { owner: `owner${index}` },
          admin: undefined,
          policy: { ...defaultTestPolicy, retryBaseMs: 10, retryMaxMs: 50 },
          fleets: ["agents"],
          tenant: "acme",
          account: undefined,
          store: "here",
          notify: [],
          secondPerson: [],
          maxAffected: undefined,
          schedule: undefined,
          where: "",
        },
      ];
    }),
  );
  const ports: Ports = {
    ...local,
    log: () => undefined,
    secrets: { get: (ref) => secrets.get(ref), refs: () => [...secrets.keys()] },
    rotators: { load: async () => rotator },
  };
  const { auditRoots, auditKeys } = local;
  const wake = () => local.bus.wake();
  const close = () => local.close();
  const audit = { auditRoots, auditKeys, auditKeyPlace: "a file" };
  const store = {
    name: "here",
    place: "a folder",
    local,
    importThere: undefined,
    ports,
    ...audit,
    tags: undefined,
    wake,
    close,
  };
  const opened = {
    manifest: { secrets: ports.secrets, held: new Map() },
    stores: async () => [store],
    store: async () => store,
    secret: async (ref: string) => ({ ...store, storeName: "here", managed: secrets.get(ref) }) as OpenSecret,
  } as unknown as OpenManifest;
  const leaked = new Map<string, string>();
  for (const [index, ref] of [...secrets.keys()].entries()) {
    const password = `canary-${index}-Wq7Lm2Zx9`;
    leaked.set(ref, password);
    target.meddle(`owner${index}_a`, password);
    const value = new Secret(JSON.stringify({ username: `owner${index}_a`, password }));
    await storeValue(ref, ports, value, { password: new Secret(password) });
  }
  return { target, ports, opened, leaked };
}

type World = Awaited<ReturnType<typeof tenantOf>>;

async function find({ opened }: World, begunSince: number): Promise<Aimed> {
  const chosen = await choose(opened, { kind: "tenant", name: "acme" }, options, undefined, begunSince);
  return aim(opened, chosen, begunSince);
}

function cut(
  { targets }: Aimed,
  signal = new AbortController().signal,
  timeoutMs = 60_000,
  cutFirst = false,
): Promise<readonly Cut[]> {
  const context = { manifestPath: "", terminal, signal };
  return cutAll(context, targets, { by: "person:ann", cutFirst, timeoutMs });
}

/** Every leaked login is refused, its successor works, and the emergency was one. */
async function expectContained({ target, ports, leaked }: World): Promise<void> {
  for (const [index, [ref, password]] of [...leaked].entries()) {
    const record = (await ports.journal.load(ref))?.record;
    expect(record?.compromised).toMatchObject([{ refusedAt: expect.any(Number) }]);
    expect(target.accepts(`owner${index}_a`, password)).toBe(false);
    const current = await ports.store.read(ref, "current");
    const { username, password: next } = JSON.parse(current?.value.reveal() ?? "{}");
    expect([username, target.accepts(username, next)]).toEqual([`owner${index}_b`, true]);
  }
}

const standings = ({ targets }: Aimed) => targets.map(({ affected }) => affected.standing);

describe("every secret of a tenant", () => {
  test("is cut off, 200 of them, and repeating it leaves the successors alone", async () => {
    const world = await tenantOf(200);
    const started = Date.now();
    const aimed = await find(world, started);
    expect(standings(aimed)).toEqual(Array.from({ length: 200 }, () => "live"));
    const cuts = await cut(aimed);
    await expectContained(world);
    const revoked = cuts.map((one) => revokedVersion(one, { alertAt: started, identifiedMs: 0 }));
    expect(
      revoked.every(
        ({ refused, successor, phase }) => refused && successor !== undefined && phase === "idle",
      ),
    ).toBe(true);
    expect(Math.max(...revoked.map(({ refusedMs = Number.NaN }) => refusedMs))).toBeLessThanOrEqual(
      Date.now() - started,
    );

    const again = await find(world, started);
    expect(new Set(standings(again))).toEqual(new Set(["cut"]));
    expect(again.targets.map(({ version }) => version)).toEqual(aimed.targets.map(({ version }) => version));
    await cut(again);
    await expectContained(world);
    expect(lines.join("\n")).not.toContain("canary-");
  });

  test("a cut before the successors is not made twice; who says that it is another incident means the successors", async () => {
    const world = await tenantOf(3);
    const started = Date.now();
    await cut(await find(world, started), undefined, undefined, true);
    await expectContained(world);
    const epochs = async () =>
      Promise.all(
        [...world.leaked.keys()].map(async (ref) => (await world.ports.journal.load(ref))?.record.epoch),
      );
    const before = await epochs();
    await cut(await find(world, started), undefined, undefined, true);
    expect(await epochs()).toEqual(before);
    const next = await find(world, Date.now() + 1);
    expect(standings(next)).toEqual(["live", "live", "live"]);
    const current = await Promise.all(
      [...world.leaked.keys()].map((ref) => world.ports.store.read(ref, "current")),
    );
    expect(next.targets.map(({ version }) => version)).toEqual(current.map((stored) => stored?.version));
  });

  test("two people at once cut each off once", async () => {
    const world = await tenantOf(40);
    const started = Date.now();
    const both = await Promise.all([find(world, started), find(world, started)]);
    const [one, other] = await Promise.all(both.map((aimed) => cut(aimed)));
    await expectContained(world);
    for (const cuts of [one, other]) {
      const refused = cuts?.filter(({ error }) => error === undefined) ?? [];
      expect(
        refused.map((each) => revokedVersion(each, { alertAt: started, identifiedMs: 0 }).refused),
      ).toEqual(Array.from({ length: 40 }, () => true));
    }
    let requested = 0;
    for await (const { action } of local.audit.read("acme/0"))
      if (action === "emergency.requested") requested += 1;
    expect(requested).toBe(1);
  });

  test("who looks while the first one's successor comes out means what has leaked, and not the successor", async () => {
    const world = await tenantOf(1);
    const started = Date.now();
    const { store } = world.ports;
    const seen: Promise<Aimed>[] = [];
    const promote: Ports["store"]["promote"] = async (...args) => {
      await store.promote(...args);
      seen.push(find(world, started));
      await seen.at(-1);
    };
    Object.assign(world.ports, { store: { ...store, promote } });
    const first = await find(world, started);
    await cut(first);
    const [second] = await Promise.all(seen);
    expect(second?.targets.map(({ version }) => version)).toEqual(
      first.targets.map(({ version }) => version),
    );
    expect(standings(second ?? first)).toEqual(["under way"]);
    await cut(second ?? first);
    await expectContained(world);
  });

  test("that holds, too, where what has leaked is another name of what was current", async () => {
    const world = await tenantOf(1);
    const started = Date.now();
    const { store, journal, fingerprinter } = world.ports;
    const stored = await store.read("acme/0", "current");
    const { version: known = "", value = new Secret("none") } = stored ?? {};
    const current = { version: known, fingerprint: fingerprinter.fingerprint(value.reveal()), since: 0 };
    await journal.save({ ...newRecord("acme/0"), current, sameLogin: [[known, "of old"]] }, undefined);
    let second: Aimed | undefined;
    const promote: Ports["store"]["promote"] = async (...args) => {
      await store.promote(...args);
      second = await find(world, started);
    };
    Object.assign(world.ports, { store: { ...store, promote } });
    const version = { version: "of old", fingerprint: "print of old" };
    await request("acme/0", world.ports, { kind: "emergency", by: "bob", version, cutFirst: false });
    await reconcile("acme/0", world.ports, { worker: "worker" });
    expect(second?.targets.map((target) => [target.version, target.affected.standing])).toEqual([
      ["of old", "under way"],
    ]);
  });

  test("who has read the record before the first one's successor came out, and the store after it, reads again", async () => {
    const world = await tenantOf(1);
    const started = Date.now();
    const first = await find(world, started);
    const { journal } = world.ports;
    let isFirst = true;
    const load: Ports["journal"]["load"] = async (ref) => {
      const loaded = await journal.load(ref);
      if (isFirst) {
        isFirst = false;
        await cut(first);
      }
      return loaded;
    };
    Object.assign(world.ports, { journal: { ...journal, load } });
    const second = await find(world, started);
    expect(second.targets.map(({ version }) => version)).toEqual(first.targets.map(({ version }) => version));
    expect(standings(second)).toEqual(["cut"]);
    await cut(second);
    await expectContained(world);
  });

  test("goes on where it was interrupted: nothing is lost, and no successor is cut off", async () => {
    let sets = 0;
    const interrupt = new AbortController();
    const world = await tenantOf(40, (rotator) => ({
      ...rotator,
      set: async (...args) => {
        sets += 1;
        if (sets === 25) interrupt.abort();
        await rotator.set(...args);
      },
    }));
    const started = Date.now();
    await expect(cut(await find(world, started), interrupt.signal)).rejects.toThrow();
    expect(lines).toContainEqual(expect.stringMatching(/^40 of 40 are reported and \d+ refused/));
    const rest = await find(world, started);
    expect(new Set(standings(rest)).has("live")).toBe(false);
    await cut(rest);
    await expectContained(world);
  });

  test("a target that never answers keeps none of the others alive", async () => {
    const stuck = new Set(Array.from({ length: 30 }, (_, index) => `owner${index}`));
    const world = await tenantOf(40, (rotator) => ({
      ...rotator,
      set: async (change, context) => {
        const { owner } = context.config as { owner: string };
        if (stuck.has(owner)) await new Promise<never>(() => undefined);
        await rotator.set(change, context);
      },
    }));
    const interrupt = new AbortController();
    const cutting = cut(await find(world, Date.now()), interrupt.signal).catch((thrown: unknown) => thrown);
    const compromised = () =>
      Promise.all(
        [...world.leaked.keys()].map(
          async (ref) => (await world.ports.journal.load(ref))?.record.compromised[0],
        ),
      );
    const refused = async () => (await compromised()).map((entry) => entry?.refusedAt !== undefined);
    const healthy = Array.from({ length: 40 }, (_, index) => index >= 30);
    await expect.poll(refused, { timeout: 20_000 }).toEqual(healthy);
    interrupt.abort();
    expect(await cutting).toBeInstanceOf(Error);
    expect(lines).toContainEqual(expect.stringContaining("40 of 40 are reported and 10 refused"));
    expect(await compromised()).not.toContain(undefined);
  });

  test("those that have no answer in time are told as not refused", async () => {
    const world = await tenantOf(2, (rotator) => ({
      ...rotator,
      set: () => new Promise<never>(() => undefined),
    }));
    const cuts = await cut(await find(world, Date.now()), undefined, 300);
    const revoked = cuts.map((one) => revokedVersion(one, { alertAt: 0, identifiedMs: 0 }));
    expect(revoked).toMatchObject([
      { refused: false, phase: "set" },
      { refused: false, phase: "set" },
    ]);
    for (const one of revoked) expect(one).not.toHaveProperty("successor");
  });
});
