import { inspect } from "node:util";
import {
  CancelRotateSecretCommand,
  CreateSecretCommand,
  DescribeSecretCommand,
  GetSecretValueCommand,
  RotateSecretCommand,
  type SecretsManagerClient,
} from "@aws-sdk/client-secrets-manager";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { patienceMs } from "../core/driven.ts";
import { request } from "../core/operate.ts";
import type { Ports } from "../core/ports.ts";
import { managedSecret, reconcile } from "../core/reconcile.ts";
import type { RotationEvent } from "../integration/aws/strict-secrets-manager/held.ts";
import { idOf, type StrictWorld, strictWorld } from "../integration/aws/strict-secrets-manager/world.ts";
import { memoryPorts } from "../local/memory-ports.ts";
import { type ModelTarget, modelTarget } from "../local/model-target.ts";
import { beginNatively, isNative, RotationTokens, rotateNatively } from "./native-rotation.ts";
import { awsSecretStore } from "./secret-store.ts";

const ref = "app/db";
const arn = "arn:aws:lambda:eu-west-1:111122223333:function:keyturn-prod-model";
const [t1, t2] = ["t1", "t2"].map(idOf) as [string, string];

/** Where the model has its secrets. */
const accountOf = () => "111122223333";
const ready = async () => undefined;

const first = { username: "app_a", password: "model-password-of-old-times" };

let world: StrictWorld;
let client: SecretsManagerClient;
let target: ModelTarget;
let ports: Ports;
let bus: readonly unknown[];
let lines: string[];
let clock: { advance(ms: number): void };
let thrown: unknown[];
/** What Secrets Manager gave to its rotations, which is as good as a right to put a value. */
let tokens: string[];
let ordered: string[];
let beganAt: number;
let queues: { order(name: string): Promise<void> };
/** What becomes of a step before and after it is taken; undefined: it is taken. */
let around: (event: RotationEvent) => "never" | "killed" | undefined;

beforeEach(async () => {
  world = await strictWorld();
  client = world.client();
  target = modelTarget();
  const memory = memoryPorts(target.bothLive, { policy: { graceAtMostMs: 3_000, onLaggards: "retire" } });
  const rotationTokens = new RotationTokens();
  clock = memory.clock;
  lines = memory.lines;
  bus = memory.bus.events;
  thrown = [];
  tokens = [];
  ordered = [];
  queues = { order: async (name) => void ordered.push(name) };
  around = () => undefined;
  const store = awsSecretStore({
    client,
    clock: { now: () => world.service.now() },
    log: memory.ports.log,
    rotationToken: (_, id) => rotationTokens.of(id),
  });
  ports = { ...memory.ports, store };
  beganAt = ports.clock.now();
  world.service.functions.set(arn, async (event) => {
    const fate = around(event);
    tokens.push(event.RotationToken);
    if (fate === "never") throw new Error("killed before it began");
    await rotateNatively({ ports, queues, rotationTokens, accountOf, ready }, event, 60_000).catch(
      (error: unknown) => {
        thrown.push(error);
        throw error;
      },
    );
    if (fate === "killed") throw new Error("killed when it was done");
  });
  // A secret that was there before, and its first rotation by Keyturn, which makes it known.
  await client.send(new CreateSecretCommand({ Name: ref, SecretString: JSON.stringify(first) }));
  target.meddle(first.username, first.password);
  await request(ref, ports, { kind: "rotate", by: "test" });
  await settle();
});
afterEach(async () => {
  const audit: unknown[] = [];
  for await (const entry of ports.audit.read(ref)) audit.push(entry);
  const { record } = (await ports.journal.load(ref)) ?? {};
  const told = inspect([lines, thrown, audit, record, ordered, bus], { depth: 12, maxArrayLength: null });
  expect(told).not.toMatch(/password"|model-password/);
  // Each test has driven a rotation, and what is told of it has its place in what is searched.
  expect(told).toContain("create.done");
  expect(told).toContain("dev.keyturn.secret.rotated.v1");
  for (const token of tokens) expect(told).not.toContain(token);
  await world[Symbol.asyncDispose]();
});

/** As the tick does, until there is nothing to wait for. */
async function settle(begin: () => Promise<boolean> = async () => false) {
  for (let turn = 0; turn < 60; turn += 1) {
    const { until, record } = await reconcile(ref, ports, { worker: "tick", begin });
    await world.service.settled();
    const isOver = record.state.phase === "idle" && record.wish === undefined;
    if (until === undefined || isOver) return record;
    clock.advance(Math.max(1, until - ports.clock.now()));
  }
  throw new Error(`it never comes to rest: ${lines.slice(-6).join("\n")}`);
}

/** Secrets Manager's clock goes on with ours. */
const begin = (): Promise<boolean> => {
  const clock = { ...ports.clock, now: () => world.service.now() + ports.clock.now() - beganAt };
  return beginNatively(
    () => client,
    { ...ports, clock },
    { account: "111122223333", name: "keyturn-prod-model" },
  )(ref);
};

/** One value is out, the target takes it, and nothing is under way or owed. */
async function isAtRest(): Promise<void> {
  const { current, debts, state, wish } = await record();
  expect([state.phase, debts, wish]).toEqual(["idle", [], undefined]);
  const { SecretString = "", VersionId } = await client.send(new GetSecretValueCommand({ SecretId: ref }));
  expect(VersionId).toBe(current?.version);
  const { username, password } = JSON.parse(SecretString);
  expect(target.accepts(username, password)).toBe(true);
}

const rotate = async (ClientRequestToken: string) => {
  const call = new RotateSecretCommand({ SecretId: ref, RotationLambdaARN: arn, ClientRequestToken });
  await client.send(call);
  await world.service.settled();
};
const record = async () => {
  const loaded = await ports.journal.load(ref);
  if (loaded === undefined) throw new Error("there is no record");
  return loaded.record;
};
const stagesOf = async (version: string) =>
  (await client.send(new DescribeSecretCommand({ SecretId: ref }))).VersionIdsToStages?.[version] ?? [];

describe("RotateSecret", () => {
  test("takes four steps, and is over when the new version is out and announced; the old one is retired by the tick", async () => {
    const old = (await record()).current?.version;
    const asked: string[] = [];
    around = ({ Step, RotationToken }) => {
      asked.push(Step);
      expect(RotationToken).toBeDefined();
      return undefined;
    };
    await rotate(t1);
    expect(thrown).toEqual([]);
    expect(asked).toEqual(["createSecret", "setSecret", "testSecret", "finishSecret"]);
    expect(await record()).toMatchObject({ current: { version: t1 }, state: { phase: "grace" } });
    // What comes after the four steps is ordered, and is the same when it cannot be.
    expect(ordered).toEqual([ref]);
    expect(await stagesOf(t1)).toContain("AWSCURRENT");
    const after = await settle();
    expect(after).toMatchObject({ current: { version: t1 }, debts: [], state: { phase: "idle" } });
    expect(await stagesOf(old ?? "")).not.toContain("AWSCURRENT");
  });

  const killings = ["createSecret", "setSecret", "testSecret", "finishSecret"].flatMap((step) =>
    (["never", "killed"] as const).map((fate) => [step, fate] as const),
  );
  test.each(killings)(
    "killed in %s (%s) and cancelled: the tick ends it, the next one begins, and nothing is stranded",
    async (step, fate) => {
      around = ({ Step }) => (Step === step ? fate : undefined);
      await rotate(t1);
      around = () => undefined;
      await client.send(new CancelRotateSecretCommand({ SecretId: ref }));
      await settle();
      await isAtRest();
      // Switched on again, and asked for by a person: Secrets Manager begins it.
      await rotate(t2).catch(() => undefined);
      await settle();
      await request(ref, ports, { kind: "rotate", by: "test" }, { beginsElsewhere: true });
      const last = await settle(begin);
      expect([t1, t2]).not.toContain(last.current?.version);
      await isAtRest();
    },
  );

  test.each(killings)(
    "killed in %s (%s) and asked for again with the same token: it ends",
    async (step, fate) => {
      around = ({ Step }) => (Step === step ? fate : undefined);
      await rotate(t1);
      around = () => undefined;
      for (const Step of ["createSecret", "setSecret", "testSecret", "finishSecret"]) {
        const again = { Step, SecretId: ref, ClientRequestToken: t1 };
        await rotateNatively(
          { ports, queues, rotationTokens: new RotationTokens(), accountOf, ready },
          again,
          60_000,
        );
      }
      expect((await record()).current?.version).toBe(t1);
      await settle();
      await isAtRest();
    },
  );

  test("a step of a rotation that was taken back changes nothing", async () => {
    around = ({ Step }) => (Step === "setSecret" ? "never" : undefined);
    await rotate(t1);
    around = () => undefined;
    await request(ref, ports, { kind: "cancel", by: "test", insist: false });
    await settle();
    await rotate(t2);
    const before = await settle();
    expect(before.current?.version).toBe(t2);
    for (const Step of ["createSecret", "setSecret", "finishSecret"]) {
      const late = { Step, SecretId: ref, ClientRequestToken: t1 };
      const step = rotateNatively(
        { ports, queues, rotationTokens: new RotationTokens(), accountOf, ready },
        late,
        60_000,
      );
      await expect(step).rejects.toThrow(/request-refused/);
    }
    expect((await record()).current).toEqual(before.current);
    await isAtRest();
  });

  test("both spellings of a step are known, others are refused, and what is malformed is named", async () => {
    const call = (event: unknown) =>
      rotateNatively(
        { ports, queues, rotationTokens: new RotationTokens(), accountOf, ready },
        event,
        60_000,
      );
    for (const Step of ["create_secret", "set_secret", "test_secret", "finish_secret"]) {
      await call({ Step, SecretId: ref, ClientRequestToken: t1 });
    }
    expect((await record()).current?.version).toBe(t1);
    await expect(call({ Step: "melt", SecretId: ref, ClientRequestToken: t2 })).rejects.toThrow(
      /step that nobody knows/,
    );
    await expect(call({ Step: "createSecret", SecretId: ref })).rejects.toThrow(/ClientRequestToken/);
    const foreign = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:other/db-AbCdEf";
    await expect(call({ Step: "createSecret", SecretId: foreign, ClientRequestToken: t2 })).rejects.toThrow(
      /input-invalid: the manifest that was deployed has no secret other\/db/,
    );
    const namesake = `arn:aws:secretsmanager:eu-west-1:444455556666:secret:${ref}-AbCdEf`;
    await expect(call({ Step: "createSecret", SecretId: namesake, ClientRequestToken: t2 })).rejects.toThrow(
      /input-invalid: the manifest that was deployed has no secret app\/db/,
    );
    expect([isNative({ Step: "x" }), isNative({ Records: [] }), isNative(undefined)]).toEqual([
      true,
      false,
      false,
    ]);
  });
});

describe("who begins a rotation", () => {
  test("is Keyturn where Secrets Manager does not rotate", async () => {
    expect(await begin()).toBe(false);
  });

  test("is Secrets Manager where it does, under an id of its own", async () => {
    await rotate(t1);
    await settle();
    expect(await begin()).toBe(true);
    await world.service.settled();
    const { current } = await record();
    expect(current?.version).not.toBe(t1);
    expect(await stagesOf(current?.version ?? "")).toContain("AWSCURRENT");
  });

  test("is Secrets Manager where it has just begun: what it has not asked a step for yet is put aside only when it was given up", async () => {
    const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
    await rotate(t1);
    await settle();
    const run = world.service.functions.get(arn);
    world.service.functions.set(arn, async (event) => {
      await asked;
      return run?.(event);
    });
    beganAt = ports.clock.now();
    const call = new RotateSecretCommand({ SecretId: ref, ClientRequestToken: t2 });
    await client.send(call);
    await expect(begin()).rejects.toMatchObject({ code: "conflict", message: expect.stringContaining(t2) });
    expect(await stagesOf(t2)).toEqual(["AWSPENDING"]);
    ask();
    await world.service.settled();
    expect((await record()).current?.version).toBe(t2);
    await settle();
    await isAtRest();
  });

  test("is Keyturn again where it was given up before a step came: it is put aside when patience has ended, and another one begins", async () => {
    await rotate(t1);
    await settle();
    beganAt = ports.clock.now();
    around = () => "never";
    await rotate(t2);
    around = () => undefined;
    clock.advance(patienceMs(managedSecret(ports, ref).policy) - 1_000);
    await expect(begin()).rejects.toMatchObject({ code: "conflict" });
    expect(await stagesOf(t2)).toEqual(["AWSPENDING"]);
    clock.advance(1_000);
    expect(await begin()).toBe(true);
    await world.service.settled();
    expect([t1, t2]).not.toContain((await record()).current?.version);
    expect(await stagesOf(t2)).not.toContain("AWSPENDING");
    await settle();
    await isAtRest();
  });

  test("is nobody where another function rotates, and that is told", async () => {
    await rotate(t1);
    for (const own of [
      { account: "111122223333", name: "another-function" },
      { account: "444455556666", name: "keyturn-prod-model" },
    ])
      await expect(beginNatively(() => client, ports, own)(ref)).rejects.toThrow(
        /by a function that is not Keyturn's/,
      );
  });
});
