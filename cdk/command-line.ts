import { type App, Duration, Stack, Tags } from "aws-cdk-lib";
import { type ISubnet, type IVpc, SecurityGroup, Subnet, Vpc } from "aws-cdk-lib/aws-ec2";
import { Key } from "aws-cdk-lib/aws-kms";
import type { Construct } from "constructs";
import { KeyturnError } from "../core/errors.ts";
import { Keyturn, KeyturnAccount, type KeyturnProps } from "./keyturn.ts";
import { installationTag } from "./names.ts";
import { planOf } from "./plan.ts";

/** Adds the stack that was asked for by `-c`: an installation, or the role by which it reaches another account. */
export function addInstallation(app: App, code?: NonNullable<KeyturnProps["code"]>): Stack {
  const said = new Said(app);
  const plan = planOf(said.word("manifest") ?? "keyturn.yaml", said.word("store"));
  const { installation, region } = plan;
  const other = said.word("account");
  const stack = new Stack(app, `keyturn-${installation}`, {
    description: `Keyturn: rotates the credentials of ${installation}`,
    env: { account: other ?? plan.account, region },
    terminationProtection: said.word("terminationProtection") !== "false",
  });
  const { secretKeys = [], ...ownKeys } = said.keys(stack);
  if (other !== undefined) new KeyturnAccount(stack, "Keyturn", { plan, secretKeys });
  else {
    new Keyturn(stack, "Keyturn", {
      plan,
      ...said.network(stack),
      secretKeys,
      ...ownKeys,
      ...said.more(),
      ...(code === undefined ? {} : { code }),
    });
  }
  Tags.of(stack).add(installationTag, installation);
  return stack;
}

/** What stands after `-c`, as the construct wants it. */
class Said {
  readonly #app: App;

  constructor(app: App) {
    this.#app = app;
  }

  word(name: string): string | undefined {
    const value: unknown = this.#app.node.tryGetContext(name);
    return typeof value === "string" ? value : undefined;
  }

  network(scope: Construct): Partial<KeyturnProps> {
    const vpcId = this.word("vpc");
    if (vpcId === undefined) return {};
    const vpc = Vpc.fromLookup(scope, "Vpc", { vpcId });
    const subnets = this.#list("subnets").map((id) => subnetOf(scope, vpc, vpcId, id));
    const securityGroups = this.#list("securityGroups").map((id) =>
      SecurityGroup.fromSecurityGroupId(scope, id, id),
    );
    return {
      network: {
        vpc,
        ...(subnets.length === 0 ? {} : { subnets: { subnets } }),
        ...(securityGroups.length === 0 ? {} : { securityGroups }),
      },
      vpcEndpoints: this.word("vpcEndpoints") === "true",
    };
  }

  keys(scope: Construct): Partial<KeyturnProps> {
    const [data, messages] = [this.word("dataKey"), this.word("messagesKey")];
    return {
      secretKeys: this.#list("secretKeys").map((arn) => Key.fromKeyArn(scope, arn, arn)),
      ...(data === undefined ? {} : { dataKey: Key.fromKeyArn(scope, "DataKey", data) }),
      ...(messages === undefined ? {} : { messagesKey: Key.fromKeyArn(scope, "MessagesKey", messages) }),
    };
  }

  more(): Partial<KeyturnProps> {
    const days = this.#number("auditDays");
    const concurrency =
      this.word("reservedConcurrency") === "none" ? "none" : this.#number("reservedConcurrency");
    const [secret, webhookApp] = [this.word("webhookSecret"), this.word("webhookApp")];
    return {
      ...(days === undefined ? {} : { auditRetention: Duration.days(days) }),
      ...(concurrency === undefined
        ? {}
        : { reservedConcurrency: concurrency === "none" ? undefined : concurrency }),
      ...(secret === undefined
        ? {}
        : { webhook: { secret, ...(webhookApp === undefined ? {} : { app: webhookApp }) } }),
      revocableRoles: this.#list("revocableRoles"),
      nativeRotation: this.word("nativeRotation") !== "false",
    };
  }

  #list(name: string): readonly string[] {
    return this.word(name)?.split(",") ?? [];
  }

  #number(name: string): number | undefined {
    const text = this.word(name);
    if (text === undefined || /^[1-9]\d*$/.test(text)) return text === undefined ? undefined : Number(text);
    throw new KeyturnError("config-invalid", `-c ${name}=${text}: a whole number is wanted, 1 or more`);
  }
}

/**
 * One of the network's, with its route table: the ways to DynamoDB and S3 are written into that. Until the CDK has looked the network up it is another one,
 * which has none of these, and what is made of it is thrown away.
 */
function subnetOf(scope: Construct, vpc: IVpc, vpcId: string, id: string): ISubnet {
  const known = [...vpc.privateSubnets, ...vpc.isolatedSubnets, ...vpc.publicSubnets];
  const found = known.find(({ subnetId }) => subnetId === id);
  if (found !== undefined) return found;
  if (vpc.vpcId === vpcId) throw new KeyturnError("config-invalid", `-c subnets: ${id} is not in ${vpcId}`);
  return Subnet.fromSubnetAttributes(scope, id, { subnetId: id, routeTableId: "not-known-yet" });
}
