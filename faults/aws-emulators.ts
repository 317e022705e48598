import { randomBytes } from "node:crypto";
import { CreateSecretCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { awsConfig } from "../integration/aws/aws-config.ts";
import { startDynamodbLocal } from "../integration/aws/dynamodb-local.ts";
import { startLocalstack } from "../integration/aws/localstack.ts";
import { StrictServer } from "../integration/aws/strict-secrets-manager/server.ts";
import { StrictSecretsManager } from "../integration/aws/strict-secrets-manager/service.ts";

interface Emulators {
  readonly endpoints: Readonly<Record<"secrets" | "table" | "others", string>>;
  stop(): Promise<void>;
}

/** What plays AWS, with the keys of the fingerprints in a secret of this name. */
export async function startEmulators(fingerprintKeys: string): Promise<Emulators> {
  const secrets = await new StrictServer(new StrictSecretsManager()).start();
  const [table, others] = await Promise.all([startDynamodbLocal(), startLocalstack()]);
  const client = new SecretsManagerClient(awsConfig(secrets.endpoint));
  const SecretString = randomBytes(32).toString("base64");
  await client.send(new CreateSecretCommand({ Name: fingerprintKeys, SecretString }));
  client.destroy();
  return {
    endpoints: { secrets: secrets.endpoint, table: table.endpoint, others: others.endpoint },
    stop: async () => {
      await others[Symbol.asyncDispose]();
      await table[Symbol.asyncDispose]();
      await secrets.stop();
    },
  };
}
