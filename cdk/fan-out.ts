import { Duration } from "aws-cdk-lib";
import { Match } from "aws-cdk-lib/aws-events";
import { ManagedPolicy, type PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { IKey } from "aws-cdk-lib/aws-kms";
import { Topic } from "aws-cdk-lib/aws-sns";
import { Construct } from "constructs";
import { hostSource, hostSourcePrefix } from "../core/host-messages.ts";
import type { Rotator } from "../core/rotator.ts";
import { deliver, publishesEvents, takesEvents } from "./deliver.ts";
import { except } from "./exceptions.ts";
import type { Fabric } from "./fabric.ts";
import { patternsFor } from "./patterns.ts";
import { byFleet, type PlannedSecret } from "./plan.ts";
import { allow, arnHere, secretArn, secretKeyRights } from "./rights.ts";
import { pack } from "./secret-rights.ts";
import { WatchedQueue } from "./watched-queue.ts";

interface FanOutProps {
  readonly fabric: Fabric;
  readonly secrets: readonly PlannedSecret[];
  readonly rotators: ReadonlyMap<string, Rotator>;
  readonly secretKeys: readonly IKey[];
}

/** What IAM puts there: the id of a role and the name of a session, or the id of a user. */
const whoAsks = `$\{aws:userid}`;

export const enrolTimeout = Duration.seconds(30);

/** From the bus to the hosts: a topic for each fleet; and back: one queue of what hosts report. */
export class FanOut extends Construct {
  readonly topics: ReadonlyMap<string, Topic>;
  /** What whoever runs agents attaches to their roles. */
  readonly agentPolicies: ReadonlyMap<string, readonly ManagedPolicy[]>;
  readonly reports: WatchedQueue;

  constructor(scope: Construct, id: string, { fabric, secrets, rotators, secretKeys }: FanOutProps) {
    super(scope, id);
    const { names, keys, alarms } = fabric;
    this.reports = new WatchedQueue(this, "Reports", {
      name: names.queue("reports"),
      key: keys.messages,
      alarms,
      timeout: enrolTimeout,
      patience: Duration.minutes(5),
    });
    takesEvents(this.reports.queue);
    deliver(this, "ReportsRule", {
      bus: fabric.bus,
      pattern: { source: Match.prefix(hostSourcePrefix) },
      to: this.reports.queue.queueArn,
      undelivered: fabric.undelivered,
    });
    const fleets = [...byFleet(secrets)];
    this.topics = new Map(fleets.map(([fleet, its]) => [fleet, this.#topic(fabric, fleet, its)]));
    this.agentPolicies = new Map(
      fleets.map(([fleet, its]) => [fleet, this.#agents(fabric, fleet, its, rotators, secretKeys)]),
    );
  }

  #topic(fabric: Fabric, fleet: string, secrets: readonly PlannedSecret[]): Topic {
    const { names, keys } = fabric;
    const topic = new Topic(this, `Topic-${fleet}`, {
      topicName: names.fleet(fleet),
      masterKey: keys.messages,
      enforceSSL: true,
    });
    publishesEvents(topic);
    const patterns = patternsFor(secrets.map(({ ref }) => ref).toSorted(), (subject) => ({
      source: ["dev.keyturn"],
      ...(subject === undefined ? {} : { detail: { subject: [...subject] } }),
    }));
    for (const [index, pattern] of patterns.entries()) {
      deliver(this, `Rule-${fleet}-${index + 1}`, {
        bus: fabric.bus,
        pattern,
        to: topic.topicArn,
        undelivered: fabric.undelivered,
      });
    }
    return topic;
  }

  #agents(
    fabric: Fabric,
    fleet: string,
    secrets: readonly PlannedSecret[],
    rotators: ReadonlyMap<string, Rotator>,
    secretKeys: readonly IKey[],
  ): readonly ManagedPolicy[] {
    const { names } = fabric;
    const cutover = secrets.filter(({ type }) => rotators.get(type)?.overlap === "cutover");
    const bothLive = secrets.filter((secret) => !cutover.includes(secret));
    const queues = arnHere(this, "sqs", `${names.fleet(fleet)}-*`);
    const statements: PolicyStatement[] = [
      ...reading(this, bothLive, ["AWSCURRENT"]),
      // Where the target has one password only, readers try the next one, too, while it changes.
      ...reading(this, cutover, ["AWSCURRENT", "AWSPENDING"]),
      ...secretKeyRights(this, secretKeys, ["kms:Decrypt"]),
      // A report says in its source whose it is, and IAM sees to it that nobody speaks for another one.
      allow(["events:PutEvents"], [fabric.bus.eventBusArn], {
        StringEquals: { "events:source": hostSource(fleet, whoAsks) },
      }),
      allow(["sqs:GetQueueUrl"], [queues]),
      allow(["sqs:DeleteMessage", "sqs:ReceiveMessage"], [queues], {
        StringEquals: { "aws:ResourceTag/keyturn:principal": whoAsks },
      }),
    ];
    return pack(this, statements).map((some, index) => {
      const suffix = index === 0 ? "" : `-${index + 1}`;
      const policy = new ManagedPolicy(this, `Agents-${fleet}${suffix}`, {
        managedPolicyName: `${names.agentPolicy(fleet)}${suffix}`,
        description: `What an agent of the fleet ${fleet} may do: read its secrets, report, and hear what is new`,
        statements: [...some],
      });
      except(policy, {
        id: "AwsSolutions-IAM5",
        reason:
          "AWS chooses the last six characters of a secret's ARN, and a host's queue is named by a hash of who it is: the tag with its principal says which one is its own.",
      });
      return policy;
    });
  }
}

function reading(
  scope: Construct,
  secrets: readonly PlannedSecret[],
  stages: readonly string[],
): readonly PolicyStatement[] {
  if (secrets.length === 0) return [];
  return [
    allow(["secretsmanager:GetSecretValue"], secrets.map(({ ref }) => secretArn(scope, ref)).toSorted(), {
      "ForAnyValue:StringEquals": { "secretsmanager:VersionStage": [...stages] },
    }),
  ];
}
