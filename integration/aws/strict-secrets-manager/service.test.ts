import {
  BatchGetSecretValueCommand,
  CancelRotateSecretCommand,
  CreateSecretCommand,
  DeleteSecretCommand,
  DescribeSecretCommand,
  GetSecretValueCommand,
  ListSecretsCommand,
  ListSecretVersionIdsCommand,
  PutSecretValueCommand,
  ReplicateSecretToRegionsCommand,
  RestoreSecretCommand,
  RotateSecretCommand,
  type SecretsManagerClient,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateSecretVersionStageCommand,
} from "@aws-sdk/client-secrets-manager";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { RotationEvent } from "./held.ts";
import { idOf, type StrictWorld, strictWorld } from "./world.ts";

const SecretId = "team/db";
const rotator = "arn:aws:lambda:eu-west-1:111122223333:function:rotate";
const [v1, v2, v3] = ["v1", "v2", "v3"].map(idOf) as [string, string, string];

let world: StrictWorld;
let client: SecretsManagerClient;
beforeEach(async () => {
  world = await strictWorld();
  client = world.client();
});
afterEach(() => world[Symbol.asyncDispose]());

const create = (SecretString?: string) =>
  client.send(new CreateSecretCommand({ Name: SecretId, ClientRequestToken: v1, SecretString }));
const put = (ClientRequestToken: string, SecretString: string, ...VersionStages: readonly string[]) =>
  client.send(
    new PutSecretValueCommand({
      SecretId,
      ClientRequestToken,
      SecretString,
      ...(VersionStages.length > 0 && { VersionStages: [...VersionStages] }),
    }),
  );
const move = (VersionStage: string, MoveToVersionId?: string, RemoveFromVersionId?: string) =>
  client.send(
    new UpdateSecretVersionStageCommand({ SecretId, VersionStage, MoveToVersionId, RemoveFromVersionId }),
  );
const get = (which: { VersionId?: string; VersionStage?: string } = {}) =>
  client.send(new GetSecretValueCommand({ SecretId, ...which }));
const stages = async () => (await client.send(new DescribeSecretCommand({ SecretId }))).VersionIdsToStages;
const refused = (name: string) => ({ name, $fault: "client" });

describe("a value", () => {
  test("is put under its token once: the same again does nothing, another one is refused", async () => {
    await create("one");
    await put(v2, "two", "AWSPENDING");
    const again = await put(v2, "two", "other");
    expect(again.VersionStages).toEqual(["AWSPENDING"]);
    await expect(put(v2, "three", "AWSPENDING")).rejects.toMatchObject(refused("ResourceExistsException"));
    expect((await get({ VersionId: v2 })).SecretString).toBe("two");
  });

  test("becomes current where no label is named, and where it is the secret's first one, whatever is named", async () => {
    await create();
    await put(v1, "one", "mine");
    expect(await stages()).toEqual({ [v1]: ["mine", "AWSCURRENT"] });
    await put(v2, "two");
    expect(await stages()).toEqual({ [v1]: ["mine", "AWSPREVIOUS"], [v2]: ["AWSCURRENT"] });
  });

  test("takes its labels away from whoever has them", async () => {
    await create("one");
    await put(v2, "two", "AWSPENDING", "keep");
    await put(v3, "three", "AWSPENDING");
    expect(await stages()).toEqual({ [v1]: ["AWSCURRENT"], [v2]: ["keep"], [v3]: ["AWSPENDING"] });
  });

  test("comes back with its labels, its version and its time; the binary one as bytes", async () => {
    await create("one");
    await client.send(
      new PutSecretValueCommand({ SecretId, ClientRequestToken: v2, SecretBinary: Buffer.from([0, 255]) }),
    );
    expect(await get({ VersionStage: "AWSPREVIOUS" })).toMatchObject({
      Name: SecretId,
      VersionId: v1,
      SecretString: "one",
      VersionStages: ["AWSPREVIOUS"],
      CreatedDate: expect.any(Date),
    });
    const binary = await get();
    expect([...(binary.SecretBinary ?? [])]).toEqual([0, 255]);
    expect(binary.SecretString).toBeUndefined();
  });

  test.each([
    ["a version that is not there", { VersionId: v3 }],
    ["a label that is nowhere", { VersionStage: "AWSPENDING" }],
  ])("of %s is not found", async (_, which) => {
    await create("one");
    await expect(get(which)).rejects.toMatchObject(refused("ResourceNotFoundException"));
  });

  test.each([
    ["a token of 31 characters", () => put("x".repeat(31), "one")],
    ["a token of 65 characters", () => put("x".repeat(65), "one")],
    ["a value of 65,537 characters", () => put(v2, "x".repeat(65_537))],
    ["no value", () => client.send(new PutSecretValueCommand({ SecretId, ClientRequestToken: v2 }))],
    ["21 labels", () => put(v2, "one", ...Array.from({ length: 21 }, (_, index) => `label ${index}`))],
    ["a label of 257 characters", () => put(v2, "one", "x".repeat(257))],
  ])("with %s is refused, and the answer does not show it", async (_, call) => {
    await create("one");
    await expect(call()).rejects.toMatchObject(refused("InvalidParameterException"));
    expect(await stages()).toEqual({ [v1]: ["AWSCURRENT"] });
  });
});

describe("a label", () => {
  beforeEach(async () => {
    await create("one");
    await put(v2, "two", "AWSPENDING");
    await put(v3, "three", "other");
  });

  test("moves only from where it is said to be", async () => {
    await expect(move("AWSPENDING", v3)).rejects.toMatchObject(refused("InvalidParameterException"));
    await expect(move("AWSPENDING", v3, v1)).rejects.toMatchObject(refused("InvalidParameterException"));
    await move("AWSPENDING", v3, v2);
    expect(await stages()).toEqual({
      [v1]: ["AWSCURRENT"],
      [v3]: expect.arrayContaining(["AWSPENDING", "other"]),
    });
  });

  test("that is nowhere is not taken from anywhere, and goes to whom it is given", async () => {
    await expect(move("new", v2, v1)).rejects.toMatchObject(refused("InvalidParameterException"));
    await move("new", v2);
    await move("new", v2);
    await expect(move("new", v1)).rejects.toMatchObject(refused("InvalidParameterException"));
    await expect(move("new", idOf("nobody"), v2)).rejects.toMatchObject(refused("ResourceNotFoundException"));
  });

  test("AWSCURRENT leaves AWSPREVIOUS where it was, and can only be moved", async () => {
    await expect(move("AWSCURRENT", v2)).rejects.toMatchObject(refused("InvalidParameterException"));
    await expect(move("AWSCURRENT", undefined, v1)).rejects.toMatchObject(
      refused("InvalidParameterException"),
    );
    await move("AWSCURRENT", v2, v1);
    expect(await stages()).toMatchObject({
      [v1]: ["AWSPREVIOUS"],
      [v2]: expect.arrayContaining(["AWSPENDING", "AWSCURRENT"]),
    });
  });

  test("is one of twenty at most, on all versions together", async () => {
    for (let index = 0; index < 17; index += 1) await move(`label ${index}`, index % 2 === 0 ? v1 : v3);
    await expect(move("one more", v2)).rejects.toMatchObject(refused("LimitExceededException"));
    await expect(put(idOf("v4"), "four", "one more")).rejects.toMatchObject(
      refused("LimitExceededException"),
    );
    await move("label 3", undefined, v3);
    await move("one more", v2);
  });

  test("that was the last one takes its version along, at once or never", async () => {
    await move("other", undefined, v3);
    await expect(get({ VersionId: v3 })).rejects.toMatchObject(refused("ResourceNotFoundException"));

    await using lax = await strictWorld({ vanish: "later" });
    client = lax.client();
    await create("one");
    await put(v3, "three", "other");
    await move("other", undefined, v3);
    expect((await get({ VersionId: v3 })).SecretString).toBe("three");
    expect(await stages()).toEqual({ [v1]: ["AWSCURRENT"] });
    const listed = async (IncludeDeprecated: boolean) =>
      (await client.send(new ListSecretVersionIdsCommand({ SecretId, IncludeDeprecated }))).Versions?.map(
        ({ VersionId }) => VersionId,
      );
    expect(await listed(false)).toEqual([v1]);
    expect(await listed(true)).toEqual([v1, v3]);
  });
});

describe("a rotation", () => {
  const rotate = (token: string, more: { RotateImmediately?: boolean } = {}) =>
    client.send(
      new RotateSecretCommand({ SecretId, ClientRequestToken: token, RotationLambdaARN: rotator, ...more }),
    );

  test("calls the four steps with an empty AWSPENDING, and takes the value with its token", async () => {
    await create("one");
    const events: RotationEvent[] = [];
    world.service.functions.set(rotator, async (event) => {
      events.push(event);
      const { ClientRequestToken, RotationToken, Step } = event;
      if (Step === "createSecret") {
        await expect(get({ VersionStage: "AWSPENDING" })).rejects.toMatchObject(
          refused("ResourceNotFoundException"),
        );
        const value = { SecretId, ClientRequestToken, SecretString: "two", VersionStages: ["pin"] };
        const forged = new PutSecretValueCommand({ ...value, RotationToken: idOf("forged") });
        await expect(client.send(forged)).rejects.toMatchObject(refused("InvalidRequestException"));
        const told = await client.send(new PutSecretValueCommand({ ...value, RotationToken }));
        expect(told.VersionStages).toEqual(["AWSPENDING", "pin"]);
      }
      if (Step === "finishSecret") await move("AWSCURRENT", ClientRequestToken, v1);
    });
    const told = await rotate(v2);
    expect(told.VersionId).toBe(v2);
    await world.service.settled();
    expect(events.map(({ Step }) => Step)).toEqual([
      "createSecret",
      "setSecret",
      "testSecret",
      "finishSecret",
    ]);
    expect(events.every(({ SecretId: id }) => id.startsWith("arn:aws:secretsmanager:eu-west-1:"))).toBe(true);
    expect(await stages()).toMatchObject({
      [v1]: ["AWSPREVIOUS"],
      [v2]: ["AWSCURRENT", "AWSPENDING", "pin"],
    });
    // AWSPENDING beside AWSCURRENT is in nobody's way.
    world.service.functions.set(rotator, async () => undefined);
    await rotate(v3);
  });

  test("that fails leaves AWSPENDING, and no other begins until it is taken away", async () => {
    await create("one");
    world.service.functions.set(rotator, () => Promise.reject(new Error("the step failed")));
    await rotate(v2);
    await world.service.settled();
    await expect(rotate(v3)).rejects.toMatchObject(refused("InvalidRequestException"));
    await rotate(v2);
    await world.service.settled();
    await move("AWSPENDING", undefined, v2);
    await rotate(v3);
  });

  test("that is only tried calls testSecret, and leaves nothing", async () => {
    await create("one");
    const steps: string[] = [];
    world.service.functions.set(rotator, async ({ Step }) => steps.push(Step));
    await rotate(v2, { RotateImmediately: false });
    await world.service.settled();
    expect(steps).toEqual(["testSecret"]);
    expect(await stages()).toEqual({ [v1]: ["AWSCURRENT"] });
  });

  test("that is cancelled calls no further step, and leaves AWSPENDING", async () => {
    await create("one");
    const steps: string[] = [];
    world.service.functions.set(rotator, async ({ Step }) => {
      steps.push(Step);
      await client.send(new CancelRotateSecretCommand({ SecretId }));
    });
    await rotate(v2);
    await world.service.settled();
    expect(steps).toEqual(["createSecret"]);
    expect(await stages()).toEqual({ [v1]: ["AWSCURRENT"], [v2]: ["AWSPENDING"] });
    const told = await client.send(new DescribeSecretCommand({ SecretId }));
    expect(told).toMatchObject({ RotationEnabled: false, RotationLambdaARN: rotator });
  });

  test("without a function is refused", async () => {
    await create("one");
    await expect(rotate(v2)).rejects.toMatchObject(refused("InvalidRequestException"));
  });
});

describe("a secret", () => {
  test("that waits for its deletion is described and restored, and nothing else", async () => {
    await create("one");
    await client.send(new DeleteSecretCommand({ SecretId, RecoveryWindowInDays: 7 }));
    for (const call of [() => get(), () => put(v2, "two"), () => move("x", v1), () => create("one")]) {
      await expect(call()).rejects.toMatchObject(refused("InvalidRequestException"));
    }
    expect((await client.send(new DescribeSecretCommand({ SecretId }))).DeletedDate).toBeInstanceOf(Date);
    expect((await client.send(new ListSecretsCommand({}))).SecretList).toEqual([]);
    await client.send(new RestoreSecretCommand({ SecretId }));
    expect((await get()).SecretString).toBe("one");
    await client.send(new DeleteSecretCommand({ SecretId, ForceDeleteWithoutRecovery: true }));
    await expect(stages()).rejects.toMatchObject(refused("ResourceNotFoundException"));
  });

  test("is made once: the same again does nothing, another one of its name is refused", async () => {
    const { ARN } = await create("one");
    expect((await create("one")).ARN).toBe(ARN);
    await expect(create("two")).rejects.toMatchObject(refused("ResourceExistsException"));
    expect((await client.send(new GetSecretValueCommand({ SecretId: ARN }))).SecretString).toBe("one");
  });

  test("that a service owns is changed by that service", async () => {
    await create("one");
    world.service.find("eu-west-1", SecretId).owningService = "rds";
    expect((await client.send(new DescribeSecretCommand({ SecretId }))).OwningService).toBe("rds");
    await expect(put(v2, "two")).rejects.toMatchObject(refused("InvalidRequestException"));
    expect((await get()).SecretString).toBe("one");
  });

  test("is read in every region that has a copy, and written where it was made", async () => {
    await create("one");
    await client.send(
      new ReplicateSecretToRegionsCommand({ SecretId, AddReplicaRegions: [{ Region: "us-east-1" }] }),
    );
    await expect(client.send(new DeleteSecretCommand({ SecretId }))).rejects.toMatchObject(
      refused("InvalidRequestException"),
    );
    client = world.client("us-east-1");
    expect((await get()).SecretString).toBe("one");
    expect(await client.send(new DescribeSecretCommand({ SecretId }))).toMatchObject({
      ARN: expect.stringContaining(":us-east-1:"),
      PrimaryRegion: "eu-west-1",
    });
    await expect(put(v2, "two")).rejects.toMatchObject(refused("InvalidRequestException"));
    client = world.client("ap-south-1");
    await expect(get()).rejects.toMatchObject(refused("ResourceNotFoundException"));
  });

  test("is found by the beginning of its name, page by page", async () => {
    for (const Name of ["b/2", "a/1", "b/1", "B/1"]) await client.send(new CreateSecretCommand({ Name }));
    const Filters = [{ Key: "name" as const, Values: ["b/"] }];
    const first = await client.send(new ListSecretsCommand({ Filters, MaxResults: 1, SortOrder: "asc" }));
    const { NextToken } = first;
    const second = await client.send(
      new ListSecretsCommand({ Filters, MaxResults: 1, SortOrder: "asc", NextToken }),
    );
    expect([first, second].flatMap(({ SecretList = [] }) => SecretList.map(({ Name }) => Name))).toEqual([
      "b/2",
      "b/1",
    ]);
    expect(second.NextToken).toBeUndefined();
    await expect(client.send(new ListSecretsCommand({ NextToken: "x" }))).rejects.toMatchObject(
      refused("InvalidNextTokenException"),
    );
  });

  test("is read with nineteen others in one call, and what cannot be read is named", async () => {
    await create("one");
    const SecretIdList = [SecretId, "not/there"];
    const { SecretValues, Errors } = await client.send(new BatchGetSecretValueCommand({ SecretIdList }));
    expect(SecretValues).toMatchObject([{ Name: SecretId, SecretString: "one" }]);
    expect(Errors).toMatchObject([{ SecretId: "not/there", ErrorCode: "ResourceNotFoundException" }]);
    const tooMany = Array.from({ length: 21 }, (_, index) => `secret/${index}`);
    await expect(
      client.send(new BatchGetSecretValueCommand({ SecretIdList: tooMany })),
    ).rejects.toMatchObject(refused("InvalidParameterException"));
  });

  test("has tags that are set and taken away", async () => {
    await create("one");
    await client.send(
      new TagResourceCommand({
        SecretId,
        Tags: [
          { Key: "a", Value: "1" },
          { Key: "b", Value: "2" },
        ],
      }),
    );
    await client.send(new UntagResourceCommand({ SecretId, TagKeys: ["a"] }));
    expect((await client.send(new DescribeSecretCommand({ SecretId }))).Tags).toEqual([
      { Key: "b", Value: "2" },
    ]);
  });

  test.each([
    ["denied", "AccessDeniedException", "AccessDeniedException"],
    ["disabled", "DecryptionFailure", "EncryptionFailure"],
  ] as const)("whose key is %s is neither read nor written", async (state, reading, writing) => {
    await client.send(
      new CreateSecretCommand({ Name: SecretId, SecretString: "one", KmsKeyId: "alias/team" }),
    );
    world.service.kms.set("alias/team", state);
    await expect(get()).rejects.toMatchObject(refused(reading));
    await expect(put(v2, "two")).rejects.toMatchObject(refused(writing));
    await stages();
  });
});

describe("the wire", () => {
  test("repeats what got no answer, and what failed on the other side", async () => {
    await create("one");
    world.server.befall("PutSecretValue", "reply lost", 1);
    world.server.befall("GetSecretValue", { error: "InternalServiceError", status: 500 }, 2);
    await put(v2, "two", "AWSPENDING");
    expect((await get()).SecretString).toBe("one");
    expect(world.server.counts()).toEqual({ CreateSecret: 1, PutSecretValue: 2, GetSecretValue: 3 });
  });

  test("gives up on what never answers", async () => {
    await create("one");
    world.server.befall("GetSecretValue", "black hole");
    const begun = performance.now();
    await expect(get()).rejects.toMatchObject({ name: "TimeoutError" });
    expect(performance.now() - begun).toBeLessThan(15_000);
  });
});
