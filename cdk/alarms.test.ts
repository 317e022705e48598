import { readFileSync } from "node:fs";
import { join } from "node:path";
import { EventBridgeClient } from "@aws-sdk/client-eventbridge";
import { Template } from "aws-cdk-lib/assertions";
import { beforeAll, describe, expect, it, vi } from "vitest";
import type { RotationEvent } from "../core/events.ts";
import { enrolSchedules, request } from "../core/operate.ts";
import { reconcile } from "../core/reconcile.ts";
import { every } from "../core/schedule.ts";
import { openEventBus } from "../functions/event-bus.ts";
import { takeWebhook } from "../functions/github-webhook.ts";
import { takeIncidents } from "../functions/incidents.ts";
import { log } from "../functions/log.ts";
import { RotationTokens, rotateNatively } from "../functions/native-rotation.ts";
import { Tick } from "../functions/tick.ts";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { counts } from "./filter-pattern.contract.ts";
import { stackOf } from "./sample-plan.contract.ts";

interface Measured {
  readonly MetricName: string;
  readonly Namespace: string;
  readonly Dimensions?: readonly { readonly Value: unknown }[];
}

let template: Template;
let filters: readonly {
  readonly metric: string;
  readonly namespace: string;
  readonly pattern: string;
  readonly log: string;
}[];

beforeAll(() => {
  template = Template.fromStack(stackOf({ webhook: { secret: "ops/github" } }).stack);
  const logs = template.findResources("AWS::Logs::LogGroup");
  filters = Object.values(template.findResources("AWS::Logs::MetricFilter")).map(({ Properties }) => {
    const [{ MetricName, MetricNamespace, MetricValue, DefaultValue }, ...more] =
      Properties.MetricTransformations;
    expect([MetricValue, DefaultValue, more]).toEqual(["1", 0, []]);
    return {
      metric: MetricName,
      namespace: MetricNamespace,
      pattern: Properties.FilterPattern,
      log: logs[Properties.LogGroupName.Ref]?.Properties.LogGroupName,
    };
  });
}, 120_000);

/** Whose number it is: the name of a function or of a queue, as it is deployed. */
function whose(dimensions: Measured["Dimensions"] = []): string {
  const named: unknown[] = dimensions.map(({ Value }) => {
    const { Ref, "Fn::GetAtt": [queue] = [] } = Object(Value);
    const { FunctionName, QueueName } = Object(template.toJSON().Resources[Ref ?? queue].Properties);
    return FunctionName ?? QueueName;
  });
  return named.join().replaceAll("keyturn-prod-", "");
}

const [late, dead] = ["ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"];
const perType = ["aws-iam-access-key", "postgres-alternating", "postgres-password"].flatMap((type) => [
  `AWS/SQS ${dead} of ${type}-work-dead: Maximum in 60 s >= 1, 1 of 1, missing notBreaching`,
  `AWS/SQS ${late} of ${type}-work: Maximum in 60 s >= 900, 1 of 1, missing notBreaching`,
  `AWS/Lambda Errors of ${type}: Sum in 300 s >= 5, 1 of 1, missing notBreaching`,
  `Keyturn/prod NotBegun-${type}: Sum in 300 s >= 1, 3 of 3, missing notBreaching`,
  `Keyturn/prod StepsNotDone-${type}: Sum in 300 s >= 1, 3 of 72, missing notBreaching`,
]);

const expected = [
  ...perType,
  `AWS/SQS ${dead} of undelivered: Maximum in 60 s >= 1, 1 of 1, missing notBreaching`,
  `AWS/SQS ${dead} of incidents-dead: Maximum in 60 s >= 1, 1 of 1, missing notBreaching`,
  `AWS/SQS ${late} of incidents: Maximum in 60 s >= 60, 1 of 1, missing notBreaching`,
  `AWS/SQS ${dead} of reports-dead: Maximum in 60 s >= 1, 1 of 1, missing notBreaching`,
  `AWS/SQS ${late} of reports: Maximum in 60 s >= 300, 1 of 1, missing notBreaching`,
  "AWS/Lambda Errors of enrol: Sum in 300 s >= 5, 1 of 1, missing notBreaching",
  "AWS/Lambda Errors of revoke: Sum in 300 s >= 5, 1 of 1, missing notBreaching",
  "AWS/Lambda Errors of schedule: Sum in 300 s >= 3, 1 of 1, missing notBreaching",
  "AWS/Lambda Invocations of schedule: Sum in 300 s < 1, 1 of 1, missing breaching",
  "Keyturn/prod Halted: Sum in 300 s >= 1, 1 of 1, missing notBreaching",
  "Keyturn/prod Delayed: Sum in 300 s >= 1, 1 of 1, missing notBreaching",
  "Keyturn/prod Laggards: Sum in 300 s >= 1, 1 of 1, missing notBreaching",
  "Keyturn/prod Undone: Sum in 3600 s >= 3, 1 of 1, missing notBreaching",
  "Keyturn/prod RotationsFailed-revoke: Sum in 300 s >= 1, 3 of 72, missing notBreaching",
  "Keyturn/prod WebhooksNotTaken-revoke: Sum in 300 s >= 1, 1 of 1, missing notBreaching",
  "Keyturn/prod AuditParted-schedule: Sum in 300 s >= 1, 1 of 1, missing notBreaching",
];

const operators: Readonly<Record<string, string>> = {
  GreaterThanOrEqualToThreshold: ">=",
  LessThanThreshold: "<",
};

describe("alarms", () => {
  const all = () => Object.values(template.findResources("AWS::CloudWatch::Alarm"));

  it("are these, by what they measure, and no others", () => {
    const told = all().map(({ Properties }) => {
      const [{ MetricStat = undefined } = {}] = Properties.Metrics ?? [];
      const metric: Measured = MetricStat?.Metric ?? Properties;
      const of = whose(metric.Dimensions);
      const measured = `${metric.Namespace} ${metric.MetricName}${of === "" ? "" : ` of ${of}`}`;
      const [stat, period] = [
        MetricStat?.Stat ?? Properties.Statistic,
        MetricStat?.Period ?? Properties.Period,
      ];
      const when = `${stat} in ${period} s ${operators[Properties.ComparisonOperator]} ${Properties.Threshold}`;
      return `${measured}: ${when}, ${Properties.DatapointsToAlarm} of ${Properties.EvaluationPeriods}, missing ${Properties.TreatMissingData}`;
    });
    expect(told.toSorted()).toEqual(expected.toSorted());
  });

  it("all go to the one topic, and say what to do", () => {
    const [topic = ""] = Object.keys(
      template.findResources("AWS::SNS::Topic", { Properties: { TopicName: "keyturn-prod_alarms" } }),
    );
    for (const { Properties } of all()) {
      expect(Properties.AlarmActions).toEqual([{ Ref: topic }]);
      expect(Properties.ActionsEnabled).not.toBe(false);
      expect(JSON.stringify(Properties.AlarmDescription)).toMatch(/"keyturn-prod: .{30,}\."/);
    }
  });

  it("look at no longer than CloudWatch lets them", () => {
    for (const { Properties } of all())
      expect((Properties.Period ?? 3_600) * Properties.EvaluationPeriods).toBeLessThanOrEqual(86_400);
  });

  it("of Keyturn's own numbers are each of one that is counted", () => {
    const names = new Set(filters.map(({ namespace, metric }) => `${namespace} ${metric}`));
    for (const measured of expected.filter((one) => one.startsWith("Keyturn/")))
      expect(names).toContain(measured.split(":")[0]);
  });
});

/** The numbers that a line in that log adds to. */
function countedIn(logName: string, line: string): readonly string[] {
  return filters
    .filter((filter) => filter.log === logName && counts(filter.pattern, line))
    .map(({ metric }) => metric);
}

describe("of the events on the bus, as the log of events has them,", () => {
  const envelope = {
    specversion: "1.0",
    id: "billing/db/7/announce",
    source: "keyturn/prod",
    subject: "billing/db",
    time: "2026-11-21T04:00:00Z",
    datacontenttype: "application/json",
  } as const;
  const failed = (outcome: "undone" | "halted" | "delayed" | "laggards"): RotationEvent => ({
    ...envelope,
    type: "dev.keyturn.rotation.failed.v1",
    // What another says is no reason to count.
    data: { epoch: 7, outcome, code: "unreachable", reason: '"outcome": "halted"' },
  });
  const of = { epoch: 7, version: "v7" };

  const events: readonly (readonly [string, RotationEvent])[] = [
    ["Rotated", { ...envelope, type: "dev.keyturn.secret.rotated.v1", data: { ...of, urgent: false } }],
    ["Adopted", { ...envelope, type: "dev.keyturn.secret.adopted.v1", data: { ...of, agents: 3 } }],
    ["Retired", { ...envelope, type: "dev.keyturn.secret.retired.v1", data: { ...of, sessionsEnded: 1 } }],
    ["Revoked", { ...envelope, type: "dev.keyturn.secret.revoked.v1", data: of }],
    ["Undone", failed("undone")],
    ["Halted", failed("halted")],
    ["Delayed", failed("delayed")],
    ["Laggards", failed("laggards")],
  ];

  it.each(events)("%s is counted once, and nothing else is", async (metric, event) => {
    const lines: string[] = [];
    const client = new EventBridgeClient({
      region: "eu-west-1",
      credentials: { accessKeyId: "none", secretAccessKey: "none" },
    });
    client.middlewareStack.add(
      () =>
        async ({ input }) => {
          // EventBridge writes the whole event that a rule matches, as it is.
          const [{ Source, DetailType, Detail }] = Object(input).Entries;
          const around = { version: "0", id: "1", account: "111122223333", resources: [] };
          const written = { "detail-type": DetailType, source: Source, detail: JSON.parse(Detail) };
          lines.push(JSON.stringify({ ...around, ...written }));
          return { output: { $metadata: {}, FailedEntryCount: 0, Entries: [{}] }, response: {} };
        },
      { step: "initialize" },
    );
    await openEventBus({ client, bus: "keyturn-prod" }).publish(event);
    expect(lines.map((line) => countedIn("/keyturn/prod/events", line))).toEqual([[metric]]);
  });
});

describe("of what the functions log", () => {
  /** What CloudWatch has for lines, Lambda having written before each when, for which request and how loud. */
  async function linesOf(work: () => Promise<unknown>): Promise<readonly string[]> {
    const print = vi.spyOn(console, "log").mockReturnValue(undefined);
    try {
      await work().catch(() => undefined);
      return print.mock.calls.map(
        ([line]) => `2026-11-21T04:00:00.000Z\t4f1c0e9e-6f5e-4b8a-9d5c-0123456789ab\tINFO\t${String(line)}`,
      );
    } finally {
      print.mockRestore();
    }
  }

  const counted = (name: string, lines: readonly string[]) =>
    lines.flatMap((line) => countedIn(`/aws/lambda/keyturn-prod-${name}`, line));

  function installed() {
    const memory = memoryPorts(modelTarget().bothLive);
    return { ...memory, ports: { ...memory.ports, log } };
  }

  it("a rotation that is due and does not begin is", async () => {
    const { ports, clock, managed } = installed();
    await request("app/db", ports, { kind: "rotate", by: "test" });
    await reconcile("app/db", ports, { worker: "w" });
    Object.assign(managed.policy, { schedule: every(3_600_000) });
    await enrolSchedules(ports);
    clock.advance(7_200_000);
    const begin = async () => Promise.reject(new Error("refused"));
    const lines = await linesOf(() => reconcile("app/db", ports, { worker: "w", begin }));
    expect(counted("postgres-password", lines)).toEqual(["NotBegun-postgres-password"]);
    expect(counted("schedule", lines)).toEqual([]);
  });

  it.each([
    ["app/db", []],
    ["nobody/knows", ["StepsNotDone-postgres-password"]],
  ])("a step that Secrets Manager asks for of %s is where it is not done", async (SecretId, metrics) => {
    const { ports } = installed();
    await request("app/db", ports, { kind: "rotate", by: "test" });
    await reconcile("app/db", ports, { worker: "w" });
    const native = {
      ports,
      queues: { order: async () => undefined },
      rotationTokens: new RotationTokens(),
      accountOf: () => "111122223333",
      ready: async () => undefined,
    };
    const event = { Step: "createSecret", SecretId, ClientRequestToken: "0".repeat(32) };
    const lines = await linesOf(() => rotateNatively(native, event, 60_000));
    expect(lines.length).toBeGreaterThan(0);
    expect(counted("postgres-password", lines)).toEqual(metrics);
  });

  it.each([
    ["rotation-failed", "app/db", ["RotationsFailed-revoke"]],
    ["rotation-failed-service-event-details", "app/db", ["RotationsFailed-revoke"]],
    ["rotation-failed", "somebody/elses", []],
    ["test-rotation-failed", "app/db", []],
    ["rotation-succeeded", "app/db", []],
    ["secret-label-updated", "app/db", []],
  ])("%s of %s is counted as %j", async (name, ref, metrics) => {
    const text = readFileSync(join(import.meta.dirname, `../integration/events/aws/${name}.json`), "utf8");
    const attributes = {
      ApproximateReceiveCount: "1",
      SentTimestamp: "0",
      SenderId: "",
      ApproximateFirstReceiveTimestamp: "0",
    };
    const from = { eventSource: "aws:sqs", eventSourceARN: "arn", awsRegion: "eu-west-1", md5OfBody: "" };
    const body = text.replaceAll("billing/db", ref);
    const record = { messageId: "1", body, receiptHandle: "1", attributes, messageAttributes: {}, ...from };
    const to = {
      ports: installed().ports,
      work: async () => undefined,
      sessions: { end: async () => undefined },
      github: { read: async () => undefined },
      deadLetters: { put: async () => undefined },
    };
    const lines = await linesOf(() => takeIncidents(to, { Records: [record] }));
    expect(counted("revoke", lines)).toEqual(metrics);
  });

  it.each([
    ["whose signature is wrong", [], async () => []],
    ["that cannot be checked", ["WebhooksNotTaken-revoke"], () => Promise.reject(new Error("no secret"))],
  ] as const)("a webhook %s is counted as %j", async (_, metrics, secrets) => {
    const http = { method: "POST", path: "/", protocol: "HTTP/1.1", sourceIp: "198.51.100.1", userAgent: "" };
    const context = { accountId: "", apiId: "", domainName: "", domainPrefix: "", requestId: "", time: "" };
    const event = {
      version: "2.0",
      routeKey: "$default",
      rawPath: "/",
      rawQueryString: "",
      headers: {},
      isBase64Encoded: false,
      requestContext: { ...context, http, routeKey: "$default", stage: "$default", timeEpoch: 0 },
    };
    const lines = await linesOf(() =>
      takeWebhook({ secrets, enqueue: async () => undefined, log }, { ...event, body: "{}" }),
    );
    expect(lines).toHaveLength(1);
    expect(counted("revoke", lines)).toEqual(metrics);
  });

  it.each([
    [["billing/db"], ["AuditParted-schedule"]],
    [[], []],
  ])("chains of the audit that have parted are: %j", async (parted, metrics) => {
    const tick = new Tick({
      ports: installed().ports,
      queues: { order: async () => undefined },
      hosts: { sweep: async () => [] },
      witness: { sign: async () => ({ root: undefined, isNew: true, parted, accepted: [] }) },
      assertTagged: async () => undefined,
      assertKeysThere: async () => undefined,
    });
    const lines = await linesOf(() => tick.run());
    expect(lines.length).toBeGreaterThan(0);
    expect(counted("schedule", lines)).toEqual(metrics);
  });
});
