import { inspect } from "node:util";
import {
  CreateSecretCommand,
  DeleteSecretCommand,
  DescribeSecretCommand,
  PutSecretValueCommand,
  ReplicateSecretToRegionsCommand,
  RotateSecretCommand,
  UpdateSecretVersionStageCommand,
} from "@aws-sdk/client-secrets-manager";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { SecretStore } from "../core/ports.ts";
import { Secret } from "../core/secret.ts";
import { idOf, type StrictWorld, strictWorld } from "../integration/aws/strict-secrets-manager/world.ts";
import { discardedOf, pinOf, voidOf } from "./secret-stages.ts";
import { type AwsSecretStore, awsSecretStore } from "./secret-store.ts";

const ref = "team/db";
const [v1, v2, v3] = ["v1", "v2", "v3"].map(idOf) as [string, string, string];
const canary = "canary-never-shown";
const value = (text: string) => new Secret(JSON.stringify({ password: `${canary} ${text}` }));

let world: StrictWorld;
let store: SecretStore;
let logged: unknown[];
beforeEach(async () => {
  world = await strictWorld();
  logged = [];
  store = storeWith({});
});
afterEach(async () => {
  expect(inspect(logged, { depth: 9 })).not.toContain(canary);
  await world[Symbol.asyncDispose]();
});

function storeWith(options: Partial<AwsSecretStore>, region?: string): SecretStore {
  return awsSecretStore({
    client: world.client(region),
    clock: { now: () => world.service.now() },
    log: (...line) => logged.push(line),
    create: { kmsKeyId: "alias/team", tags: { "keyturn:managed": "true" } },
    ...options,
  });
}

async function rotateTo(version: string, expected?: string): Promise<void> {
  await store.savePending(ref, version, value(version));
  await store.promote(ref, version, expected);
}

const labels = async (): Promise<Record<string, string[]> | undefined> =>
  (await world.client().send(new DescribeSecretCommand({ SecretId: ref }))).VersionIdsToStages;

/** Everything the port can do to a secret, so that each can meet each trouble. */
const verbs: readonly [string, (store: SecretStore) => Promise<unknown>][] = [
  ["read", (its) => its.read(ref, "current")],
  ["read by version", (its) => its.read(ref, { version: v1 })],
  ["versions", (its) => its.versions(ref)],
  ["savePending", (its) => its.savePending(ref, v2, value("v2"))],
  ["promote", (its) => its.promote(ref, v2, v1)],
  ["discardPending", (its) => its.discardPending(ref, v2)],
  ["disable", (its) => its.disable(ref, v3)],
];
const writing = verbs.filter(([name]) =>
  ["savePending", "promote", "discardPending", "disable"].includes(name),
);

async function failing(call: () => Promise<unknown>): Promise<unknown> {
  const [outcome] = await Promise.allSettled([call()]);
  const thrown: unknown = outcome.status === "rejected" ? outcome.reason : undefined;
  expect(inspect(thrown, { depth: 9, showHidden: true })).not.toContain(canary);
  return thrown;
}

describe("a secret that is not there", () => {
  test("is absent to readers, and an error with its remedy to who would save", async () => {
    store = awsSecretStore({ client: world.client(), clock: { now: () => 0 }, log: () => undefined });
    expect(await store.read(ref, "current")).toBeUndefined();
    expect(await store.versions(ref)).toEqual([]);
    await store.discardPending(ref, v1);
    expect(await failing(() => store.savePending(ref, v1, value("v1")))).toMatchObject({
      code: "secret-missing",
      disposition: "reject",
      message: expect.stringContaining("has no secret team/db"),
    });
    expect(await failing(() => store.promote(ref, v1, undefined))).toMatchObject({ code: "secret-missing" });
    expect(world.server.counts().CreateSecret).toBeUndefined();
  });

  test("is made where it may be, with key and tags, and its candidate is not current", async () => {
    await store.savePending(ref, v1, value("v1"));
    expect(await store.read(ref, "current")).toBeUndefined();
    const told = await world.client().send(new DescribeSecretCommand({ SecretId: ref }));
    expect(told).toMatchObject({ KmsKeyId: "alias/team", Tags: [{ Key: "keyturn:managed", Value: "true" }] });
    await store.promote(ref, v1, undefined);
    expect(await store.read(ref, "current")).toMatchObject({ version: v1 });
    expect(await store.read(ref, "previous")).toBeUndefined();
    expect((await store.versions(ref)).map(({ version }) => version)).toEqual([v1]);
  });

  test("and one without a value, made by a stack, are alike: the candidate is not current", async () => {
    await world.client().send(new CreateSecretCommand({ Name: ref }));
    expect(await store.list()).toEqual([]);
    await store.savePending(ref, v1, value("v1"));
    expect(await store.read(ref, "current")).toBeUndefined();
    await store.promote(ref, v1, undefined);
    expect(await store.read(ref, "current")).toMatchObject({ version: v1 });
  });
});

describe("a rotation that Secrets Manager drives", () => {
  const rotator = "arn:aws:lambda:eu-west-1:111122223333:function:rotate";
  /** AWSPENDING on a version without a value, as createSecret finds it. */
  const begin = async (token: string): Promise<string> => {
    const { promise, resolve } = Promise.withResolvers<string>();
    world.service.functions.set(rotator, async ({ RotationToken }) => {
      resolve(RotationToken);
      await new Promise(() => undefined);
    });
    const request = { SecretId: ref, ClientRequestToken: token, RotationLambdaARN: rotator };
    await world.client().send(new RotateSecretCommand(request));
    return promise;
  };
  // What runs for ever is not waited for.
  afterEach(() => {
    world.service.settled = async () => undefined;
  });

  test.each([false, true])(
    "gets its value into the empty version, and goes through (labels dropped by a put: %s)",
    async (putDropsOtherLabels) => {
      await world[Symbol.asyncDispose]();
      world = await strictWorld({ putDropsOtherLabels });
      store = storeWith({});
      await rotateTo(v1);
      const token = await begin(v2);
      expect(await store.read(ref, "pending")).toBeUndefined();
      expect((await store.versions(ref)).map(({ version }) => version)).toEqual([v1]);
      await expect(store.promote(ref, v2, v1)).rejects.toMatchObject({ code: "conflict" });
      const driven = storeWith({
        rotationToken: (of, id) => (of === ref && id === v2 ? new Secret(token) : undefined),
      });
      await driven.savePending(ref, v2, value("v2"));
      expect(await store.read(ref, "pending")).toMatchObject({ version: v2 });
      await store.promote(ref, v2, v1);
      expect(await labels()).toMatchObject({
        [v1]: expect.arrayContaining(["AWSPREVIOUS", pinOf(v1)]),
        [v2]: expect.arrayContaining(["AWSCURRENT", pinOf(v2)]),
      });
    },
  );

  test("is looked at by one call, which the save goes by; what another's function has put there by its id is what is saved", async () => {
    await rotateTo(v1);
    await begin(v2);
    world.server.calls.length = 0;
    expect(await store.read(ref, { pendingFor: v2 })).toBeUndefined();
    expect(world.server.counts()).toEqual({ DescribeSecret: 1 });
    const foreign = { SecretId: ref, ClientRequestToken: v2, SecretString: "{}" };
    await world.client().send(new PutSecretValueCommand({ ...foreign, VersionStages: ["AWSPENDING"] }));
    expect(await store.read(ref, { pendingFor: v2 })).toBeUndefined();
    expect(await store.read(ref, { pendingFor: v3 })).toMatchObject({ version: v2 });
    expect((await store.savePending(ref, v2, value("v2"))).value.reveal()).toBe("{}");
    expect(await store.read(ref, { pendingFor: v2 })).toMatchObject({ version: v2 });
    expect((await labels())?.[v2]).toEqual(expect.arrayContaining(["AWSPENDING", pinOf(v2)]));
  });

  test("is refused by a token that is not its own", async () => {
    await rotateTo(v1);
    await begin(v2);
    const forged = storeWith({ rotationToken: () => new Secret(idOf(canary)) });
    expect(await failing(() => forged.savePending(ref, v2, value("v2")))).toMatchObject({
      code: "store-unavailable",
    });
  });

  test("begins on a secret that never had a value: the candidate is not current", async () => {
    await world.client().send(new CreateSecretCommand({ Name: ref }));
    await begin(v1);
    await store.savePending(ref, v1, value("v1"));
    expect(await store.read(ref, "current")).toBeUndefined();
    expect(await store.read(ref, "pending")).toMatchObject({ version: v1 });
    await store.promote(ref, v1, undefined);
    expect(await store.read(ref, "current")).toMatchObject({ version: v1 });
  });

  test.each([false, true])(
    "is discarded while its version is empty: it can never be saved, and Secrets Manager begins another (labels dropped by a put: %s)",
    async (putDropsOtherLabels) => {
      await world[Symbol.asyncDispose]();
      world = await strictWorld({ putDropsOtherLabels });
      store = storeWith({});
      await rotateTo(v1);
      await begin(v2);
      await store.discardPending(ref, v2);
      expect(await labels()).toMatchObject({
        [v1]: expect.arrayContaining(["AWSCURRENT", "AWSPENDING"]),
        [v2]: [voidOf(v2)],
      });
      await expect(store.savePending(ref, v2, value("v2"))).rejects.toMatchObject({ code: "conflict" });
      world.service.find("eu-west-1", ref).running = undefined;
      await begin(v3);
      await store.savePending(ref, v3, value("v3"));
      expect(await store.read(ref, "pending")).toMatchObject({ version: v3 });
    },
  );

  test("makes room for an emergency while its version is empty, and none once it has a value", async () => {
    await rotateTo(v1);
    await begin(v2);
    await store.savePending(ref, v3, value("v3"));
    expect(await store.read(ref, "pending")).toMatchObject({ version: v3 });
    await store.promote(ref, v3, v1);
    world.service.find("eu-west-1", ref).running = undefined;
    await begin(idOf("v4"));
    await store.savePending(ref, idOf("v4"), value("v4"));
    await expect(store.savePending(ref, idOf("v5"), value("v5"))).rejects.toMatchObject({ code: "conflict" });
  });
});

describe("a value", () => {
  test("that is binary is a clear error to readers", async () => {
    const request = { Name: ref, ClientRequestToken: v1, SecretBinary: Buffer.from(canary) };
    await world.client().send(new CreateSecretCommand(request));
    for (const which of ["current", { version: v1 }] as const) {
      expect(await failing(() => store.read(ref, which))).toMatchObject({
        code: "credential-invalid",
        disposition: "reject",
        message: expect.stringContaining("is binary"),
      });
    }
  });

  test("that is not JSON comes as it is: what it has to be is its type's word", async () => {
    await world.client().send(new CreateSecretCommand({ Name: ref, SecretString: `not JSON ${canary}` }));
    expect((await store.read(ref, "current"))?.value.reveal()).toBe(`not JSON ${canary}`);
  });

  test("that somebody put in the console is current, and the next rotation takes over from it", async () => {
    await rotateTo(v1);
    await world
      .client()
      .send(new PutSecretValueCommand({ SecretId: ref, ClientRequestToken: v2, SecretString: "by hand" }));
    await store.savePending(ref, v3, value("v3"));
    await expect(store.promote(ref, v3, v1)).rejects.toMatchObject({ code: "conflict" });
    await store.promote(ref, v3, v2);
    expect((await store.read(ref, "previous"))?.value.reveal()).toBe("by hand");
  });

  test("that another's function left as AWSPENDING is pending, and discarding it keeps it", async () => {
    await rotateTo(v1);
    const foreign = {
      SecretId: ref,
      ClientRequestToken: v2,
      SecretString: "{}",
      VersionStages: ["AWSPENDING"],
    };
    await world.client().send(new PutSecretValueCommand(foreign));
    expect(await store.read(ref, "pending")).toMatchObject({ version: v2 });
    await expect(store.savePending(ref, v3, value("v3"))).rejects.toMatchObject({ code: "conflict" });
    await store.discardPending(ref, v2);
    expect(await labels()).toMatchObject({ [v2]: [discardedOf(v2)] });
    expect((await store.read(ref, { version: v2 }))?.value.reveal()).toBe("{}");
    await store.savePending(ref, v3, value("v3"));
  });
});

describe("a secret that is not ours to write", () => {
  beforeEach(() => rotateTo(v1));

  test.each(writing)("%s says that a service owns it", async (_, verb) => {
    world.service.find("eu-west-1", ref).owningService = "rds";
    expect(await failing(() => verb(store))).toMatchObject({
      code: "not-managed",
      message: expect.stringContaining("managed by rds"),
    });
    expect(Object.keys((await labels()) ?? {})).not.toContain(v2);
  });

  test.each(writing)("%s says where the original of a replica is", async (_, verb) => {
    const AddReplicaRegions = [{ Region: "us-east-1" }];
    await world.client().send(new ReplicateSecretToRegionsCommand({ SecretId: ref, AddReplicaRegions }));
    const there = storeWith({}, "us-east-1");
    expect(await failing(() => verb(there))).toMatchObject({
      code: "config-invalid",
      message: expect.stringContaining("has to be eu-west-1"),
    });
    expect(await there.read(ref, "current")).toMatchObject({ version: v1 });
    await store.savePending(ref, v2, value("v2"));
  });

  test.each(verbs)("%s says that it waits for its deletion", async (_, verb) => {
    await world.client().send(new DeleteSecretCommand({ SecretId: ref }));
    expect(await failing(() => verb(store))).toMatchObject({
      code: "secret-missing",
      message: expect.stringContaining("scheduled for deletion"),
    });
    expect(await store.list()).toEqual([]);
  });

  test("a name that waits for its deletion is not made anew", async () => {
    await world.client().send(new DeleteSecretCommand({ SecretId: ref }));
    expect(await failing(() => store.savePending(ref, v2, value("v2")))).toMatchObject({
      code: "secret-missing",
    });
  });
});

test("labels may not be moved by hand past a removed one", async () => {
  await rotateTo(v1);
  await store.savePending(ref, v2, value("v2"));
  await world.client().send(
    new UpdateSecretVersionStageCommand({
      SecretId: ref,
      VersionStage: "AWSPENDING",
      RemoveFromVersionId: v2,
    }),
  );
  expect(await store.read(ref, "pending")).toBeUndefined();
  // The save is asked for again, finds its value, and makes it pending.
  expect((await store.savePending(ref, v2, value("other"))).value.reveal()).toBe(value("v2").reveal());
  expect(await store.read(ref, "pending")).toMatchObject({ version: v2 });
});

test("what was current before the previous one can never be saved again", async () => {
  await rotateTo(v1);
  await rotateTo(v2, v1);
  await rotateTo(v3, v2);
  expect(await failing(() => store.savePending(ref, v1, value("again")))).toMatchObject({ code: "conflict" });
  expect(await store.read(ref, "pending")).toBeUndefined();
});

test("discarding what was promoted labels nothing, and an id without a value is absent by its id too", async () => {
  await rotateTo(v1);
  await rotateTo(v2, v1);
  const before = await labels();
  for (const id of [v1, v2]) await store.discardPending(ref, id);
  expect(await labels()).toEqual(before);
  await store.discardPending(ref, v3);
  expect(await labels()).toMatchObject({ [v3]: [voidOf(v3)] });
  expect(await store.read(ref, { version: v3 })).toBeUndefined();
});
