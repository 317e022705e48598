import { Aspects } from "aws-cdk-lib";
import { Annotations, Match, Template } from "aws-cdk-lib/assertions";
import { AwsSolutionsChecks } from "cdk-nag";
import { beforeAll, describe, expect, it } from "vitest";
import { expiryAttribute, journalTable } from "../functions/journal-table.ts";
import { stackOf } from "./sample-plan.contract.ts";

interface Resource {
  readonly Type: string;
  readonly Properties: Readonly<Record<string, unknown>>;
  readonly DeletionPolicy?: string;
  readonly DependsOn?: readonly string[];
  readonly Metadata?: { readonly cdk_nag?: { readonly rules_to_suppress: readonly Exception[] } };
}

interface Exception {
  readonly id: string;
  readonly reason: string;
}

let template: Template;
let findings: readonly string[] = [];
let resources: ReadonlyMap<string, Resource>;

/** One synthesis for all of this file: it takes seconds. */
beforeAll(() => {
  const { app, stack } = stackOf({
    webhook: { secret: "ops/github", app: "ops/github-app" },
    revocableRoles: ["worker"],
  });
  Aspects.of(app).add(new AwsSolutionsChecks());
  template = Template.fromStack(stack);
  const said = [
    ...Annotations.fromStack(stack).findError("*", Match.anyValue()),
    ...Annotations.fromStack(stack).findWarning("*", Match.anyValue()),
  ];
  findings = said.map(({ id, entry }) => `${id}: ${String(entry.data)}`);
  resources = new Map(Object.entries(template.toJSON().Resources));
}, 120_000);

function all(type: string): readonly (readonly [string, Resource])[] {
  return [...resources].filter(([, { Type }]) => Type === type);
}

interface Statement {
  readonly Sid?: string;
  readonly Effect: string;
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** Every statement of the roles and policies whose logical id matches. */
function statements(id: RegExp): readonly Statement[] {
  return [...all("AWS::IAM::Policy"), ...all("AWS::IAM::ManagedPolicy")]
    .filter(([name]) => id.test(name))
    .flatMap(([, { Properties }]) => {
      const { PolicyDocument }: { readonly PolicyDocument?: { readonly Statement: readonly Statement[] } } =
        Properties;
      return PolicyDocument?.Statement ?? [];
    });
}

function actionsOf(found: readonly Statement[]): readonly string[] {
  return [...new Set(found.flatMap(({ Action }) => Action))].toSorted();
}

/** Every right of these services, whatever the actions: `iam:PutUserPolicy on …`, without those that begin with what is left out. */
function rightsOn(service: string, found: readonly Statement[], leftOut = /^$/): readonly string[] {
  const rights = found.flatMap(({ Action, Resource }) =>
    [Action].flat().flatMap((action) => [Resource].flat().map((resource) => ({ action, resource }))),
  );
  return rights
    .filter(({ action }) => action.startsWith(`${service}:`) || action === "*")
    .filter(({ action }) => !leftOut.test(action))
    .map(({ action, resource }) => `${action} on ${JSON.stringify(resource).replaceAll('"', "")}`)
    .toSorted();
}

function allowing(found: readonly Statement[], action: string): readonly Statement[] {
  return found.filter(({ Action }) => [Action].flat().includes(action));
}

const secret = (ref: string) => `arn:aws:secretsmanager:eu-west-1:111122223333:secret:${ref}-??????`;

describe("the stack", () => {
  it("passes cdk-nag, and every exception has its reason", () => {
    expect(findings).toEqual([]);
    const excepted = [...resources.values()].flatMap(
      ({ Metadata }) => Metadata?.cdk_nag?.rules_to_suppress ?? [],
    );
    expect([...new Set(excepted.map(({ id }) => id))].toSorted()).toEqual([
      "AwsSolutions-APIG4",
      "AwsSolutions-IAM5",
      "AwsSolutions-S1",
      "AwsSolutions-SMG4",
      "AwsSolutions-SQS3",
    ]);
    for (const { reason } of excepted) expect(reason.length).toBeGreaterThan(40);
  });

  it("is what it was, but for what was meant to change", () => {
    expect([...resources].map(([id, { Type }]) => `${Type} ${id}`).toSorted()).toMatchSnapshot();
  });

  it("keeps what would be missed, and nothing else, when it is destroyed", () => {
    const kept = [...resources].filter(([, { DeletionPolicy }]) => DeletionPolicy === "Retain");
    expect(kept.map(([, { Type }]) => Type).toSorted()).toEqual([
      "AWS::DynamoDB::Table",
      "AWS::KMS::Key",
      "AWS::KMS::Key",
      "AWS::S3::Bucket",
      "AWS::SecretsManager::Secret",
    ]);
  });
});

describe("what is kept", () => {
  it("has the journal's table as the journal wants it", () => {
    const [[, table] = []] = all("AWS::DynamoDB::Table");
    expect(table?.Properties).toMatchObject({
      TableName: "keyturn-prod-journal",
      KeySchema: journalTable.KeySchema,
      GlobalSecondaryIndexes: journalTable.GlobalSecondaryIndexes,
      BillingMode: journalTable.BillingMode,
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
      TimeToLiveSpecification: { AttributeName: expiryAttribute, Enabled: true },
      SSESpecification: { SSEEnabled: true, SSEType: "KMS" },
      DeletionProtectionEnabled: true,
    });
    expect(table?.Properties.AttributeDefinitions).toEqual(
      expect.arrayContaining(journalTable.AttributeDefinitions),
    );
  });

  it("has an audit that nobody can take away, change, or read in the clear", () => {
    const [[, bucket] = []] = all("AWS::S3::Bucket");
    expect(bucket?.Properties).toMatchObject({
      ObjectLockEnabled: true,
      ObjectLockConfiguration: { Rule: { DefaultRetention: { Mode: "COMPLIANCE", Days: 365 } } },
      VersioningConfiguration: { Status: "Enabled" },
      PublicAccessBlockConfiguration: { BlockPublicAcls: true, RestrictPublicBuckets: true },
    });
    const [[, policy] = []] = all("AWS::S3::BucketPolicy");
    expect(policy?.Properties).toMatchObject({
      PolicyDocument: {
        Statement: expect.arrayContaining([
          expect.objectContaining({
            Effect: "Deny",
            Condition: { Bool: { "aws:SecureTransport": "false" } },
          }),
          expect.objectContaining({
            Effect: "Deny",
            Action: expect.arrayContaining(["s3:DeleteObject", "s3:DeleteObjectVersion"]),
          }),
          expect.objectContaining({
            Effect: "Deny",
            Action: "s3:PutObject",
            Condition: { Null: { "s3:if-none-match": "true" } },
          }),
        ]),
      },
    });
  });

  it("is encrypted by keys of the account's own, which rotate", () => {
    const keys = all("AWS::KMS::Key");
    expect(keys).toHaveLength(2);
    for (const [, { Properties }] of keys) expect(Properties.EnableKeyRotation).toBe(true);
    const encrypted = {
      "AWS::SQS::Queue": "KmsMasterKeyId",
      "AWS::SNS::Topic": "KmsMasterKeyId",
      "AWS::Events::EventBus": "KmsKeyIdentifier",
      "AWS::Logs::LogGroup": "KmsKeyId",
      "AWS::Lambda::Function": "KmsKeyArn",
      "AWS::SecretsManager::Secret": "KmsKeyId",
    };
    for (const [type, property] of Object.entries(encrypted)) {
      const found = all(type);
      expect(found.length).toBeGreaterThan(0);
      for (const [id, { Properties }] of found)
        expect([id, Properties[property]]).toEqual([id, expect.anything()]);
    }
  });

  it("lets services use the keys for this account only", () => {
    for (const [, { Properties }] of all("AWS::KMS::Key")) {
      const {
        KeyPolicy,
      }: {
        readonly KeyPolicy?: { readonly Statement: readonly (Statement & { readonly Principal: object })[] };
      } = Properties;
      const ofServices = (KeyPolicy?.Statement ?? []).filter(({ Principal }) => "Service" in Principal);
      expect(ofServices.length).toBeGreaterThan(0);
      for (const { Condition } of ofServices) expect(JSON.stringify(Condition)).toMatch(/111122223333/);
    }
  });
});

describe("the function of a type", () => {
  const types = [
    ["postgres-alternating", ["billing/db", "billing/reports"], ["billing/db-admin"]],
    ["postgres-password", ["legacy/app"], []],
    ["aws-iam-access-key", ["partner/uploader"], []],
  ] as const;

  it.each(types)(
    "%s changes its own secrets, reads their administering logins, and knows of no others",
    (type, own, admin) => {
      const part = new RegExp(`^KeyturnType${type.replaceAll("-", "")}`);
      const found = statements(part);
      const reading = ["DescribeSecret", "GetSecretValue", "ListSecretVersionIds"];
      const changing = ["PutSecretValue", "RotateSecret", "UpdateSecretVersionStage"];
      const on = (refs: readonly string[], actions: readonly string[]) =>
        refs.flatMap((ref) => actions.map((action) => `secretsmanager:${action} on ${secret(ref)}`));
      // What reads several at once gives none that may not be read by itself.
      const rights = rightsOn("secretsmanager", found, /:BatchGetSecretValue$/);
      const [ofTheStack, ofSecrets] = [true, false].map((is) =>
        rights.filter((right) => right.includes("{Ref:") === is),
      );
      expect(ofSecrets).toEqual([...on(own, [...reading, ...changing]), ...on(admin, reading)].toSorted());
      expect(ofTheStack).toEqual([
        expect.stringMatching(/^secretsmanager:GetSecretValue on \{Ref:KeyturnFabricKeptFingerprints\w+\}$/),
      ]);
    },
  );

  it("is given no more actions than these", () => {
    expect(actionsOf(statements(/^KeyturnTypepostgresalternating/))).toMatchSnapshot();
  });

  it("may do to IAM users what its type needs, to those of its secrets", () => {
    const rights = rightsOn("iam", statements(/^KeyturnTypeawsiam/));
    expect(rights).toContain("iam:CreateAccessKey on arn:aws:iam::111122223333:user/partners/uploader");
    expect(rights.filter((right) => !right.endsWith(":user/partners/uploader"))).toEqual([]);
    expect(rightsOn("iam", statements(/^KeyturnTypepostgres/))).toEqual([]);
  });

  it("is called by Secrets Manager for this account's secrets, and by nobody else's", () => {
    const found = all("AWS::Lambda::Permission").map(([, { Properties }]) => Properties);
    const ours = found.filter(({ Principal }) => Principal === "secretsmanager.amazonaws.com");
    expect(ours).toHaveLength(3);
    for (const permission of ours) {
      expect(permission).toMatchObject({
        Action: "lambda:InvokeFunction",
        SourceAccount: "111122223333",
        SourceArn: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:*",
      });
    }
  });

  it("rotates each of its secrets, none because of a deployment, and none by a schedule at AWS", () => {
    const rotations = all("AWS::SecretsManager::RotationSchedule");
    expect(rotations.map(([, { Properties }]) => Properties.SecretId).toSorted()).toEqual([
      "billing/db",
      "billing/reports",
      "legacy/app",
      "partner/uploader",
    ]);
    for (const [, { Properties, DependsOn = [] }] of rotations) {
      expect(Properties).toMatchObject({ RotateImmediatelyOnUpdate: false });
      expect(Properties.RotationRules).toBeUndefined();
      expect(DependsOn.some((id) => resources.get(id)?.Type === "AWS::Lambda::Permission")).toBe(true);
    }
  });

  it("has a queue of its own: six times its time, one message, put aside after five tries", () => {
    template.hasResourceProperties("AWS::SQS::Queue", {
      QueueName: "keyturn-prod-postgres-alternating-work",
      VisibilityTimeout: 720,
      RedrivePolicy: Match.objectLike({ maxReceiveCount: 5 }),
    });
    const reports = /^KeyturnEnrol/;
    for (const [id, { Properties }] of all("AWS::Lambda::EventSourceMapping")) {
      expect(Properties).toMatchObject({
        ...(reports.test(id) ? { BatchSize: 10, MaximumBatchingWindowInSeconds: 1 } : { BatchSize: 1 }),
        FunctionResponseTypes: ["ReportBatchItemFailures"],
      });
    }
  });

  it("has everything that functions/ports.ts reads in its environment", () => {
    const [[, found] = []] = all("AWS::Lambda::Function").filter(
      ([, { Properties }]) => Properties.FunctionName === "keyturn-prod-postgres-alternating",
    );
    const { Environment }: { readonly Environment?: { readonly Variables?: object } } =
      found?.Properties ?? {};
    expect(Object.keys(Environment?.Variables ?? {}).toSorted()).toEqual([
      "KEYTURN_AUDIT_BUCKET",
      "KEYTURN_AUDIT_KEY",
      "KEYTURN_BUS",
      "KEYTURN_FINGERPRINTS",
      "KEYTURN_INSTALLATION",
      "KEYTURN_TABLE",
      "KEYTURN_WORK_QUEUES",
    ]);
  });
});

it("tells Secrets Manager of no function where that is not wanted", () => {
  const plain = Template.fromStack(stackOf({ nativeRotation: false }).stack);
  plain.resourceCountIs("AWS::SecretsManager::RotationSchedule", 0);
  plain.resourceCountIs("AWS::Lambda::Permission", 0);
  plain.resourceCountIs("AWS::Lambda::Url", 0);
});

describe("agents", () => {
  it("read the secrets of their fleet: the current value, and the next one only where there is one login", () => {
    const found = statements(/^KeyturnFanOutAgentsreportagents/);
    const reading = allowing(found, "secretsmanager:GetSecretValue").map(({ Resource, Condition }) => [
      [Resource].flat(),
      Condition,
    ]);
    const stages = (...names: string[]) => ({
      "ForAnyValue:StringEquals": { "secretsmanager:VersionStage": names },
    });
    expect(reading).toEqual([
      [["billing/reports", "partner/uploader"].map(secret), stages("AWSCURRENT")],
      [[secret("legacy/app")], stages("AWSCURRENT", "AWSPENDING")],
    ]);
  });

  it("speak for themselves and their fleet only, and hear on their own queue", () => {
    const found = statements(/^KeyturnFanOutAgentsreportagents/);
    expect(allowing(found, "events:PutEvents")).toMatchObject([
      { Condition: { StringEquals: { "events:source": `dev.keyturn.host.report-agents.$\{aws:userid}` } } },
    ]);
    expect(allowing(found, "sqs:ReceiveMessage")).toMatchObject([
      {
        Resource: "arn:aws:sqs:eu-west-1:111122223333:keyturn-prod-report-agents-*",
        Condition: { StringEquals: { "aws:ResourceTag/keyturn:principal": `$\{aws:userid}` } },
      },
    ]);
    expect(actionsOf(found)).toEqual([
      "events:PutEvents",
      "secretsmanager:GetSecretValue",
      "sqs:DeleteMessage",
      "sqs:GetQueueUrl",
      "sqs:ReceiveMessage",
    ]);
  });

  it("get what concerns their secrets by their fleet's topic, and what they say goes to one queue", () => {
    template.hasResourceProperties("AWS::Events::Rule", {
      EventPattern: { source: ["dev.keyturn"], detail: { subject: ["billing/db", "billing/reports"] } },
      Targets: [Match.objectLike({ DeadLetterConfig: Match.anyValue() })],
    });
    template.hasResourceProperties("AWS::Events::Rule", {
      EventPattern: { source: [{ prefix: "dev.keyturn.host." }] },
    });
  });
});

describe("functions of Keyturn", () => {
  it("publish as Keyturn, and never as a host", () => {
    const publishing = allowing(statements(/^Keyturn(Type|Tick|Revoke|Enrol)/), "events:PutEvents");
    expect(publishing.length).toBeGreaterThan(0);
    for (const { Condition } of publishing) {
      expect(Condition).toEqual({ StringEquals: { "events:source": "dev.keyturn" } });
    }
    // Nor by what takes the reports of hosts off the bus.
    const sending = rightsOn("sqs", statements(/./), /:(?!SendMessage)\w+$/);
    expect(sending.length).toBeGreaterThan(0);
    expect(sending.filter((right) => /FanOutReportsQueue| on \*$/.test(right))).toEqual([]);
  });

  it("that answer incidents read every secret that is rotated, and write none", () => {
    const found = allowing(statements(/^KeyturnRevoke/), "secretsmanager:GetSecretValue");
    const reachable = JSON.stringify(found.map(({ Resource }) => Resource));
    for (const ref of ["billing/db", "billing/reports", "legacy/app", "partner/uploader"])
      expect(reachable).toContain(`:${ref}-??????`);
    const writing = actionsOf(statements(/^KeyturnRevoke/)).filter((action) =>
      /^secretsmanager:(Put|Update|Rotate|Delete)/.test(action),
    );
    expect(writing).toEqual([]);
  });

  it("that look for what is due and that enrol hosts read no secret, not even the fingerprint keys", () => {
    for (const part of [/^KeyturnTick/, /^KeyturnEnrol/]) {
      expect(allowing(statements(part), "secretsmanager:GetSecretValue")).toEqual([]);
      expect(JSON.stringify(statements(part))).not.toContain("secretsmanager.");
      const seen = allowing(statements(part), "secretsmanager:DescribeSecret").map(
        ({ Resource }) => Resource,
      );
      expect(seen).toEqual(part.test("KeyturnTick") ? [{ Ref: expect.stringMatching(/Fingerprints/) }] : []);
      expect(actionsOf(statements(part)).filter((action) => /^(iam|sts|lambda):/.test(action))).toEqual([]);
    }
  });

  it("let only the tick sign, and make no key but one that signs", () => {
    const signing = [/^KeyturnTick/, /^KeyturnType/, /^KeyturnRevoke/, /^KeyturnEnrol/].map(
      (part) => allowing(statements(part), "kms:Sign").length,
    );
    expect(signing).toEqual([1, 0, 0, 0]);
    expect(allowing(statements(/^KeyturnTick/), "kms:CreateKey")).toMatchObject([
      {
        Condition: {
          StringEquals: { "kms:KeySpec": "ECC_NIST_EDWARDS25519", "kms:KeyUsage": "SIGN_VERIFY" },
        },
      },
    ]);
  });

  it("neither delete from the audit nor scan the journal, nor delete a secret, whichever it is", () => {
    const every = actionsOf(statements(/./));
    expect(every.length).toBeGreaterThan(20);
    expect(
      every.filter((action) =>
        /^(s3:Delete|s3:\*|dynamodb:(Scan|DeleteTable|\*)|secretsmanager:(Delete|\*))/.test(action),
      ),
    ).toEqual([]);
  });

  it("are traced, limited in number, and leave a log that ends some day", () => {
    for (const [, { Properties }] of all("AWS::Lambda::Function")) {
      expect(Properties).toMatchObject({
        Runtime: "nodejs24.x",
        TracingConfig: { Mode: "Active" },
        ReservedConcurrentExecutions: expect.any(Number),
        LoggingConfig: { LogGroup: expect.anything() },
      });
    }
    for (const [, { Properties }] of all("AWS::Logs::LogGroup")) expect(Properties.RetentionInDays).toBe(90);
  });

  it("look for what is due every minute, and a person hears of it when they do not", () => {
    template.hasResourceProperties("AWS::Scheduler::Schedule", { ScheduleExpression: "rate(1 minute)" });
    template.hasResourceProperties("AWS::CloudWatch::Alarm", {
      MetricName: "Invocations",
      ComparisonOperator: "LessThanThreshold",
      TreatMissingData: "breaching",
    });
  });

  it("have an alarm for every queue of dead letters", () => {
    const dead = all("AWS::SQS::Queue").filter(([, { Properties }]) =>
      /-dead$|-undelivered$/.test(String(Properties.QueueName)),
    );
    expect(dead).toHaveLength(6);
    const watched = all("AWS::CloudWatch::Alarm").flatMap(([, { Properties }]) =>
      JSON.stringify(Properties.Dimensions ?? []),
    );
    for (const [id] of dead) expect(watched.some((dimensions) => dimensions.includes(id))).toBe(true);
    for (const [, { Properties }] of all("AWS::CloudWatch::Alarm"))
      expect(Properties.AlarmActions).toHaveLength(1);
  });
});

describe("every topic", () => {
  it("takes what it is for: events of the bus, or alarms", () => {
    const allowed = all("AWS::SNS::TopicPolicy").map(([, { Properties }]) => {
      const {
        PolicyDocument,
      }: {
        readonly PolicyDocument?: {
          readonly Statement: readonly (Statement & { readonly Principal: unknown })[];
        };
      } = Properties;
      return (PolicyDocument?.Statement ?? [])
        .filter(({ Effect }) => Effect === "Allow")
        .map(({ Principal }) => Principal);
    });
    const [events, alarms] = ["events", "cloudwatch"].map((service) => [
      { Service: `${service}.amazonaws.com` },
    ]);
    expect(allowed.toSorted()).toEqual([alarms, events, events].toSorted());
  });
});

describe("incidents", () => {
  it("come from GitHub where it was asked for, at the one address", () => {
    template.resourceCountIs("AWS::Lambda::Url", 1);
    const found = statements(/^KeyturnRevoke/);
    const read = allowing(found, "secretsmanager:GetSecretValue").flatMap(({ Resource }) => Resource);
    expect(read).toEqual(expect.arrayContaining([secret("ops/github"), secret("ops/github-app")]));
  });

  it("may end the sessions of the roles that were named, and of no other", () => {
    const worker = "arn:aws:iam::111122223333:role/worker";
    expect(rightsOn("iam", statements(/^KeyturnRevoke/))).toEqual([
      `iam:GetRolePolicy on ${worker}`,
      `iam:PutRolePolicy on ${worker}`,
    ]);
    const others = statements(/^Keyturn(?!Revoke)/);
    expect(rightsOn("iam", others).filter((right) => /role/i.test(right))).toEqual([]);
  });
});
