import { CfnOutput, Duration, Stack } from "aws-cdk-lib";
import { type EventPattern, Match } from "aws-cdk-lib/aws-events";
import { FunctionUrlAuthType, type IFunction } from "aws-cdk-lib/aws-lambda";
import { Construct } from "constructs";
import { deliver, takesEvents } from "./deliver.ts";
import { except } from "./exceptions.ts";
import type { Fabric } from "./fabric.ts";
import { WatchedQueue } from "./watched-queue.ts";

export const revokeTimeout = Duration.seconds(60);

/** What on the account's own bus may be a reason to act. What of it is ours, functions/decode.ts finds out. */
const patterns: Readonly<Record<string, EventPattern>> = {
  LabelUpdated: { source: ["aws.secretsmanager"], detailType: ["Secret Label Updated"] },
  Rotations: {
    source: ["aws.secretsmanager"],
    detailType: ["AWS Service Event via CloudTrail"],
    detail: { eventName: Match.anyOf(Match.prefix("Rotation"), Match.prefix("TestRotation")) },
  },
  // Our own calls stand in CloudTrail too: only what nobody but a person calls is a reason to look.
  Calls: {
    source: ["aws.secretsmanager"],
    detailType: ["AWS API Call via CloudTrail"],
    detail: { eventName: ["CancelRotateSecret"] },
  },
  Health: {
    source: ["aws.health"],
    detailType: ["AWS Health Event"],
    detail: { eventTypeCode: ["AWS_RISK_CREDENTIALS_EXPOSED"] },
  },
  GuardDuty: {
    source: ["aws.guardduty"],
    detailType: ["GuardDuty Finding"],
    detail: { resource: { resourceType: ["AccessKey"] } },
  },
};

/** From what happens in the account to one queue, and from it to the function that answers. */
export class Incidents extends Construct {
  readonly incoming: WatchedQueue;

  constructor(scope: Construct, id: string, fabric: Fabric) {
    super(scope, id);
    const { names, keys, alarms, undelivered } = fabric;
    this.incoming = new WatchedQueue(this, "Incidents", {
      name: names.queue("incidents"),
      key: keys.messages,
      alarms,
      timeout: revokeTimeout,
      // A leaked key is used within a minute.
      patience: Duration.minutes(1),
    });
    takesEvents(this.incoming.queue);
    for (const [rule, pattern] of Object.entries(patterns)) {
      deliver(this, rule, {
        description: `${names.prefix}: ${rule} to whoever answers incidents`,
        pattern,
        to: this.incoming.queue.queueArn,
        undelivered,
      });
    }
  }
}

/** GitHub's secret_scanning_alert: by references of secrets, what its deliveries are checked by and alerts are asked for with. */
export interface Webhook {
  /** What GitHub signs with. */
  readonly secret: string;
  /** The app by which alerts are asked for. Without one, a person is called for each. */
  readonly app?: string;
}

/** An address for webhooks: anybody may call it, and what is not signed with the webhook's secret is refused by the function. */
export function addWebhook(scope: Construct, revoke: IFunction): void {
  const url = revoke.addFunctionUrl({ authType: FunctionUrlAuthType.NONE });
  except(url, {
    id: "AwsSolutions-APIG4",
    reason:
      "GitHub signs each delivery (X-Hub-Signature-256), and the function checks it before it reads anything else.",
  });
  new CfnOutput(Stack.of(scope), "WebhookUrl", {
    value: url.url,
    description: "Where GitHub delivers secret_scanning_alert",
  });
}
