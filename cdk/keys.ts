import { RemovalPolicy, Stack } from "aws-cdk-lib";
import { PolicyStatement, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { type IKey, Key } from "aws-cdk-lib/aws-kms";
import { Construct } from "constructs";
import type { Names } from "./names.ts";

interface KeysProps {
  readonly names: Names;
  /** Keys from before, when an installation that was destroyed is taken up again. */
  readonly data?: IKey | undefined;
  readonly messages?: IKey | undefined;
}

/**
 * Two keys of the account's own: what is kept (journal, audit, fingerprint keys, logs) and what is under way (events, topics, queues) are not for the same
 * eyes. Both stay when the stack goes: without them nothing that is retained could be read.
 */
export class Keys extends Construct {
  readonly data: IKey;
  readonly messages: IKey;

  constructor(scope: Construct, id: string, { names, data, messages }: KeysProps) {
    super(scope, id);
    this.data = data ?? this.#made("Data", names, "What Keyturn keeps", dataServices);
    this.messages = messages ?? this.#made("Messages", names, "What Keyturn has under way", messageServices);
  }

  #made(id: string, names: Names, description: string, allow: (key: Key) => void): Key {
    const key = new Key(this, id, {
      alias: `${names.prefix}-${id.toLowerCase()}`,
      description: `${description} (${names.prefix})`,
      enableKeyRotation: true,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    allow(key);
    return key;
  }
}

const use = ["kms:Decrypt", "kms:GenerateDataKey*"];

function dataServices(key: Key): void {
  const { region, account, partition } = Stack.of(key);
  key.addToResourcePolicy(
    new PolicyStatement({
      sid: "LogGroupsOfThisAccount",
      principals: [new ServicePrincipal(`logs.${region}.amazonaws.com`)],
      actions: ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"],
      resources: ["*"],
      conditions: {
        ArnLike: {
          "kms:EncryptionContext:aws:logs:arn": `arn:${partition}:logs:${region}:${account}:log-group:*`,
        },
      },
    }),
  );
}

/** Those who put messages into queues and topics that are encrypted, and only for this account. */
function messageServices(key: Key): void {
  const { account } = Stack.of(key);
  for (const service of ["events", "sns", "cloudwatch", "scheduler"]) {
    key.addToResourcePolicy(
      new PolicyStatement({
        sid: `Messages${service[0]?.toUpperCase()}${service.slice(1)}`,
        principals: [new ServicePrincipal(`${service}.amazonaws.com`)],
        actions: service === "events" ? [...use, "kms:DescribeKey"] : use,
        resources: ["*"],
        conditions: { StringEquals: { "aws:SourceAccount": account } },
      }),
    );
  }
}
