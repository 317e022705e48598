import type { SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { AssumeRoleCommand, STSClient } from "@aws-sdk/client-sts";
import { KeyturnError } from "../core/errors.ts";
import { translateAws } from "./aws-errors.ts";
import { callLimits } from "./call-limits.ts";

export type Credentials = Awaited<ReturnType<SecretsManagerClient["config"]["credentials"]>>;

export interface Taking {
  /** Of the STS that is asked. */
  readonly region: string;
  /** Who takes a role, as CloudTrail of the other account shows it. */
  readonly session: string;
  /** What a person does about a role that is refused. */
  readonly remedy: string;
}

const part = { name: "STS", outage: "store-unavailable" } as const;

/** Its session lasts for an hour, as AWS has it for a role that takes another one. */
export async function assume(role: string, { region, session, remedy }: Taking): Promise<Credentials> {
  const client = new STSClient({ ...callLimits, region });
  try {
    const asked = new AssumeRoleCommand({ RoleArn: role, RoleSessionName: session.slice(0, 64) });
    const { Credentials: given } = await client.send(asked);
    return {
      accessKeyId: given?.AccessKeyId ?? "",
      secretAccessKey: given?.SecretAccessKey ?? "",
      sessionToken: given?.SessionToken ?? "",
      ...(given?.Expiration === undefined ? {} : { expiration: given.Expiration }),
    };
  } catch (thrown) {
    const { code, message } = translateAws(thrown, part, `taking the role ${role}`);
    throw new KeyturnError(code, code === "role-lacks-rights" ? `${message}: ${remedy}` : message);
  } finally {
    client.destroy();
  }
}
