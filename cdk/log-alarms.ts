import { Duration } from "aws-cdk-lib";
import type { Metric } from "aws-cdk-lib/aws-cloudwatch";
import { FilterPattern, MetricFilter } from "aws-cdk-lib/aws-logs";
import type { Construct } from "constructs";
import { didNotBegin } from "../core/reconcile.ts";
import { logLines } from "../functions/log-lines.ts";
import type { Fabric } from "./fabric.ts";
import type { KeyturnFunction } from "./make-function.ts";

export function namespaceOf({ names }: Fabric): string {
  return `Keyturn/${names.installation}`;
}

/**
 * Counts the lines of a function's log that have these words. Lambda writes the time, the request and a level before each line, so that CloudWatch takes none
 * for JSON: a pattern that asks for a field would match nothing.
 */
function count(fabric: Fabric, made: KeyturnFunction, metricName: string, words: string): Metric {
  const filter = new MetricFilter(made, metricName, {
    logGroup: made.log,
    metricNamespace: namespaceOf(fabric),
    metricName: `${metricName}-${made.name}`,
    metricValue: "1",
    defaultValue: 0,
    filterPattern: FilterPattern.literal(`"${words}"`),
  });
  return filter.metric({ statistic: "sum", period: Duration.minutes(5) });
}

/** What is mended by itself, or by whoever has begun it, is over by then: three of the last six hours' spans of five minutes. */
const overAndOver = { threshold: 1, periods: 72, breaching: 3 } as const;

/** What never begins has no events: that Secrets Manager was asked in vain stands in the log of the function alone. So does what it asks for in vain. */
export function alarmRotating(scope: Construct, fabric: Fabric, rotating: KeyturnFunction): void {
  const { functionName } = rotating.handler;
  fabric.alarms.add(scope, "DoesNotBegin", {
    metric: count(fabric, rotating, "NotBegun", didNotBegin),
    threshold: 1,
    periods: 3,
    description: `a rotation that is due has not begun for a quarter of an hour: the log of ${functionName} says which, and why`,
  });
  fabric.alarms.add(scope, "StepsFail", {
    metric: count(fabric, rotating, "StepsNotDone", logLines.stepNotDone),
    ...overAndOver,
    description: `steps that Secrets Manager asks for fail again and again, whoever has begun the rotation: the log of ${functionName} says why, and what to do`,
  });
}

/** Where Secrets Manager cannot even call the function, CloudTrail says so, and the log of who hears it. */
export function alarmRevoking(
  scope: Construct,
  fabric: Fabric,
  revoke: KeyturnFunction,
  hasWebhook: boolean,
): void {
  const { functionName } = revoke.handler;
  fabric.alarms.add(scope, "RotationsFail", {
    metric: count(fabric, revoke, "RotationsFailed", logLines.rotationFailed),
    ...overAndOver,
    description: `rotations that Secrets Manager drives fail again and again, by CloudTrail: the log of ${functionName} says of which secrets, and RotationFailed in CloudTrail why`,
  });
  if (!hasWebhook) return;
  fabric.alarms.add(scope, "WebhookFails", {
    metric: count(fabric, revoke, "WebhooksNotTaken", logLines.webhookNotTaken),
    threshold: 1,
    description: `what GitHub delivered could not be taken: the log of ${functionName} says why; mend it, and deliver it again in GitHub`,
  });
}

export function alarmTick(scope: Construct, fabric: Fabric, tick: KeyturnFunction): void {
  fabric.alarms.add(scope, "AuditIsParted", {
    metric: count(fabric, tick, "AuditParted", logLines.auditParted),
    threshold: 1,
    description: "the audit is not what was signed: run keyturn audit verify",
  });
}
