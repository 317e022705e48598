import { type Duration, RemovalPolicy, Stack } from "aws-cdk-lib";
import { AttributeType, BillingMode, ProjectionType, Table, TableEncryption } from "aws-cdk-lib/aws-dynamodb";
import { AnyPrincipal, Effect, PolicyStatement } from "aws-cdk-lib/aws-iam";
import { BlockPublicAccess, Bucket, BucketEncryption, ObjectLockRetention } from "aws-cdk-lib/aws-s3";
import { Secret } from "aws-cdk-lib/aws-secretsmanager";
import { Construct } from "constructs";
import { dueIndex, expiryAttribute } from "../functions/journal-table.ts";
import { except } from "./exceptions.ts";
import type { Keys } from "./keys.ts";
import type { Names } from "./names.ts";

interface KeepingProps {
  readonly names: Names;
  readonly keys: Keys;
  /** How long nobody can take away a line of the audit, whoever asks. */
  readonly auditRetention: Duration;
}

/** What outlives the stack: the journal, the audit, and the keys of the fingerprints. */
export class Keeping extends Construct {
  readonly table: Table;
  readonly bucket: Bucket;
  readonly fingerprints: Secret;

  constructor(scope: Construct, id: string, props: KeepingProps) {
    super(scope, id);
    this.table = this.#table(props);
    this.bucket = this.#bucket(props);
    this.fingerprints = this.#fingerprints(props);
  }

  #table({ names, keys }: KeepingProps): Table {
    const table = new Table(this, "Journal", {
      tableName: names.table,
      partitionKey: { name: "pk", type: AttributeType.STRING },
      sortKey: { name: "sk", type: AttributeType.STRING },
      billingMode: BillingMode.PAY_PER_REQUEST,
      timeToLiveAttribute: expiryAttribute,
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      encryption: TableEncryption.CUSTOMER_MANAGED,
      encryptionKey: keys.data,
      deletionProtection: true,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    table.addGlobalSecondaryIndex({
      indexName: dueIndex,
      partitionKey: { name: "dueShard", type: AttributeType.STRING },
      sortKey: { name: "dueAt", type: AttributeType.NUMBER },
      projectionType: ProjectionType.INCLUDE,
      nonKeyAttributes: ["ref"],
    });
    return table;
  }

  #bucket({ names, keys, auditRetention }: KeepingProps): Bucket {
    const { account, region } = Stack.of(this);
    const bucket = new Bucket(this, "Audit", {
      bucketName: names.bucket(account, region),
      objectLockEnabled: true,
      objectLockDefaultRetention: ObjectLockRetention.compliance(auditRetention),
      versioned: true,
      encryption: BucketEncryption.KMS,
      encryptionKey: keys.data,
      bucketKeyEnabled: true,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    const deny = (sid: string, actions: string[], conditions = {}) =>
      bucket.addToResourcePolicy(
        new PolicyStatement({
          sid,
          effect: Effect.DENY,
          principals: [new AnyPrincipal()],
          actions,
          resources: [bucket.arnForObjects("*")],
          conditions,
        }),
      );
    deny("NothingIsTakenAway", [
      "s3:DeleteObject",
      "s3:DeleteObjectVersion",
      "s3:PutObjectRetention",
      "s3:BypassGovernanceRetention",
    ]);
    deny("NothingIsWrittenOver", ["s3:PutObject"], { Null: { "s3:if-none-match": "true" } });
    except(bucket, {
      id: "AwsSolutions-S1",
      reason:
        "The audit proves itself by its hash chains and signed roots; who read it is told by CloudTrail's data events, where they are wanted.",
    });
    return bucket;
  }

  #fingerprints({ names, keys }: KeepingProps): Secret {
    const secret = new Secret(this, "Fingerprints", {
      secretName: names.fingerprints,
      description:
        "The keys of Keyturn's fingerprints, the newest first; docs/aws.md says how one is changed.",
      encryptionKey: keys.data,
      // 43 letters and digits are the base64 of 32 bytes: a key as functions/fingerprinter.ts reads it.
      generateSecretString: { passwordLength: 43, excludePunctuation: true, includeSpace: false },
      removalPolicy: RemovalPolicy.RETAIN,
    });
    except(secret, {
      id: "AwsSolutions-SMG4",
      reason:
        "A new key goes behind the old ones first, and in front when every function knows it. The old ones stay, or what leaked long ago could not be found any more.",
    });
    return secret;
  }
}
