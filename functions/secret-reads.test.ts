import {
  CreateSecretCommand,
  DeleteSecretCommand,
  PutSecretValueCommand,
} from "@aws-sdk/client-secrets-manager";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { SecretStore } from "../core/ports.ts";
import { type StrictWorld, strictWorld } from "../integration/aws/strict-secrets-manager/world.ts";
import { noValue } from "./secret-stages.ts";
import { awsSecretStore } from "./secret-store.ts";

let world: StrictWorld;
let store: SecretStore;
beforeEach(async () => {
  world = await strictWorld();
  const clock = { now: () => world.service.now() };
  store = awsSecretStore({ client: world.client(), clock, log: () => undefined });
});
afterEach(() => world[Symbol.asyncDispose]());

async function make(...names: readonly string[]): Promise<void> {
  const client = world.client();
  for (const Name of names) await client.send(new CreateSecretCommand({ Name, SecretString: `of ${Name}` }));
  world.server.calls.length = 0;
}

const readAll = (refs: readonly string[]) =>
  Promise.allSettled(refs.map(async (ref) => (await store.read(ref, "current"))?.value.reveal()));

const valuesOf = (refs: readonly string[]) =>
  refs.map((ref) => ({ status: "fulfilled", value: `of ${ref}` }));

test("what is asked for at once comes by one call, and a single value by the call for one", async () => {
  await make("a", "b");
  expect(await readAll(["a", "b", "a"])).toEqual(valuesOf(["a", "b", "a"]));
  expect(world.server.counts()).toEqual({ BatchGetSecretValue: 1 });
  expect(await readAll(["a", "a"])).toEqual(valuesOf(["a", "a"]));
  expect(world.server.counts()).toEqual({ BatchGetSecretValue: 1, GetSecretValue: 1 });
});

test("nothing is kept: what has changed since is read", async () => {
  await make("a", "b");
  await readAll(["a", "b"]);
  const client = world.client();
  await client.send(new PutSecretValueCommand({ SecretId: "a", SecretString: "by-another-hand-than-ours" }));
  const [changed, same] = await readAll(["a", "b"]);
  expect([changed, same]).toEqual([
    { status: "fulfilled", value: "by-another-hand-than-ours" },
    { status: "fulfilled", value: "of b" },
  ]);
});

test("more than one call takes are read by several", async () => {
  const refs = Array.from({ length: 45 }, (_, index) => `many/${index}`);
  await make(...refs);
  expect(await readAll(refs)).toEqual(valuesOf(refs));
  expect(world.server.counts()).toEqual({ BatchGetSecretValue: 3 });
});

test("what one call cannot read says for itself why, and takes nothing from the others", async () => {
  await make("a", "gone");
  const client = world.client();
  await client.send(new DeleteSecretCommand({ SecretId: "gone" }));
  await client.send(new CreateSecretCommand({ Name: "empty", SecretString: noValue }));
  await client.send(new CreateSecretCommand({ Name: "binary", SecretBinary: new Uint8Array([1]) }));
  expect(await readAll(["a", "gone", "nobody", "empty", "binary"])).toEqual([
    { status: "fulfilled", value: "of a" },
    { status: "rejected", reason: expect.objectContaining({ code: "secret-missing" }) },
    { status: "fulfilled", value: undefined },
    { status: "fulfilled", value: undefined },
    { status: "rejected", reason: expect.objectContaining({ code: "credential-invalid" }) },
  ]);
});

test.each(["DecryptionFailure", "InvalidRequestException", "ResourceNotFoundException"])(
  "a call that %s refuses as a whole because of one of them takes nothing from the others",
  async (error) => {
    await make("a");
    world.server.befall("BatchGetSecretValue", { error, status: 400 });
    expect(await readAll(["a", "nobody"])).toEqual([
      { status: "fulfilled", value: "of a" },
      { status: "fulfilled", value: undefined },
    ]);
  },
);

test("a role that may not ask so asks for one after the other, and does not try again", async () => {
  await make("a", "b");
  world.server.befall("BatchGetSecretValue", { error: "AccessDeniedException", status: 400 });
  expect(await readAll(["a", "b"])).toEqual(valuesOf(["a", "b"]));
  expect(await readAll(["a", "b"])).toEqual(valuesOf(["a", "b"]));
  expect(world.server.counts()).toEqual({ BatchGetSecretValue: 1, GetSecretValue: 4 });
});

test("a service that is down is told for each, and not asked for each", async () => {
  await make("a", "b");
  world.server.befall("*", { error: "InternalServiceError", status: 500 });
  const down = { status: "rejected", reason: expect.objectContaining({ code: "store-unavailable" }) };
  expect(await readAll(["a", "b"])).toEqual([down, down]);
  expect(world.server.counts()).toEqual({ BatchGetSecretValue: expect.any(Number) });
});
