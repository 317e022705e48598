import { inspect } from "node:util";
import { DescribeSecretCommand } from "@aws-sdk/client-secrets-manager";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { SecretStore } from "../core/ports.ts";
import { Secret } from "../core/secret.ts";
import { idOf, type StrictWorld, strictWorld } from "../integration/aws/strict-secrets-manager/world.ts";
import { awsSecretStore } from "./secret-store.ts";

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
  store = awsSecretStore({
    client: world.client(),
    clock: { now: () => world.service.now() },
    log: (...line) => logged.push(line),
    create: { kmsKeyId: "alias/team", tags: {} },
  });
});
afterEach(async () => {
  expect(inspect(logged, { depth: 9 })).not.toContain(canary);
  await world[Symbol.asyncDispose]();
});

async function rotateTo(version: string, expected?: string): Promise<void> {
  await store.savePending(ref, version, value(version));
  await store.promote(ref, version, expected);
}

const stages = async () => ({
  pending: (await store.read(ref, "pending"))?.version,
  current: (await store.read(ref, "current"))?.version,
  previous: (await store.read(ref, "previous"))?.version,
});

async function failing(call: () => Promise<unknown>): Promise<unknown> {
  const [outcome] = await Promise.allSettled([call()]);
  const thrown: unknown = outcome.status === "rejected" ? outcome.reason : undefined;
  expect(inspect(thrown, { depth: 9, showHidden: true })).not.toContain(canary);
  return thrown;
}

interface Story {
  readonly verb: string;
  readonly arrange: () => Promise<unknown>;
  readonly act: () => Promise<unknown>;
  readonly end: Awaited<ReturnType<typeof stages>>;
}

const stories: readonly Story[] = [
  {
    verb: "a save that makes the secret",
    arrange: async () => undefined,
    act: () => store.savePending(ref, v1, value("v1")),
    end: { pending: v1, current: undefined, previous: undefined },
  },
  {
    verb: "a save",
    arrange: () => rotateTo(v1),
    act: () => store.savePending(ref, v2, value("v2")),
    end: { pending: v2, current: v1, previous: undefined },
  },
  {
    verb: "a promote",
    arrange: async () => {
      await rotateTo(v1);
      await store.savePending(ref, v2, value("v2"));
    },
    act: () => store.promote(ref, v2, v1),
    end: { pending: undefined, current: v2, previous: v1 },
  },
  {
    verb: "a discard",
    arrange: async () => {
      await rotateTo(v1);
      await store.savePending(ref, v2, value("v2"));
    },
    act: () => store.discardPending(ref, v2),
    end: { pending: undefined, current: v1, previous: undefined },
  },
  {
    verb: "a discard of what was never saved",
    arrange: () => rotateTo(v1),
    act: () => store.discardPending(ref, v2),
    end: { pending: undefined, current: v1, previous: undefined },
  },
  {
    verb: "a disable",
    arrange: async () => {
      await rotateTo(v1);
      await rotateTo(v2, v1);
    },
    act: () => store.disable(ref, v1),
    end: { pending: undefined, current: v2, previous: v1 },
  },
];

describe.each(stories)("$verb whose reply is lost", ({ arrange, act, end }) => {
  const calls = 6;

  test("once is repeated by the SDK, and comes to the same", async () => {
    for (let spared = 0; spared < calls; spared += 1) {
      await using one = await another();
      await arrange();
      one.server.befall("*", "reply lost", 1, spared);
      await act();
      const hasBefallen = one.server.hasBefallen();
      one.server.clearFaults();
      expect(await stages(), `reply ${spared + 1}`).toEqual(end);
      if (!hasBefallen) return;
    }
  });

  test("for good fails, and comes to the same when it is asked for again", async () => {
    let failures = 0;
    for (let spared = 0; spared < calls; spared += 1) {
      await using one = await another();
      await arrange();
      one.server.befall("*", "reply lost", Number.POSITIVE_INFINITY, spared);
      const thrown = await failing(act);
      if (thrown === undefined) break;
      failures += 1;
      expect(thrown).toMatchObject({ code: "store-unavailable", disposition: "retry" });
      one.server.clearFaults();
      await act();
      await act();
      expect(await stages(), `reply ${spared + 1}`).toEqual(end);
    }
    expect(failures).toBeGreaterThan(1);
  });
});

/** A new world in the place of the one that the test began with. */
async function another(): Promise<StrictWorld> {
  const one = await strictWorld();
  store = awsSecretStore({
    client: one.client(),
    clock: { now: () => one.service.now() },
    log: (...line) => logged.push(line),
    create: { tags: {} },
  });
  return one;
}

/** Every verb of the port, and which right it needs first. */
const rights: readonly [string, string, () => Promise<unknown>][] = [
  ["list", "ListSecrets", () => store.list("team/")],
  ["versions", "ListSecretVersionIds", () => store.versions(ref)],
  ["read", "GetSecretValue", () => store.read(ref, "current")],
  ["savePending", "PutSecretValue", () => store.savePending(ref, v2, value("v2"))],
  ["savePending", "UpdateSecretVersionStage", () => store.savePending(ref, v2, value("v2"))],
  ["savePending", "DescribeSecret", () => store.savePending(ref, v2, value("v2"))],
  ["promote", "UpdateSecretVersionStage", () => store.promote(ref, v3, v1)],
  ["discardPending", "DescribeSecret", () => store.discardPending(ref, v3)],
  ["disable", "DescribeSecret", () => store.disable(ref, v3)],
];

test.each(rights)("%s that may not call %s names the right", async (verb, operation, act) => {
  await rotateTo(v1);
  if (verb === "promote") await store.savePending(ref, v3, value("v3"));
  world.server.befall(operation, {
    error: "AccessDeniedException",
    message: `User: arn:aws:sts::111122223333:assumed-role/keyturn/rotate is not authorized to perform: secretsmanager:${operation} on resource: ${ref} because no identity-based policy allows the secretsmanager:${operation} action`,
  });
  expect(await failing(act)).toMatchObject({
    code: "role-lacks-rights",
    message: expect.stringContaining(`needs secretsmanager:${operation} on ${ref}`),
  });
});

test.each([
  ["throttled", { error: "ThrottlingException", message: canary }],
  ["store-unavailable", { error: "InternalServiceError", message: canary, status: 500 }],
  ["store-unavailable", "cut"],
] as const)(
  "every verb says %s when every call comes to that, and succeeds when it has passed",
  async (code, fault) => {
    await rotateTo(v1);
    world.server.befall("*", fault);
    const acts = new Map(rights.map(([verb, , act]) => [verb, act]));
    acts.delete("promote");
    await Promise.all(
      [...acts.values()].map(async (act) => {
        expect(await failing(act)).toMatchObject({ code, disposition: "retry" });
      }),
    );
    world.server.clearFaults();
    for (const act of acts.values()) await act();
  },
);

describe("the key of a secret", () => {
  test.each([
    ["denied", "role-lacks-rights", "kms:Decrypt"],
    ["disabled", "store-unavailable", "is it disabled"],
  ] as const)("that is %s is named, by readers and writers", async (state, code, says) => {
    await rotateTo(v1);
    world.service.kms.set("alias/team", state);
    for (const act of [() => store.read(ref, "current"), () => store.savePending(ref, v2, value("v2"))]) {
      expect(await failing(act)).toMatchObject({ code, message: expect.stringContaining(says) });
    }
  });
});

test("a service that never answers fails before a step's deadline", async () => {
  await rotateTo(v1);
  world.server.befall("*", "black hole");
  const begun = performance.now();
  expect(await failing(() => store.savePending(ref, v2, value("v2")))).toMatchObject({
    code: "store-unavailable",
  });
  expect(performance.now() - begun).toBeLessThan(15_000);
});

test("a value that is owed outlives sixty further rotations, until its pin goes", async () => {
  await rotateTo(v1);
  let current = v1;
  for (let index = 0; index < 60; index += 1) {
    const next = idOf(`rotation ${index}`);
    await rotateTo(next, current);
    // The one before the previous is paid, v1 is not.
    if (current !== v1) await store.disable(ref, current);
    current = next;
  }
  expect((await store.read(ref, { version: v1 }))?.value.reveal()).toBe(value(v1).reveal());
  await store.disable(ref, v1);
  expect(await store.read(ref, { version: v1 })).toBeUndefined();
  expect(logged).toEqual([]);
});

test("a secret that nobody ever pays is rotated on: the oldest pin gives way, and that is said", async () => {
  await rotateTo(v1);
  let current = v1;
  for (let index = 0; index < 60; index += 1) {
    const next = idOf(`rotation ${index}`);
    // Either of the two finds room by itself.
    if (index >= 30) await store.discardPending(ref, idOf(`never saved ${index}`));
    await rotateTo(next, current);
    current = next;
  }
  expect(await stages()).toMatchObject({ pending: undefined, current });
  expect(await store.read(ref, { version: v1 })).toBeUndefined();
  const kept = (await store.versions(ref)).filter(({ disabled }) => !disabled);
  expect(kept.length).toBeGreaterThanOrEqual(10);
  expect(logged).toContainEqual(["warn", expect.stringContaining("pinned no longer"), { ref, version: v1 }]);
  await expect(store.savePending(ref, idOf("never saved 59"), value("x"))).rejects.toMatchObject({
    code: "conflict",
  });
});

test("labels of somebody else that leave no room are named as the reason", async () => {
  await rotateTo(v1);
  const secret = world.service.find("eu-west-1", ref);
  for (let index = 0; index < 16; index += 1) secret.move(`theirs ${index}`, v1, undefined);
  expect(await failing(() => store.savePending(ref, v2, value("v2")))).toMatchObject({
    code: "request-refused",
    message: expect.stringContaining("20 labels"),
  });
  const { VersionIdsToStages } = await world.client().send(new DescribeSecretCommand({ SecretId: ref }));
  expect(VersionIdsToStages?.[v1]).toContain("theirs 0");
});

test("more secrets and versions than one page has are all listed", async () => {
  await Promise.all(
    Array.from({ length: 120 }, (_, index) => store.savePending(`many/${index}`, v1, value("v1"))),
  );
  expect(await store.list("many/")).toHaveLength(120);
  expect(await store.list("many/11")).toHaveLength(11);
  expect(await store.list("many/!")).toEqual([]);
});

test("a name that Secrets Manager cannot hold is refused before any call", async () => {
  world.server.calls.length = 0;
  for (const act of [() => store.read("a b", "current"), () => store.savePending("a%", v1, value("v1"))]) {
    expect(await failing(act)).toMatchObject({ code: "config-invalid" });
  }
  expect(await failing(() => store.savePending(ref, "v1", value("v1")))).toMatchObject({ code: "conflict" });
  expect(await store.read(ref, { version: "v1" })).toBeUndefined();
  expect(world.server.calls).toEqual([]);
});
