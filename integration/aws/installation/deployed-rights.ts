import {
  GetPolicyCommand,
  GetPolicyVersionCommand,
  GetRolePolicyCommand,
  IAMClient,
  ListAttachedRolePoliciesCommand,
  ListRolePoliciesCommand,
} from "@aws-sdk/client-iam";
import { LambdaClient, paginateListFunctions } from "@aws-sdk/client-lambda";
import {
  DescribeSecretCommand,
  paginateListSecrets,
  ResourceNotFoundException,
  SecretsManagerClient,
} from "@aws-sdk/client-secrets-manager";
import type { SecretArns } from "../asked-rights.ts";
import type { AwsConfig } from "../aws-config.ts";
import { StrictRights } from "../strict-rights.ts";

export interface DeployedRights {
  /** What each function may do, by its name: the policies of its role, as CloudFormation has made them. */
  readonly roles: ReadonlyMap<string, StrictRights>;
  readonly secretArns: SecretArns;
  /** What a secret bears, by its ARN; undefined where rights go by names. */
  readonly tagsOf?: ((arn: string) => Promise<Readonly<Record<string, string>>>) | undefined;
}

export async function deployedRights(aws: AwsConfig, secretsBy: "name" | "tag"): Promise<DeployedRights> {
  const [roles, secretArns] = await Promise.all([rolesOf(aws), arnsOf(aws)]);
  return { roles, secretArns, tagsOf: secretsBy === "tag" ? tagsBy(aws) : undefined };
}

function tagsBy(aws: AwsConfig): NonNullable<DeployedRights["tagsOf"]> {
  const client = new SecretsManagerClient(aws);
  return async (SecretId) => {
    const found = await client.send(new DescribeSecretCommand({ SecretId })).catch((thrown: unknown) => {
      // One that is not there bears nothing.
      if (thrown instanceof ResourceNotFoundException) return undefined;
      throw thrown;
    });
    return Object.fromEntries((found?.Tags ?? []).map(({ Key = "", Value = "" }) => [Key, Value]));
  };
}

async function arnsOf(aws: AwsConfig): Promise<SecretArns> {
  const client = new SecretsManagerClient(aws);
  const arns = new Map<string, string>();
  for await (const { SecretList = [] } of paginateListSecrets({ client }, {}))
    for (const { Name = "", ARN = "" } of SecretList) arns.set(Name, ARN);
  client.destroy();
  return arns;
}

async function rolesOf(aws: AwsConfig): Promise<DeployedRights["roles"]> {
  const lambda = new LambdaClient(aws);
  const iam = new IAMClient(aws);
  const rights = new Map<string, StrictRights>();
  for await (const { Functions = [] } of paginateListFunctions({ client: lambda }, {})) {
    for (const { FunctionName = "", Role = "" } of Functions) {
      const documents = await documentsOf(iam, Role.slice(Role.lastIndexOf("/") + 1));
      rights.set(FunctionName, new StrictRights(documents));
    }
  }
  lambda.destroy();
  iam.destroy();
  return rights;
}

async function documentsOf(iam: IAMClient, RoleName: string): Promise<readonly unknown[]> {
  const { PolicyNames = [] } = await iam.send(new ListRolePoliciesCommand({ RoleName }));
  const { AttachedPolicies = [] } = await iam.send(new ListAttachedRolePoliciesCommand({ RoleName }));
  const inline = PolicyNames.map(async (PolicyName) => {
    const { PolicyDocument } = await iam.send(new GetRolePolicyCommand({ RoleName, PolicyName }));
    return read(PolicyDocument);
  });
  const managed = AttachedPolicies.map(async ({ PolicyArn }) => {
    const { Policy } = await iam.send(new GetPolicyCommand({ PolicyArn }));
    const which = { PolicyArn, VersionId: Policy?.DefaultVersionId };
    const { PolicyVersion } = await iam.send(new GetPolicyVersionCommand(which));
    return read(PolicyVersion?.Document);
  });
  return Promise.all([...inline, ...managed]);
}

function read(document = ""): unknown {
  return JSON.parse(decodeURIComponent(document));
}
