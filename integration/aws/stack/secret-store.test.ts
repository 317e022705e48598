import {
  CreateSecretCommand,
  DescribeSecretCommand,
  ListSecretVersionIdsCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
  UpdateSecretVersionStageCommand,
} from "@aws-sdk/client-secrets-manager";
import { expect, inject, test } from "vitest";
import { describeSecretStore } from "../../../core/secret-store.contract.ts";
import { callLimits } from "../../../functions/call-limits.ts";
import { awsSecretStore } from "../../../functions/secret-store.ts";
import { systemClock } from "../../../local/clock.ts";
import { idOf } from "../strict-secrets-manager/world.ts";

const aws = inject("localstack");

/** Each test has names of its own in the one LocalStack. */
let run = 0;

describeSecretStore(
  "Secrets Manager of LocalStack",
  async () => {
    run += 1;
    const client = new SecretsManagerClient({ ...callLimits, ...aws });
    const create = { tags: { "keyturn:test": "secret-store" } };
    return {
      store: awsSecretStore({ client, clock: systemClock, log: () => undefined, create }),
      close: async () => client.destroy(),
    };
  },
  {
    naming: { ref: (name) => `store-${run}/${name.replaceAll("%", "+")}`, version: idOf },
    createdAtSlackMs: 2_000,
    createdAtStepMs: 1_100,
    refusesLateMoves: false,
  },
);

/** What the suite above spares LocalStack, for AWS says otherwise: `secret-store.test.ts` in functions/ holds the store to it. When LocalStack has mended it, this fails. */
test("LocalStack moves a label that somebody else has, and tells times by the second", async () => {
  const client = new SecretsManagerClient(aws);
  const SecretId = "store-deviations/db";
  const [v1, v2] = [idOf("v1"), idOf("v2")];
  await client.send(new CreateSecretCommand({ Name: SecretId, ClientRequestToken: v1, SecretString: "one" }));
  const labelled = { SecretId, ClientRequestToken: v2, SecretString: "two", VersionStages: ["theirs"] };
  await client.send(new PutSecretValueCommand(labelled));
  const move = { SecretId, VersionStage: "theirs", MoveToVersionId: v1 };
  await client.send(new UpdateSecretVersionStageCommand(move));
  const { VersionIdsToStages } = await client.send(new DescribeSecretCommand({ SecretId }));
  expect(VersionIdsToStages?.[v1]).toContain("theirs");
  const { Versions = [] } = await client.send(new ListSecretVersionIdsCommand({ SecretId }));
  expect(Versions).toHaveLength(2);
  expect(Versions.every(({ CreatedDate }) => (CreatedDate?.getTime() ?? 1) % 1_000 === 0)).toBe(true);
});
