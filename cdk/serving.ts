import { Duration, Stack } from "aws-cdk-lib";
import type { IKey } from "aws-cdk-lib/aws-kms";
import { Schedule, ScheduleExpression, TimeWindow } from "aws-cdk-lib/aws-scheduler";
import { LambdaInvoke } from "aws-cdk-lib/aws-scheduler-targets";
import type { Construct } from "constructs";
import { except } from "./exceptions.ts";
import type { Fabric } from "./fabric.ts";
import { enrolTimeout, type FanOut } from "./fan-out.ts";
import { addWebhook, type Incidents, revokeTimeout, type Webhook } from "./incidents.ts";
import { alarmRevoking, alarmTick } from "./log-alarms.ts";
import { KeyturnFunction } from "./make-function.ts";
import type { Plan } from "./plan.ts";
import {
  allow,
  arnHere,
  chainRights,
  fingerprintRights,
  journalRights,
  keptRights,
  publishRights,
  rootRights,
  secretArn,
  secretKeyRights,
  sendRights,
} from "./rights.ts";
import type { SecretsBy } from "./secret-rights.ts";
import { attach, readingRights } from "./secret-rights.ts";
import type { WatchedQueue } from "./watched-queue.ts";

interface Serving {
  readonly fabric: Fabric;
  readonly environment: Readonly<Record<string, string>>;
  readonly work: readonly WatchedQueue[];
  readonly fanOut: FanOut;
  readonly incidents: Incidents;
  /** An account whose quota is small has nothing to reserve. */
  readonly isReserving: boolean;
}

const tickTimeout = Duration.seconds(50);

/** What finds what is due, every minute. Two at once harm nothing, and are a waste. */
export function addTick(
  scope: Construct,
  { fabric, environment, work, fanOut, isReserving }: Serving,
  secretsBy: SecretsBy,
): KeyturnFunction {
  const tick = new KeyturnFunction(scope, "Tick", {
    fabric,
    name: "schedule",
    description: "Finds what is due, sweeps the queues of hosts that are gone, signs the audit",
    bundle: "schedule",
    timeout: tickTimeout,
    environment,
    rights: [
      ...journalRights(fabric),
      ...rootRights(fabric),
      ...chainRights(fabric),
      ...publishRights(fabric),
      ...keptRights(fabric),
      ...sendRights(fabric, queueArns(work)),
      ...hostQueueRights(
        fabric,
        fanOut,
        ["sqs:DeleteQueue", "sqs:ListQueueTags"],
        ["sns:Subscribe", "sns:Unsubscribe"],
      ),
      allow(["sqs:ListQueues"], ["*"]),
      // It sees that they are there, and may not read them.
      allow(["secretsmanager:DescribeSecret"], [fabric.fingerprints.secretArn]),
      // It looks for the tags that the rights of others go by: names and tags, and no value.
      ...(secretsBy === "tag" ? [allow(["secretsmanager:ListSecrets"], ["*"])] : []),
    ],
    concurrency: isReserving ? 1 : undefined,
    // It runs five times in five minutes at the most, and not always in the same five as CloudWatch counts.
    failuresMost: 3,
  });
  new Schedule(tick, "Schedule", {
    scheduleName: fabric.names.function("tick"),
    description: "Keyturn looks for what is due",
    schedule: ScheduleExpression.rate(Duration.minutes(1)),
    timeWindow: TimeWindow.off(),
    // The next one comes before a repeated one would.
    target: new LambdaInvoke(tick.handler, {
      retryAttempts: 0,
      maxEventAge: Duration.minutes(1),
      deadLetterQueue: fabric.undelivered,
    }),
  });
  for (const role of Stack.of(tick)
    .node.findAll()
    .filter(({ node }) => /^SchedulerRoleForTarget/.test(node.id))) {
    except(role, {
      id: "AwsSolutions-IAM5",
      reason: "The CDK lets the schedule call every version of the one function that it is for.",
    });
  }
  fabric.alarms.add(tick, "Stands", {
    metric: tick.handler.metricInvocations({ period: Duration.minutes(5) }),
    threshold: 1,
    below: true,
    description: "nothing has looked for what is due for five minutes: see that the schedule is enabled",
  });
  alarmTick(tick, fabric, tick);
  return tick;
}

interface Answering {
  readonly plan: Plan;
  /** Whether a secret is in the stack's own account. */
  readonly isHere: (ref: string) => boolean;
  /** By which those of other accounts are reached. */
  readonly roles: readonly string[];
  readonly secretKeys: readonly IKey[];
  readonly webhook: Webhook | undefined;
  /** The names of the roles whose sessions may be ended. */
  readonly revocableRoles: readonly string[];
}

/** To deny a role what was signed before a moment, by the one policy that AWS has for it. */
function sessionRights(fabric: Fabric, roles: readonly string[]) {
  if (roles.length === 0) return [];
  const { partition, account } = Stack.of(fabric);
  return [
    allow(
      ["iam:GetRolePolicy", "iam:PutRolePolicy"],
      roles.map((role) => `arn:${partition}:iam::${account}:role/${role}`),
    ),
  ];
}

/** What answers incidents. */
export function addRevoking(
  scope: Construct,
  { fabric, environment, work, incidents, isReserving }: Serving,
  { plan, isHere, roles, secretKeys, webhook, revocableRoles }: Answering,
): KeyturnFunction {
  const concurrency = 5;
  const revoke = new KeyturnFunction(scope, "Revoke", {
    fabric,
    name: "revoke",
    description: "Turns incidents into requests",
    bundle: "revoke",
    timeout: revokeTimeout,
    environment: {
      ...environment,
      KEYTURN_DEAD_LETTERS: incidents.incoming.dead.queueUrl,
      KEYTURN_INCIDENTS: incidents.incoming.queue.queueUrl,
      KEYTURN_REVOCABLE_ROLES: revocableRoles.join(","),
      ...(webhook === undefined ? {} : { KEYTURN_GITHUB_WEBHOOK: webhook.secret }),
      ...(webhook?.app === undefined ? {} : { KEYTURN_GITHUB_APP: webhook.app }),
    },
    rights: [
      ...journalRights(fabric),
      ...chainRights(fabric),
      ...publishRights(fabric),
      ...keptRights(fabric),
      ...fingerprintRights(fabric),
      ...sendRights(fabric, [
        ...queueArns(work),
        incidents.incoming.dead.queueArn,
        incidents.incoming.queue.queueArn,
      ]),
      ...sessionRights(fabric, revocableRoles),
      ...secretKeyRights(fabric, secretKeys, ["kms:Decrypt"]),
      ...(roles.length === 0 ? [] : [allow(["sts:AssumeRole"], roles)]),
      ...(webhook === undefined
        ? []
        : [
            allow(
              ["secretsmanager:GetSecretValue"],
              [webhook.secret, ...(webhook.app === undefined ? [] : [webhook.app])].map((ref) =>
                secretArn(fabric, ref),
              ),
            ),
          ]),
    ],
    concurrency: isReserving ? concurrency : undefined,
  });
  // An order names a stage or a version, and the record takes the fingerprint of what that is.
  attach(
    revoke,
    revoke.role,
    `What ${fabric.names.function("revoke")} reads`,
    readingRights(revoke, plan, isHere),
  );
  revoke.takeFrom(incidents.incoming.queue, concurrency);
  alarmRevoking(revoke, fabric, revoke, webhook !== undefined);
  if (webhook !== undefined) addWebhook(revoke, revoke.handler);
  return revoke;
}

/** What enrols hosts and hears their reports. */
export function addEnrolling(
  scope: Construct,
  { fabric, environment, work, fanOut, isReserving }: Serving,
): KeyturnFunction {
  const concurrency = 10;
  const enrol = new KeyturnFunction(scope, "Enrol", {
    fabric,
    name: "enrol",
    description: "Gives hosts their queues, and hears what they report",
    bundle: "enrol",
    timeout: enrolTimeout,
    environment: { ...environment, KEYTURN_DEAD_LETTERS: fanOut.reports.dead.queueUrl },
    rights: [
      ...journalRights(fabric),
      ...keptRights(fabric),
      ...sendRights(fabric, [...queueArns(work), fanOut.reports.dead.queueArn]),
      ...hostQueueRights(
        fabric,
        fanOut,
        [
          "sqs:CreateQueue",
          "sqs:GetQueueAttributes",
          "sqs:GetQueueUrl",
          "sqs:ListQueueTags",
          "sqs:SendMessage",
          "sqs:SetQueueAttributes",
          "sqs:TagQueue",
        ],
        ["sns:Subscribe"],
      ),
    ],
    concurrency: isReserving ? concurrency : undefined,
  });
  // Ten thousand agents beat some two hundred times a second, and a fleet that changes over says so at once: ten of them make one invocation.
  const batch = { batchSize: 10, maxBatchingWindow: Duration.seconds(1) };
  enrol.takeFrom(fanOut.reports.queue, concurrency, batch);
  return enrol;
}

function queueArns(work: readonly WatchedQueue[]): readonly string[] {
  return work.map(({ queue }) => queue.queueArn);
}

/** Queues of hosts, by the names that they have, and the topics of their fleets. */
function hostQueueRights(
  fabric: Fabric,
  fanOut: FanOut,
  onQueues: readonly string[],
  onTopics: readonly string[],
) {
  const fleets = [...fanOut.topics];
  if (fleets.length === 0) return [];
  const queues = fleets.map(([fleet]) => arnHere(fabric, "sqs", `${fabric.names.fleet(fleet)}-*`));
  return [
    allow(onQueues, queues),
    allow(
      onTopics,
      fleets.map(([, topic]) => topic.topicArn),
    ),
  ];
}
