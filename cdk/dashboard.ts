import { Duration } from "aws-cdk-lib";
import {
  Dashboard,
  GraphWidget,
  type IWidget,
  LogQueryVisualizationType,
  LogQueryWidget,
  MathExpression,
  SingleValueWidget,
} from "aws-cdk-lib/aws-cloudwatch";
import type { Construct } from "constructs";
import type { Fabric } from "./fabric.ts";
import { type KeyturnFunction, memoryMegabytes } from "./make-function.ts";
import type { Telling } from "./telling.ts";
import type { WatchedQueue } from "./watched-queue.ts";

interface Shown {
  readonly fabric: Fabric;
  readonly telling: Telling;
  readonly functions: readonly KeyturnFunction[];
  readonly queues: readonly WatchedQueue[];
  readonly secrets: number;
}

/** US dollars, by the price list of us-east-1: a GB-second on ARM, an invocation, a read and a write of a table on demand, a secret a month. */
const price = {
  gbSecond: 0.0000133334,
  invocation: 0.0000002,
  read: 0.125e-6,
  write: 0.625e-6,
  secret: 0.4,
} as const;

/** Age, adoption, lag, failures, debts and cost on one page. */
export function addDashboard(scope: Construct, id: string, shown: Shown): Dashboard {
  const dashboard = new Dashboard(scope, id, {
    dashboardName: shown.fabric.names.prefix,
    defaultInterval: Duration.days(7),
  });
  dashboard.addWidgets(...counts(shown));
  dashboard.addWidgets(...times(shown));
  dashboard.addWidgets(...lag(shown));
  dashboard.addWidgets(...debts(shown), cost(shown));
  return dashboard;
}

function counts({ telling }: Shown): readonly IWidget[] {
  const metric = telling.metric.bind(telling);
  return [
    new SingleValueWidget({
      title: "Rotations",
      metrics: [metric("Rotated"), metric("Adopted"), metric("Retired"), metric("Revoked")],
      setPeriodToTimeRange: true,
      width: 12,
    }),
    new GraphWidget({
      title: "Failures",
      left: [metric("Undone"), metric("Halted"), metric("Delayed"), metric("Laggards")],
      width: 12,
    }),
  ];
}

function times({ telling }: Shown): readonly IWidget[] {
  return [
    query(telling, "Age: the oldest first, of those that were rotated in the time shown", [
      'filter detail.type = "dev.keyturn.secret.rotated.v1"',
      "stats latest(time) as rotatedAt by detail.subject as secret",
      "sort rotatedAt asc",
    ]),
    query(telling, "Adoption: seconds from a new version to the last live agent", [
      'filter detail.type in ["dev.keyturn.secret.rotated.v1", "dev.keyturn.secret.adopted.v1"]',
      "stats (max(toMillis(@timestamp)) - min(toMillis(@timestamp))) / 1000 as seconds, count(*) as told by detail.subject as secret, detail.data.version as version",
      "filter told > 1",
      "sort seconds desc",
    ]),
  ];
}

function lag({ functions, queues }: Shown): readonly IWidget[] {
  return [
    new GraphWidget({
      title: "Lag: the oldest message that waits",
      left: queues.map(({ queue }) => queue.metricApproximateAgeOfOldestMessage()),
      width: 12,
    }),
    new GraphWidget({
      title: "Functions: time taken, and failures",
      left: functions.map(({ handler }) => handler.metricDuration({ statistic: "p95" })),
      right: functions.map(({ handler }) => handler.metricErrors()),
      width: 12,
    }),
  ];
}

function debts({ telling }: Shown): readonly IWidget[] {
  return [
    query(telling, "Debts: credentials that should be refused and are not proven to be", [
      'filter detail.data.outcome = "delayed"',
      "stats latest(time) as told, latest(detail.data.reason) as reason by detail.subject as secret",
      "sort told desc",
    ]),
  ];
}

/** What is used, times the price list; requests to other services are cents beside it. */
function cost({ fabric, functions, secrets }: Shown): IWidget {
  const hour = Duration.hours(1);
  const sums = functions.flatMap(({ handler }, index) => [
    [`d${index}`, handler.metricDuration({ statistic: "sum", period: hour })] as const,
    [`i${index}`, handler.metricInvocations({ period: hour })] as const,
  ]);
  const total = (letter: string) => functions.map((_, index) => `FILL(${letter}${index},0)`).join("+");
  const gigabytes = memoryMegabytes / 1_024;
  const lambda = new MathExpression({
    label: "Lambda, USD",
    expression: `(${total("d")})/1000*${gigabytes}*${decimal(price.gbSecond)}+(${total("i")})*${decimal(price.invocation)}`,
    usingMetrics: Object.fromEntries(sums),
    period: hour,
  });
  const table = new MathExpression({
    label: "DynamoDB, USD",
    expression: `r*${decimal(price.read)}+w*${decimal(price.write)}`,
    usingMetrics: {
      r: fabric.table.metricConsumedReadCapacityUnits({ period: hour }),
      w: fabric.table.metricConsumedWriteCapacityUnits({ period: hour }),
    },
    period: hour,
  });
  const title = `Cost an hour (and ${(secrets * price.secret).toFixed(2)} USD a month for ${secrets} secrets)`;
  return new GraphWidget({ title, left: [lambda, table], width: 12 });
}

/** CloudWatch takes the `e` of a small number for a name. */
function decimal(value: number): string {
  return value.toFixed(12);
}

function query({ events }: Telling, title: string, queryLines: string[]): IWidget {
  return new LogQueryWidget({
    title,
    logGroupNames: [events.logGroupName],
    view: LogQueryVisualizationType.TABLE,
    queryLines,
    width: 12,
  });
}
