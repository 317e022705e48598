import { App, Duration, Stack, Tags } from "aws-cdk-lib";
import { SecurityGroup, Subnet, Vpc } from "aws-cdk-lib/aws-ec2";
import { Key } from "aws-cdk-lib/aws-kms";
import type { Construct } from "constructs";
import { Keyturn, KeyturnAccount, type KeyturnProps } from "./keyturn.ts";
import { installationTag } from "./names.ts";
import { planOf } from "./plan.ts";

/**
 * The stack of one store of a manifest: `npx cdk deploy -c manifest=keyturn.yaml`. What else can be said by `-c`, docs/aws.md tells; whoever wants more uses the
 * construct in an app of their own.
 */
const app = new App({ context: { "@aws-cdk/core:enablePartitionLiterals": true } });
const plan = planOf(said("manifest") ?? "keyturn.yaml", said("store"));
const { installation, region } = plan;
const other = said("account");
const stack = new Stack(app, `keyturn-${installation}`, {
  description: `Keyturn: rotates the credentials of ${installation}`,
  env: { account: other ?? plan.account, region },
  terminationProtection: said("terminationProtection") !== "false",
});
const { secretKeys = [], ...ownKeys } = keys(stack);
if (other !== undefined) new KeyturnAccount(stack, "Keyturn", { plan, secretKeys });
else new Keyturn(stack, "Keyturn", { plan, ...network(stack), secretKeys, ...ownKeys, ...words() });
Tags.of(stack).add(installationTag, installation);
app.synth();

function said(name: string): string | undefined {
  const value: unknown = app.node.tryGetContext(name);
  return typeof value === "string" ? value : undefined;
}

function list(name: string): readonly string[] {
  return said(name)?.split(",") ?? [];
}

function network(scope: Construct): Partial<KeyturnProps> {
  const vpcId = said("vpc");
  if (vpcId === undefined) return {};
  const subnets = list("subnets").map((id) => Subnet.fromSubnetId(scope, id, id));
  const securityGroups = list("securityGroups").map((id) => SecurityGroup.fromSecurityGroupId(scope, id, id));
  return {
    network: {
      vpc: Vpc.fromLookup(scope, "Vpc", { vpcId }),
      ...(subnets.length === 0 ? {} : { subnets: { subnets } }),
      ...(securityGroups.length === 0 ? {} : { securityGroups }),
    },
    vpcEndpoints: said("vpcEndpoints") === "true",
  };
}

function keys(scope: Construct): Partial<KeyturnProps> {
  const [data, messages] = [said("dataKey"), said("messagesKey")];
  return {
    secretKeys: list("secretKeys").map((arn) => Key.fromKeyArn(scope, arn, arn)),
    ...(data === undefined ? {} : { dataKey: Key.fromKeyArn(scope, "DataKey", data) }),
    ...(messages === undefined ? {} : { messagesKey: Key.fromKeyArn(scope, "MessagesKey", messages) }),
  };
}

function words(): Partial<KeyturnProps> {
  const days = said("auditDays");
  const concurrency = said("reservedConcurrency");
  const [secret, webhookApp] = [said("webhookSecret"), said("webhookApp")];
  return {
    ...(days === undefined ? {} : { auditRetention: Duration.days(Number(days)) }),
    ...(concurrency === undefined
      ? {}
      : { reservedConcurrency: concurrency === "none" ? undefined : Number(concurrency) }),
    ...(secret === undefined
      ? {}
      : { webhook: { secret, ...(webhookApp === undefined ? {} : { app: webhookApp }) } }),
    revocableRoles: list("revocableRoles"),
    nativeRotation: said("nativeRotation") !== "false",
  };
}
