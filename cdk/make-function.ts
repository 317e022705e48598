import { Duration, RemovalPolicy, Stack, Tags } from "aws-cdk-lib";
import { type PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { Architecture, Function as LambdaFunction, Runtime, Tracing } from "aws-cdk-lib/aws-lambda";
import { SqsEventSource } from "aws-cdk-lib/aws-lambda-event-sources";
import { LogGroup } from "aws-cdk-lib/aws-logs";
import type { Queue } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import { except } from "./exceptions.ts";
import type { Fabric } from "./fabric.ts";
import { installationTag, partTag } from "./names.ts";
import { allow } from "./rights.ts";

interface FunctionProps {
  readonly fabric: Fabric;
  /** Its own part of its name. */
  readonly name: string;
  readonly description: string;
  readonly bundle: string;
  readonly timeout: Duration;
  readonly environment: Readonly<Record<string, string>>;
  readonly rights: readonly PolicyStatement[];
  /** How many of it may run at once; undefined: as many as the account lets. */
  readonly concurrency: number | undefined;
  /** Whether it has to reach something in the network of the targets. */
  readonly isInNetwork?: boolean;
  /** From how many failures within five minutes on a person is told. Default: 5. */
  readonly failuresMost?: number;
}

/** A function, its log and the role that is its alone. */
export class KeyturnFunction extends Construct {
  /** Its own part of its name. */
  readonly name: string;
  readonly handler: LambdaFunction;
  readonly role: Role;
  readonly log: LogGroup;
  /** As it will be: whoever names it here does not wait for it. */
  readonly functionArn: string;

  constructor(scope: Construct, id: string, props: FunctionProps) {
    super(scope, id);
    const { fabric, name, rights, concurrency, isInNetwork = false, failuresMost = 5 } = props;
    const functionName = fabric.names.function(name);
    const { partition, region, account } = Stack.of(this);
    this.name = name;
    this.functionArn = `arn:${partition}:lambda:${region}:${account}:function:${functionName}`;
    this.log = new LogGroup(this, "Log", {
      logGroupName: `/aws/lambda/${functionName}`,
      retention: fabric.logRetention,
      encryptionKey: fabric.keys.data,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.role = new Role(this, "Role", {
      assumedBy: new ServicePrincipal("lambda.amazonaws.com"),
      description: `What ${functionName} may do`,
    });
    Tags.of(this.role).add(installationTag, fabric.names.installation);
    Tags.of(this.role).add(partTag, name);
    const network = isInNetwork ? fabric.network : undefined;
    const own = [
      allow(["logs:CreateLogStream", "logs:PutLogEvents"], [this.log.logGroupArn]),
      ...(network === undefined ? [] : [allow(interfaces, ["*"])]),
      ...rights,
    ];
    for (const statement of own) this.role.addToPolicy(statement);
    this.handler = new LambdaFunction(this, "Function", {
      functionName,
      description: props.description,
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      handler: "index.handler",
      code: fabric.code(props.bundle),
      memorySize: memoryMegabytes,
      timeout: props.timeout,
      role: this.role,
      environment: { ...props.environment },
      environmentEncryption: fabric.keys.data,
      tracing: Tracing.ACTIVE,
      logGroup: this.log,
      ...(concurrency === undefined ? {} : { reservedConcurrentExecutions: concurrency }),
      ...(network === undefined
        ? {}
        : {
            vpc: network.vpc,
            ...(network.subnets === undefined ? {} : { vpcSubnets: network.subnets }),
            ...(network.securityGroups === undefined ? {} : { securityGroups: [...network.securityGroups] }),
          }),
    });
    except(this, {
      id: "AwsSolutions-IAM5",
      reason:
        "X-Ray, network interfaces and kms:CreateKey know no resource to name; secrets end in six characters that AWS chooses; the objects of the audit and the queues of hosts come and go; the signing key is known by its alias. Conditions say the rest.",
    });
    fabric.alarms.add(this, "Errors", {
      metric: this.handler.metricErrors({ period: Duration.minutes(5) }),
      threshold: failuresMost,
      description: `${functionName} failed ${failuresMost} times within five minutes: look at its log`,
    });
  }

  /**
   * Lets it work on what is in a queue, a message at a time, or several where so many have come within a moment; one that fails goes back alone.
   */
  takeFrom(
    queue: Queue,
    concurrency: number | undefined,
    batch: { readonly batchSize: number; readonly maxBatchingWindow?: Duration } = { batchSize: 1 },
  ): void {
    // Of what is reserved two remain for those who call it directly. AWS wants at least two for a queue.
    const most = concurrency === undefined ? undefined : Math.max(2, concurrency - 2);
    this.handler.addEventSource(
      new SqsEventSource(queue, {
        ...batch,
        reportBatchItemFailures: true,
        ...(most === undefined ? {} : { maxConcurrency: most }),
      }),
    );
  }
}

export const memoryMegabytes = 512;

const interfaces = [
  "ec2:AssignPrivateIpAddresses",
  "ec2:CreateNetworkInterface",
  "ec2:DeleteNetworkInterface",
  "ec2:DescribeNetworkInterfaces",
  "ec2:DescribeSubnets",
  "ec2:UnassignPrivateIpAddresses",
];
