import { Duration, RemovalPolicy, Stack } from "aws-cdk-lib";
import { Metric } from "aws-cdk-lib/aws-cloudwatch";
import { CfnResourcePolicy, FilterPattern, LogGroup, MetricFilter } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { deliver } from "./deliver.ts";
import type { Fabric } from "./fabric.ts";
import { namespaceOf } from "./log-alarms.ts";

/** What becomes a metric of its own, and the events that are counted. */
const counted = {
  Rotated: `{ $.detail.type = "dev.keyturn.secret.rotated.v1" }`,
  Adopted: `{ $.detail.type = "dev.keyturn.secret.adopted.v1" }`,
  Retired: `{ $.detail.type = "dev.keyturn.secret.retired.v1" }`,
  Revoked: `{ $.detail.type = "dev.keyturn.secret.revoked.v1" }`,
  Undone: `{ $.detail.data.outcome = "undone" }`,
  Halted: `{ $.detail.data.outcome = "halted" }`,
  Delayed: `{ $.detail.data.outcome = "delayed" }`,
  Laggards: `{ $.detail.data.outcome = "laggards" }`,
} as const;

/** In an hour. One passes by itself, and the schedule tries again after five minutes, then ten, and so on. */
const undoneMost = 3;

/** Every event of the installation in one log, counted, so that age, adoption, lag, failures and debts can be asked for without asking the journal. */
export class Telling extends Construct {
  readonly events: LogGroup;
  readonly #namespace: string;

  constructor(scope: Construct, id: string, fabric: Fabric) {
    super(scope, id);
    const { names, keys, bus, undelivered, alarms, logRetention } = fabric;
    this.#namespace = namespaceOf(fabric);
    this.events = new LogGroup(this, "Events", {
      logGroupName: names.eventLog,
      retention: logRetention,
      encryptionKey: keys.data,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const { partition, region, account } = Stack.of(this);
    deliver(this, "Rule", {
      bus,
      pattern: { source: ["dev.keyturn"] },
      to: `arn:${partition}:logs:${region}:${account}:log-group:${names.eventLog}`,
      undelivered,
    }).node.addDependency(this.events);
    new CfnResourcePolicy(this, "Policy", {
      policyName: `${names.prefix}-events`,
      policyDocument: Stack.of(this).toJsonString({
        Version: "2012-10-17",
        Statement: [
          {
            Effect: "Allow",
            Principal: { Service: ["events.amazonaws.com", "delivery.logs.amazonaws.com"] },
            Action: ["logs:CreateLogStream", "logs:PutLogEvents"],
            Resource: `${this.events.logGroupArn}`,
            Condition: { StringEquals: { "aws:SourceAccount": account } },
          },
        ],
      }),
    });
    for (const [metricName, pattern] of Object.entries(counted)) {
      new MetricFilter(this, metricName, {
        logGroup: this.events,
        metricNamespace: this.#namespace,
        metricName,
        metricValue: "1",
        defaultValue: 0,
        filterPattern: FilterPattern.literal(pattern),
      });
    }
    alarms.add(this, "IsHalted", {
      metric: this.metric("Halted"),
      threshold: 1,
      description:
        "a rotation has halted and waits for a person: keyturn status says which, docs/runbooks/halted.md what to do",
    });
    alarms.add(this, "IsUndone", {
      metric: this.metric("Undone").with({ period: Duration.hours(1) }),
      threshold: undoneMost,
      description:
        "rotations are taken back again and again, and current stays as it is: keyturn status and the log of events say why",
    });
    alarms.add(this, "IsDelayed", {
      metric: this.metric("Delayed"),
      threshold: 1,
      description: "a credential that should be refused is not proven to be: keyturn debts says which",
    });
    alarms.add(this, "HasLaggards", {
      metric: this.metric("Laggards"),
      threshold: 1,
      description:
        "somebody still uses an old credential at the end of its grace: keyturn status names who, docs/runbooks/stuck.md what to do",
    });
  }

  metric(metricName: keyof typeof counted): Metric {
    return new Metric({
      namespace: this.#namespace,
      metricName,
      statistic: "sum",
      period: Duration.minutes(5),
      label: metricName,
    });
  }
}
