import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { KeyturnError } from "../core/errors.ts";
import { answerSoon, clientConfig, translate } from "./aws-calls.ts";
import type { AwsOptions } from "./aws-options.ts";

/** Who this process is: `aws:userid`, the name that IAM vouches for when it speaks. */
export async function whoAmI(options: AwsOptions): Promise<string> {
  const client = new STSClient({ ...clientConfig(options), requestHandler: answerSoon });
  try {
    await assertRegion(client);
    const { UserId } = await client.send(new GetCallerIdentityCommand());
    if (UserId !== undefined && /^[A-Z0-9]+(?::[\w+=,.@-]+)?$/.test(UserId)) return UserId;
    throw new KeyturnError("role-lacks-rights", "STS gives no user id for the identity of this process");
  } catch (thrown) {
    throw translate(thrown, { name: "STS", outage: "unreachable" }, "asking who this process is");
  } finally {
    client.destroy();
  }
}

async function assertRegion(client: STSClient): Promise<void> {
  try {
    await client.config.region();
  } catch {
    throw new KeyturnError("config-invalid", "no region of AWS is given: set `aws.region`, or AWS_REGION");
  }
}
