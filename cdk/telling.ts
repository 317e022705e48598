import { Duration, RemovalPolicy, Stack } from "aws-cdk-lib";
import { Metric } from "aws-cdk-lib/aws-cloudwatch";
import { CfnResourcePolicy, FilterPattern, LogGroup, MetricFilter } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { didNotBegin } from "../core/reconcile.ts";
import { deliver } from "./deliver.ts";
import type { Fabric } from "./fabric.ts";
import type { KeyturnFunction } from "./make-function.ts";

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

function namespaceOf({ names }: Fabric): string {
  return `Keyturn/${names.installation}`;
}

/** What never begins has no events: that Secrets Manager was asked in vain stands in the log of the function alone. */
export function alarmNotBegun(scope: Construct, fabric: Fabric, rotating: KeyturnFunction): void {
  const { functionName } = rotating.handler;
  const counted = new MetricFilter(scope, "NotBegun", {
    logGroup: rotating.log,
    metricNamespace: namespaceOf(fabric),
    metricName: `NotBegun-${scope.node.id}`,
    metricValue: "1",
    defaultValue: 0,
    filterPattern: FilterPattern.literal(`{ $.message = "*${didNotBegin}" }`),
  });
  fabric.alarms.add(scope, "DoesNotBegin", {
    metric: counted.metric({ statistic: "sum", period: Duration.minutes(5) }),
    threshold: 1,
    periods: 3,
    description: `a rotation that is due has not begun for a quarter of an hour: the log of ${functionName} says which, and why`,
  });
}

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
