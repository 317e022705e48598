import {
  DescribeSecretCommand,
  GetSecretValueCommand,
  RotateSecretCommand,
  SecretsManagerClient,
} from "@aws-sdk/client-secrets-manager";
import { expect, inject, test } from "vitest";
import { deploy, destroy } from "../cdk.ts";

const aws = inject("localstack");
const app = {
  command: "node integration/aws/stack/cdk-app.ts",
  stack: "Smallest",
  context: { marker: "one two" },
};
const manager = new SecretsManagerClient(aws);
const SecretId = "smallest";

test("the CDK's own command deploys a function that then rotates, and destroys it", async () => {
  const outputs = await deploy(aws, app);
  expect(outputs).toEqual({
    Marker: "one two",
    RotatorArn: expect.stringContaining(":function:Smallest-"),
  });
  // On AWS the stack's schedule has rotated it once by now.
  expect((await manager.send(new DescribeSecretCommand({ SecretId }))).RotationEnabled).toBeUndefined();
  const RotationLambdaARN = outputs.RotatorArn;
  await manager.send(new RotateSecretCommand({ SecretId, RotationLambdaARN }));
  expect(await manager.send(new GetSecretValueCommand({ SecretId }))).toMatchObject({ SecretString: "next" });

  await destroy(aws, app);
  await expect(manager.send(new GetSecretValueCommand({ SecretId }))).rejects.toMatchObject({
    name: "ResourceNotFoundException",
  });
}, 240_000);

test("a stack that cannot be deployed says why", async () => {
  const broken = { ...app, command: "node -e 'throw new Error(`no such app`)'" };
  await expect(deploy(aws, broken)).rejects.toThrow("no such app");
}, 240_000);
