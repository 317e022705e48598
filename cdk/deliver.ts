import { Stack } from "aws-cdk-lib";
import {
  type CfnRule,
  type EventBus,
  type EventPattern,
  type IRuleTarget,
  Rule,
} from "aws-cdk-lib/aws-events";
import { PolicyStatement, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import type { ITopic } from "aws-cdk-lib/aws-sns";
import type { IQueue } from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";

interface Delivery {
  readonly bus?: EventBus;
  readonly pattern: EventPattern;
  readonly to: string;
  /** What cannot be delivered goes there. */
  readonly undelivered: IQueue;
  readonly description?: string;
}

/** A rule that gives events to a queue, a topic or a log. Who may do so, the receiver says: CDK's own targets let EventBridge use a key for every account. */
export function deliver(
  scope: Construct,
  id: string,
  { bus, pattern, to, undelivered, description }: Delivery,
): Rule {
  const target: IRuleTarget = {
    bind: () => ({ arn: to, deadLetterConfig: deadLetters(undelivered) }),
  };
  return new Rule(scope, id, {
    ...(bus === undefined ? {} : { eventBus: bus }),
    ...(description === undefined ? {} : { description }),
    eventPattern: pattern,
    targets: [target],
  });
}

function deadLetters({ queueArn: arn }: IQueue): CfnRule.DeadLetterConfigProperty {
  return { arn };
}

/** Lets the rules of this account put messages into a queue. */
export function takesEvents(queue: IQueue): void {
  queue.addToResourcePolicy(
    new PolicyStatement({
      sid: "RulesOfThisAccount",
      principals: [new ServicePrincipal("events.amazonaws.com")],
      actions: ["sqs:SendMessage"],
      resources: [queue.queueArn],
      conditions: { StringEquals: { "aws:SourceAccount": Stack.of(queue).account } },
    }),
  );
}

/** Lets alarms of this account publish: a topic whose policy only forbids would take none. */
export function publishesAlarms(topic: ITopic): void {
  topic.addToResourcePolicy(
    new PolicyStatement({
      sid: "AlarmsOfThisAccount",
      principals: [new ServicePrincipal("cloudwatch.amazonaws.com")],
      actions: ["sns:Publish"],
      resources: [topic.topicArn],
      conditions: { StringEquals: { "aws:SourceAccount": Stack.of(topic).account } },
    }),
  );
}

/** Lets EventBridge publish on a topic. It may know no condition there; the topic's key is for this account's rules alone. */
export function publishesEvents(topic: ITopic): void {
  topic.addToResourcePolicy(
    new PolicyStatement({
      sid: "EventBridge",
      principals: [new ServicePrincipal("events.amazonaws.com")],
      actions: ["sns:Publish"],
      resources: [topic.topicArn],
    }),
  );
}
