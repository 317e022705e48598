import {
  CreateAccessKeyCommand,
  CreateRoleCommand,
  CreateUserCommand,
  IAMClient,
  PutUserPolicyCommand,
} from "@aws-sdk/client-iam";
import type { AwsConfig } from "../aws-config.ts";

/** A user, and one that administers it by a key of its own: that key, as a secret holds it. */
export async function makeUser(config: AwsConfig, userName: string): Promise<string> {
  const iam = new IAMClient(config);
  const administrator = `${userName}-administrator`;
  for (const UserName of [userName, administrator]) await iam.send(new CreateUserCommand({ UserName }));
  const allowed = { Version: "2012-10-17", Statement: [{ Effect: "Allow", Action: "*", Resource: "*" }] };
  const PolicyDocument = JSON.stringify(allowed);
  await iam.send(
    new PutUserPolicyCommand({ UserName: administrator, PolicyName: "everything", PolicyDocument }),
  );
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName: administrator }));
  const { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey } = AccessKey ?? {};
  iam.destroy();
  return JSON.stringify({ accessKeyId, secretAccessKey });
}

/** A role that machines of EC2 have. */
export async function makeRole(config: AwsConfig, RoleName: string): Promise<void> {
  const iam = new IAMClient(config);
  const Principal = { Service: "ec2.amazonaws.com" };
  const trust = {
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Principal, Action: "sts:AssumeRole" }],
  };
  await iam.send(new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: JSON.stringify(trust) }));
  iam.destroy();
}
