import { Duration, RemovalPolicy } from "aws-cdk-lib";
import type { IKey } from "aws-cdk-lib/aws-kms";
import { Queue, QueueEncryption } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import type { Alarms } from "./alarms.ts";

interface WatchedQueueProps {
  readonly name: string;
  readonly key: IKey;
  readonly alarms: Alarms;
  /** The longest that whoever takes a message works on it. */
  readonly timeout: Duration;
  /** How old the oldest message may become before a person should look. */
  readonly patience: Duration;
}

/** Tries before a message is put aside. */
const triesMax = 5;

/** A queue whose messages are not lost when they cannot be worked on: they are put aside, and a person is told. */
export class WatchedQueue extends Construct {
  readonly queue: Queue;
  readonly dead: Queue;

  constructor(scope: Construct, id: string, props: WatchedQueueProps) {
    super(scope, id);
    const { name, key, alarms, timeout, patience } = props;
    this.dead = deadLetters(this, "Dead", `${name}-dead`, key, alarms);
    this.queue = new Queue(this, "Queue", {
      queueName: name,
      // Six times, as Lambda advises: a batch that was throttled comes back while nobody else has it.
      visibilityTimeout: Duration.seconds(6 * timeout.toSeconds()),
      retentionPeriod: Duration.days(4),
      deadLetterQueue: { queue: this.dead, maxReceiveCount: triesMax },
      encryption: QueueEncryption.KMS,
      encryptionMasterKey: key,
      enforceSSL: true,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    alarms.add(this, "Late", {
      metric: this.queue.metricApproximateAgeOfOldestMessage({
        period: Duration.minutes(1),
        statistic: "max",
      }),
      threshold: patience.toSeconds(),
      description: `What waits in ${name} is not worked on: look at the log of its function, and whether it is throttled`,
    });
  }
}

/** Where messages go that nobody could work on. They stay for two weeks, and one of them is enough for an alarm. */
export function deadLetters(scope: Construct, id: string, name: string, key: IKey, alarms: Alarms): Queue {
  const dead = new Queue(scope, id, {
    queueName: name,
    retentionPeriod: Duration.days(14),
    encryption: QueueEncryption.KMS,
    encryptionMasterKey: key,
    enforceSSL: true,
    removalPolicy: RemovalPolicy.DESTROY,
  });
  alarms.add(scope, `${id}Letters`, {
    metric: dead.metricApproximateNumberOfMessagesVisible({ period: Duration.minutes(1), statistic: "max" }),
    threshold: 1,
    description: `${name} has messages that could not be worked on: read why, mend it, and send them back (start-message-move-task)`,
  });
  return dead;
}
