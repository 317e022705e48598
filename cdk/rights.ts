import { Stack } from "aws-cdk-lib";
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { IKey } from "aws-cdk-lib/aws-kms";
import type { Construct } from "constructs";
import { dueIndex } from "../functions/journal-table.ts";
import type { Fabric } from "./fabric.ts";

/** The ARN of something of this account, in this region. */
export function arnHere(scope: Construct, service: string, resource: string): string {
  const { partition, region, account } = Stack.of(scope);
  return `arn:${partition}:${service}:${region}:${account}:${resource}`;
}

/** What a secret of that name has for an ARN: Secrets Manager puts six characters behind it. */
export function secretArn(scope: Construct, ref: string, account = Stack.of(scope).account): string {
  const { partition, region } = Stack.of(scope);
  return `arn:${partition}:secretsmanager:${region}:${account}:secret:${ref}-??????`;
}

export function allow(
  actions: readonly string[],
  resources: readonly string[],
  conditions: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>> = {},
): PolicyStatement {
  return new PolicyStatement({
    actions: [...actions],
    resources: [...resources],
    conditions: { ...conditions },
  });
}

/** Read and write in the journal, and nothing that scans it or drops it. */
export function journalRights({ table }: Fabric): readonly PolicyStatement[] {
  const actions = [
    "BatchGetItem",
    "ConditionCheckItem",
    "DeleteItem",
    "GetItem",
    "PutItem",
    "Query",
    "UpdateItem",
  ].map((action) => `dynamodb:${action}`);
  return [
    allow(actions, [table.tableArn]),
    allow(["dynamodb:Query"], [`${table.tableArn}/index/${dueIndex}`]),
  ];
}

/** Chains are read and gone on with. Nobody is given the right to delete. */
export function chainRights({ bucket }: Fabric): readonly PolicyStatement[] {
  return [
    allow(["s3:GetObject", "s3:PutObject"], [bucket.arnForObjects("chains/*")]),
    allow(["s3:ListBucket"], [bucket.bucketArn], { StringLike: { "s3:prefix": ["chains/*"] } }),
  ];
}

/** What whoever signs the roots needs: all chains to read, the list to go on with, and the key. */
export function rootRights(fabric: Fabric): readonly PolicyStatement[] {
  const { bucket, names } = fabric;
  const keys = arnHere(fabric, "kms", "key/*");
  const aliases = arnHere(fabric, "kms", `${names.auditAlias}*`);
  return [
    allow(["s3:GetObject"], [bucket.arnForObjects("chains/*"), bucket.arnForObjects("roots/*")]),
    allow(["s3:PutObject"], [bucket.arnForObjects("roots/*")]),
    allow(["s3:ListBucket"], [bucket.bucketArn], { StringLike: { "s3:prefix": ["chains/*", "roots/*"] } }),
    // The key is known by its alias only, for it is not the stack's: it is made once, of the one kind that signs as the audit's format says.
    allow(["kms:DescribeKey", "kms:GetPublicKey", "kms:Sign"], [keys], {
      "ForAnyValue:StringLike": { "kms:ResourceAliases": `${names.auditAlias}*` },
    }),
    allow(["kms:CreateKey"], ["*"], {
      StringEquals: { "kms:KeySpec": "ECC_NIST_EDWARDS25519", "kms:KeyUsage": "SIGN_VERIFY" },
    }),
    allow(["kms:CreateAlias"], [aliases]),
    allow(["kms:CreateAlias", "kms:GetPublicKey"], [keys], {
      StringEquals: { "kms:KeySpec": "ECC_NIST_EDWARDS25519" },
    }),
  ];
}

/** Events of Keyturn's own; nobody who may do this can speak for a host. */
export function publishRights({ bus }: Fabric): readonly PolicyStatement[] {
  return [
    allow(["events:PutEvents"], [bus.eventBusArn], { StringEquals: { "events:source": "dev.keyturn" } }),
  ];
}

/** To know a value by its fingerprint. */
export function fingerprintRights(fabric: Fabric): readonly PolicyStatement[] {
  const { keys, fingerprints } = fabric;
  const { region } = Stack.of(fabric);
  return [
    allow(["secretsmanager:GetSecretValue"], [fingerprints.secretArn]),
    allow(["kms:Decrypt"], [keys.data.keyArn], {
      StringEquals: { "kms:ViaService": `secretsmanager.${region}.amazonaws.com` },
    }),
  ];
}

/** The keys of what is kept, each by way of the service that keeps it. */
export function keptRights(fabric: Fabric): readonly PolicyStatement[] {
  const { keys } = fabric;
  const { region } = Stack.of(fabric);
  const services = ["dynamodb", "s3"].map((service) => `${service}.${region}.amazonaws.com`);
  return [
    allow(["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"], [keys.data.keyArn], {
      StringEquals: { "kms:ViaService": services },
    }),
  ];
}

/** Messages into queues of ours. */
export function sendRights(fabric: Fabric, queueArns: readonly string[]): readonly PolicyStatement[] {
  const { region } = Stack.of(fabric);
  return [
    allow(["sqs:SendMessage"], queueArns),
    allow(["kms:Decrypt", "kms:GenerateDataKey"], [fabric.keys.messages.keyArn], {
      StringEquals: { "kms:ViaService": `sqs.${region}.amazonaws.com` },
    }),
  ];
}

/** The keys by which the secrets themselves are encrypted, for these secrets. */
export function secretKeyRights(
  scope: Construct,
  keys: readonly IKey[],
  actions: readonly string[],
): readonly PolicyStatement[] {
  if (keys.length === 0) return [];
  const { region } = Stack.of(scope);
  return [
    allow(
      actions,
      keys.map(({ keyArn }) => keyArn),
      {
        StringEquals: { "kms:ViaService": `secretsmanager.${region}.amazonaws.com` },
      },
    ),
  ];
}
