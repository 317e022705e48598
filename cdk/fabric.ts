import { type Duration, Fn, RemovalPolicy } from "aws-cdk-lib";
import type { Table } from "aws-cdk-lib/aws-dynamodb";
import type { ISecurityGroup, IVpc, SubnetSelection } from "aws-cdk-lib/aws-ec2";
import { EventBus } from "aws-cdk-lib/aws-events";
import type { IKey } from "aws-cdk-lib/aws-kms";
import type { Code } from "aws-cdk-lib/aws-lambda";
import type { RetentionDays } from "aws-cdk-lib/aws-logs";
import type { Bucket } from "aws-cdk-lib/aws-s3";
import type { Secret } from "aws-cdk-lib/aws-secretsmanager";
import type { Queue } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import { Alarms } from "./alarms.ts";
import { takesEvents } from "./deliver.ts";
import { except } from "./exceptions.ts";
import { Keeping } from "./keeping.ts";
import { Keys } from "./keys.ts";
import type { Names } from "./names.ts";
import { deadLetters } from "./watched-queue.ts";

/** Where functions are that have to reach a target. */
export interface Network {
  readonly vpc: IVpc;
  readonly subnets?: SubnetSelection;
  readonly securityGroups?: readonly ISecurityGroup[];
}

export interface FabricProps {
  readonly names: Names;
  readonly code: (bundle: string) => Code;
  readonly network: Network | undefined;
  readonly logRetention: RetentionDays;
  readonly auditRetention: Duration;
  readonly dataKey: IKey | undefined;
  readonly messagesKey: IKey | undefined;
  /** Account → the role in it by which its secrets are reached. */
  readonly roles: Readonly<Record<string, string>>;
}

/** What all functions share: where things are kept, the bus, the keys, and who is told when something is wrong. */
export class Fabric extends Construct {
  readonly names: Names;
  readonly code: (bundle: string) => Code;
  readonly network: Network | undefined;
  readonly logRetention: RetentionDays;
  readonly roles: Readonly<Record<string, string>>;
  readonly keys: Keys;
  readonly alarms: Alarms;
  readonly table: Table;
  readonly bucket: Bucket;
  readonly fingerprints: Secret;
  readonly bus: EventBus;
  /** What no rule could deliver. */
  readonly undelivered: Queue;

  constructor(scope: Construct, id: string, props: FabricProps) {
    super(scope, id);
    const { names, auditRetention } = props;
    this.names = names;
    this.code = props.code;
    this.network = props.network;
    this.logRetention = props.logRetention;
    this.roles = props.roles;
    this.keys = new Keys(this, "Keys", { names, data: props.dataKey, messages: props.messagesKey });
    this.alarms = new Alarms(this, "Alarms", { prefix: names.prefix, key: this.keys.messages });
    const kept = new Keeping(this, "Kept", { names, keys: this.keys, auditRetention });
    this.table = kept.table;
    this.bucket = kept.bucket;
    this.fingerprints = kept.fingerprints;
    const { messages } = this.keys;
    this.undelivered = deadLetters(this, "Undelivered", names.queue("undelivered"), messages, this.alarms);
    takesEvents(this.undelivered);
    except(this.undelivered, {
      id: "AwsSolutions-SQS3",
      reason: "It is the dead-letter queue of the bus, its rules and the schedule.",
    });
    this.bus = new EventBus(this, "Bus", {
      eventBusName: names.prefix,
      description: "What Keyturn tells, and what hosts report",
      kmsKey: messages,
      deadLetterQueue: this.undelivered,
    });
    this.bus.applyRemovalPolicy(RemovalPolicy.DESTROY);
  }

  /** What functions/ports.ts reads. */
  environment(workQueues: string): Readonly<Record<string, string>> {
    const roles = Object.keys(this.roles).length === 0 ? {} : { KEYTURN_ROLES: JSON.stringify(this.roles) };
    return {
      KEYTURN_INSTALLATION: this.names.installation,
      KEYTURN_TABLE: this.table.tableName,
      KEYTURN_BUS: this.bus.eventBusName,
      KEYTURN_AUDIT_BUCKET: this.bucket.bucketName,
      KEYTURN_AUDIT_KEY: this.names.auditAlias,
      KEYTURN_FINGERPRINTS: this.names.fingerprints,
      KEYTURN_WORK_QUEUES: workQueues,
      ...roles,
    };
  }
}

/** What stands before a type in the URL of its work queue: the same for all types. */
export function workQueuePrefix(type: string, queue: Queue): string {
  return Fn.select(0, Fn.split(`${type}-work`, queue.queueUrl));
}
