import { randomBytes } from "node:crypto";
import { CreateSecretCommand, RotateSecretCommand } from "@aws-sdk/client-secrets-manager";
import { expect, test } from "vitest";
import { request } from "../core/operate.ts";
import type { Ports } from "../core/ports.ts";
import { reconcile } from "../core/reconcile.ts";
import { rotationOf } from "../core/transition.ts";
import { strictWorld } from "../integration/aws/strict-secrets-manager/world.ts";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { readFingerprinter } from "./fingerprinter.ts";
import { awsSecretStore } from "./secret-store.ts";

const ref = "app/db";
const rotator = "arn:aws:lambda:eu-west-1:111122223333:function:rotate";

/** A Keyturn whose secrets are in Secrets Manager, with one rotation behind it. */
async function open(admin?: string) {
  const world = await strictWorld();
  if (admin !== undefined) {
    await world.client().send(new CreateSecretCommand({ Name: admin, SecretString: "{}" }));
  }
  const memory = memoryPorts(modelTarget().bothLive, {
    policy: { graceAtMostMs: 3_000, onLaggards: "retire" },
  });
  const { clock, lines } = memory;
  const log: Ports["log"] = (level, message) => lines.push(`${level} ${message}`);
  const store = awsSecretStore({ client: world.client(), clock, log, create: { tags: {} } });
  const managed = { ...memory.managed, admin };
  const secrets = { get: (name: string) => (name === ref ? managed : undefined), refs: () => [ref] };
  const ports = { ...memory.ports, store, secrets };
  const rotate = () => request(ref, ports, { kind: "rotate", by: "tester" });
  /** Works, and passes the time that it asks for, until the phase is reached. */
  const until = async (phase: string): Promise<void> => {
    for (let turn = 0; turn < 100; turn += 1) {
      const { record, until: next } = await reconcile(ref, ports, { worker: "w" });
      if (record.state.phase === phase) return;
      clock.advance(Math.max(1, (next ?? 0) - clock.now()));
    }
    throw new Error(`never reached ${phase}`);
  };
  await rotate();
  await until("idle");
  await rotate();
  await until("idle");
  world.server.calls.length = 0;
  return { world, ports, rotate, until };
}

/** What was called since the last look, by operation, and altogether. */
function calls({ world }: Pick<Awaited<ReturnType<typeof open>>, "world">) {
  // RotateSecret is how Secrets Manager is told to drive, and no call of a step.
  const { RotateSecret: _, ...counts } = world.server.counts();
  world.server.calls.length = 0;
  return { ...counts, all: Object.values(counts).reduce((sum, count) => sum + count, 0) };
}

test("a rotation that Keyturn drives makes 10 calls to the store through finish, and 5 to pay the old value", async () => {
  const keyturn = await open();
  await using _ = keyturn.world;
  await keyturn.rotate();
  calls(keyturn);
  await keyturn.until("grace");
  expect(calls(keyturn)).toEqual({
    GetSecretValue: 5,
    DescribeSecret: 2,
    PutSecretValue: 1,
    UpdateSecretVersionStage: 2,
    all: 10,
  });
  await keyturn.until("idle");
  expect(calls(keyturn)).toEqual({
    GetSecretValue: 3,
    DescribeSecret: 1,
    UpdateSecretVersionStage: 1,
    all: 5,
  });
});

test("a rotation that Secrets Manager drives makes 10 calls to the store through finish in a new process, the pin and the keys of fingerprints included", async () => {
  const keyturn = await open();
  await using _ = keyturn.world;
  const { ports, world } = keyturn;
  const keys = { Name: "keys", SecretString: randomBytes(32).toString("base64") };
  await world.client().send(new CreateSecretCommand(keys));
  const { record } = await keyturn.rotate();
  const id = rotationOf(record.state)?.id;
  calls(keyturn);
  await readFingerprinter(world.client(), "keys");
  // The four steps come one by one; the first of them finds everything to do.
  world.service.functions.set(rotator, async ({ Step }) => {
    if (Step === "createSecret") await reconcile(ref, ports, { worker: "w" });
  });
  const driven = new RotateSecretCommand({
    SecretId: ref,
    ClientRequestToken: id,
    RotationLambdaARN: rotator,
  });
  await world.client().send(driven);
  await world.service.settled();
  expect((await ports.journal.load(ref))?.record).toMatchObject({
    state: { phase: "grace" },
    current: { version: id },
  });
  expect(calls(keyturn)).toEqual({
    GetSecretValue: 6,
    DescribeSecret: 2,
    PutSecretValue: 1,
    UpdateSecretVersionStage: 1,
    all: 10,
  });
});

test("an administering login makes no call more: it comes with the current value", async () => {
  const keyturn = await open("app/admin");
  await using _ = keyturn.world;
  await keyturn.rotate();
  calls(keyturn);
  await keyturn.until("grace");
  expect(calls(keyturn)).toEqual({
    BatchGetSecretValue: 3,
    GetSecretValue: 2,
    DescribeSecret: 2,
    PutSecretValue: 1,
    UpdateSecretVersionStage: 2,
    all: 10,
  });
  await keyturn.until("idle");
  expect(calls(keyturn)).toEqual({
    BatchGetSecretValue: 1,
    GetSecretValue: 2,
    DescribeSecret: 1,
    UpdateSecretVersionStage: 1,
    all: 5,
  });
});
