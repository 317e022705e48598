import { randomUUID } from "node:crypto";
import { EventBridgeClient, PutRuleCommand, PutTargetsCommand } from "@aws-sdk/client-eventbridge";
import { CreateKeyCommand, KMSClient } from "@aws-sdk/client-kms";
import {
  CreateSecretCommand,
  DescribeSecretCommand,
  GetSecretValueCommand,
  PutSecretValueCommand,
  RotateSecretCommand,
  SecretsManagerClient,
} from "@aws-sdk/client-secrets-manager";
import { beforeAll, describe, expect, inject, test } from "vitest";
import { awsConfig } from "../aws-config.ts";
import { createFunction, logOf } from "./functions.ts";
import { createQueue, receive } from "./queues.ts";
import { rotatingFunction } from "./rotating-function.ts";

/** What LocalStack does otherwise than AWS, and docs/aws-emulators.md tells. When one of these fails, it has learned it. */
const aws = inject("localstack");
const manager = new SecretsManagerClient(aws);
let SecretId = "";
let rotator = "";

async function valueAt(VersionId: string): Promise<string | undefined> {
  return (await manager.send(new GetSecretValueCommand({ SecretId, VersionId }))).SecretString;
}

describe("Secrets Manager", () => {
  beforeAll(async () => {
    rotator = await createFunction("deviating", rotatingFunction());
  });

  const made = async () => {
    SecretId = `deviations/${randomUUID()}`;
    await manager.send(new CreateSecretCommand({ Name: SecretId, SecretString: "first" }));
  };

  test("takes another value for the token of a pending version; of any other it refuses it, as AWS does", async () => {
    await made();
    const put = (ClientRequestToken: string, stage: string, SecretString: string) =>
      manager.send(
        new PutSecretValueCommand({ SecretId, ClientRequestToken, SecretString, VersionStages: [stage] }),
      );
    const [pending, other] = [randomUUID(), randomUUID()];
    await put(pending, "AWSPENDING", "one");
    await put(pending, "AWSPENDING", "two");
    expect(await valueAt(pending)).toBe("two");
    await put(other, "other", "one");
    await expect(put(other, "other", "two")).rejects.toMatchObject({ name: "ResourceExistsException" });
  });

  test("takes AWSPENDING from a version that gets its value by another label, of which AWS says nothing", async () => {
    await made();
    const ClientRequestToken = randomUUID();
    const put = (label: string) =>
      manager.send(
        new PutSecretValueCommand({
          SecretId,
          ClientRequestToken,
          SecretString: "one",
          VersionStages: [label],
        }),
      );
    await put("AWSPENDING");
    await put("ours");
    const { VersionIdsToStages = {} } = await manager.send(new DescribeSecretCommand({ SecretId }));
    expect(VersionIdsToStages[ClientRequestToken]).toEqual(["ours"]);
  });

  test("answers that it rotated although a step failed", async () => {
    await made();
    const failing = await createFunction("deviating-failing", rotatingFunction("testSecret"));
    const { VersionId = "" } = await manager.send(
      new RotateSecretCommand({ SecretId, RotationLambdaARN: failing }),
    );
    const { VersionIdsToStages = {} } = await manager.send(new DescribeSecretCommand({ SecretId }));
    expect(VersionIdsToStages[VersionId]).toEqual(["AWSPENDING"]);
  });

  test("tells the function the name where AWS tells the ARN", async () => {
    await made();
    await manager.send(new RotateSecretCommand({ SecretId, RotationLambdaARN: rotator }));
    await expect
      .poll(() => logOf("deviating"), { timeout: 15_000 })
      .toContainEqual(expect.stringMatching(`^step .* ${SecretId}$`));
  });

  test("has no rotation that begins later, and so no TestRotation", async () => {
    await made();
    const later = new RotateSecretCommand({ SecretId, RotationLambdaARN: rotator, RotateImmediately: false });
    await expect(new SecretsManagerClient({ ...aws, maxAttempts: 1 }).send(later)).rejects.toMatchObject({
      name: "InternalError",
    });
  });

  test("sends no events", async () => {
    const bridge = new EventBridgeClient(aws);
    const queue = await createQueue("deviations-events");
    const EventPattern = JSON.stringify({ source: ["aws.secretsmanager"] });
    await bridge.send(new PutRuleCommand({ Name: "deviations", EventPattern }));
    await bridge.send(
      new PutTargetsCommand({ Rule: "deviations", Targets: [{ Id: "queue", Arn: queue.arn }] }),
    );
    await made();
    await manager.send(new RotateSecretCommand({ SecretId, RotationLambdaARN: rotator }));
    expect(await receive(queue, 3)).toBeUndefined();
  });

  test("lets everybody in", async () => {
    await made();
    const nobody = awsConfig(aws.endpoint, { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "wrong" });
    const { SecretString } = await new SecretsManagerClient(nobody).send(
      new GetSecretValueCommand({ SecretId }),
    );
    expect(SecretString).toBe("first");
  });
});

test("KMS has no Ed25519", async () => {
  const create = new CreateKeyCommand({ KeySpec: "ECC_NIST_EDWARDS25519", KeyUsage: "SIGN_VERIFY" });
  await expect(new KMSClient(aws).send(create)).rejects.toMatchObject({ name: "ValidationException" });
});
