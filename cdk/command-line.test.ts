import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Match, Template } from "aws-cdk-lib/assertions";
import { Code } from "aws-cdk-lib/aws-lambda";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { addInstallation } from "./command-line.ts";
import { appOf } from "./sample-plan.contract.ts";

/** A synthesis takes seconds, and more where others are at work. */
vi.setConfig({ testTimeout: 120_000 });

const [home, member] = ["111122223333", "444455556666"];
const keyOf = (digit: string, account = home) =>
  `arn:aws:kms:eu-west-1:${account}:key/${digit.repeat(8)}-1111-4111-8111-111111111111`;
const folder = mkdtempSync(join(tmpdir(), "keyturn-command-line-"));
const manifest = join(folder, "keyturn.yaml");
writeFileSync(join(folder, "ca.pem"), "the authority");
writeFileSync(
  manifest,
  `stores:
  prod: { aws: { account: "${home}", region: eu-west-1 } }
  test: { aws: { account: "${home}", region: eu-west-1 } }
secrets:
  billing/db:
    store: prod
    type: postgres-alternating
    config: { host: db.internal, database: billing, owner: billing, tls: { ca: ca.pem } }
    admin: { secret: billing/db-admin }
    fleets: [invoice-agents]
  billing/db-admin: { store: prod, type: held }
  billing/uploader: { store: prod, type: aws-iam-access-key, config: { userName: uploader, region: eu-west-1 } }
  partner/db:
    store: prod
    account: "${member}"
    type: postgres-password
    config: { host: db.partner, database: partner, username: partner, tls: { ca: ca.pem } }
    admin: { secret: partner/db }
`,
);
afterAll(() => rmSync(folder, { recursive: true }));

/** What the CDK finds out about the network before it comes back. */
const lookedUp = {
  [`vpc-provider:account=${home}:filter.vpc-id=vpc-0a1b2c3d:region=eu-west-1:returnAsymmetricSubnets=true`]: {
    vpcId: "vpc-0a1b2c3d",
    vpcCidrBlock: "10.0.0.0/16",
    availabilityZones: [],
    subnetGroups: [
      {
        name: "Inside",
        type: "Isolated",
        subnets: ["1", "2", "3"].map((number) => ({
          subnetId: `subnet-0a1b2c3${number}`,
          cidr: `10.0.${number}.0/24`,
          availabilityZone: `eu-west-1${"abc"[Number(number) - 1]}`,
          routeTableId: `rtb-0a1b2c3${number}`,
        })),
      },
    ],
  },
};

function stackBy(said: Readonly<Record<string, unknown>>) {
  const app = appOf({ manifest, store: "prod", ...said });
  return { app, stack: addInstallation(app, (bundle) => Code.fromInline(`// ${bundle}`)) };
}

const by = (said: Readonly<Record<string, unknown>> = {}) => Template.fromStack(stackBy(said).stack);

interface Made {
  readonly ReservedConcurrentExecutions?: number;
  readonly VpcConfig?: unknown;
  readonly Environment?: { readonly Variables?: Readonly<Record<string, unknown>> };
}

/** Every function by its own part of its name. */
function functionsOf(template: Template): ReadonlyMap<string, Made> {
  return new Map(
    Object.values(template.findResources("AWS::Lambda::Function")).map(({ Properties }) => [
      String(Properties.FunctionName).replace("keyturn-prod-", ""),
      Properties,
    ]),
  );
}

/** Every statement that allows something to functions whose logical id matches. */
function allowed(template: Template, id: RegExp): string {
  const policies = ["AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"].flatMap((type) =>
    Object.entries(template.findResources(type)),
  );
  return JSON.stringify(policies.filter(([name]) => id.test(name)));
}

let plain: Template;
let full: Template;

beforeAll(() => {
  plain = by();
  full = by({
    ...lookedUp,
    vpc: "vpc-0a1b2c3d",
    subnets: "subnet-0a1b2c31,subnet-0a1b2c32",
    securityGroups: "sg-0a1b2c31,sg-0a1b2c32",
    vpcEndpoints: "true",
    secretKeys: `${keyOf("1")},${keyOf("2")}`,
    reservedConcurrency: "7",
    auditDays: "30",
    webhookSecret: "ops/github",
    webhookApp: "ops/github-app",
    revocableRoles: "worker,deployer",
    nativeRotation: "false",
    terminationProtection: "false",
    dataKey: keyOf("3"),
  });
}, 120_000);

describe("a network", () => {
  it("has the functions in it whose types reach a target there, and no others", () => {
    const placed = [...functionsOf(full)].filter(([, { VpcConfig }]) => VpcConfig !== undefined);
    expect(placed.map(([name]) => name).toSorted()).toEqual(["postgres-alternating", "postgres-password"]);
    for (const [, { VpcConfig }] of placed)
      expect(VpcConfig).toEqual({
        SubnetIds: ["subnet-0a1b2c31", "subnet-0a1b2c32"],
        SecurityGroupIds: ["sg-0a1b2c31", "sg-0a1b2c32"],
      });
    expect(allowed(full, /^KeyturnTypepostgres/)).toContain("ec2:CreateNetworkInterface");
    expect(allowed(full, /^Keyturn(?!Typepostgres)/)).not.toContain("ec2:");
  });

  it("is nobody's where none was named", () => {
    for (const [, { VpcConfig }] of functionsOf(plain)) expect(VpcConfig).toBeUndefined();
    expect(allowed(plain, /./)).not.toContain("ec2:");
    for (const type of ["AWS::EC2::VPCEndpoint", "AWS::EC2::SecurityGroup"]) plain.resourceCountIs(type, 0);
  });

  it("has ways to what a rotation asks: in those subnets, under the services' own names", () => {
    const endpoints = Object.values(full.findResources("AWS::EC2::VPCEndpoint")).map(
      ({ Properties }) => Properties,
    );
    const of = (kind: string) =>
      endpoints
        .filter(({ VpcEndpointType }) => VpcEndpointType === kind)
        .toSorted((one, other) => String(one.ServiceName).localeCompare(String(other.ServiceName)));
    const name = (service: string) => `com.amazonaws.eu-west-1.${service}`;
    const here = (service: string) => ({
      "Fn::Join": ["", ["com.amazonaws.", { Ref: "AWS::Region" }, `.${service}`]],
    });
    expect(of("Interface").map(({ ServiceName }) => ServiceName)).toEqual(
      ["events", "kms", "lambda", "secretsmanager", "sqs", "sts"].map(name),
    );
    expect(of("Gateway").map(({ ServiceName }) => ServiceName)).toEqual(["dynamodb", "s3"].map(here));
    for (const one of of("Interface")) {
      expect(one).toMatchObject({
        VpcId: "vpc-0a1b2c3d",
        PrivateDnsEnabled: true,
        SubnetIds: ["subnet-0a1b2c31", "subnet-0a1b2c32"],
        SecurityGroupIds: [{ "Fn::GetAtt": [expect.stringMatching(/SecurityGroup/), "GroupId"] }],
      });
    }
    for (const one of of("Gateway")) expect(one.RouteTableIds).toEqual(["rtb-0a1b2c31", "rtb-0a1b2c32"]);
    // Whoever else is in the network goes the same way from then on: what they may do is for their own rights to say.
    for (const one of endpoints) expect(one.PolicyDocument).toBeUndefined();
  });

  it("lets in to those ways by HTTPS whoever is in it, and nobody else", () => {
    const groups = Object.values(full.findResources("AWS::EC2::SecurityGroup"));
    expect(groups).toHaveLength(6);
    for (const { Properties } of groups) {
      expect(Properties.SecurityGroupIngress).toEqual([
        expect.objectContaining({ CidrIp: "10.0.0.0/16", FromPort: 443, ToPort: 443, IpProtocol: "tcp" }),
      ]);
    }
    full.resourceCountIs("AWS::EC2::SecurityGroupIngress", 0);
  });

  it("has no such ways where they are not asked for, and takes all its private subnets where none is named", () => {
    const placed = by({ ...lookedUp, vpc: "vpc-0a1b2c3d" });
    placed.resourceCountIs("AWS::EC2::VPCEndpoint", 0);
    const found = functionsOf(placed).get("postgres-alternating");
    expect(found?.VpcConfig).toMatchObject({
      SubnetIds: ["subnet-0a1b2c31", "subnet-0a1b2c32", "subnet-0a1b2c33"],
    });
    placed.resourceCountIs("AWS::EC2::SecurityGroup", 2);
  });

  it("has the subnets that are named, or the others are told", () => {
    const said = { ...lookedUp, vpc: "vpc-0a1b2c3d", subnets: "subnet-0a1b2c31,subnet-0fffffff" };
    expect(() => stackBy(said)).toThrow(/-c subnets: subnet-0fffffff is not in vpc-0a1b2c3d/);
  });

  it("is looked up by the CDK first, which comes back with it", () => {
    const { app } = stackBy({ vpc: "vpc-0a1b2c3d", subnets: "subnet-0a1b2c31", vpcEndpoints: "true" });
    expect(app.synth({ skipValidation: true }).manifest.missing).toMatchObject([
      { provider: "vpc-provider", props: { filter: { "vpc-id": "vpc-0a1b2c3d" }, region: "eu-west-1" } },
    ]);
  });
});

describe("what may run at once", () => {
  const reserved = (template: Template) =>
    Object.fromEntries(
      [...functionsOf(template)].map(([name, made]) => [name, made.ReservedConcurrentExecutions]),
    );
  /** What is left of it for queues. */
  const taken = (template: Template) =>
    Object.fromEntries(
      Object.entries(template.findResources("AWS::Lambda::EventSourceMapping")).map(
        ([id, { Properties }]) => [
          /^Keyturn(?:Type)?(?<name>[a-z]+|Revoke|Enrol)/.exec(id)?.groups?.name,
          Properties.ScalingConfig?.MaximumConcurrency,
        ],
      ),
    );
  const types = ["aws-iam-access-key", "postgres-alternating", "postgres-password"];
  const each = (number: number | undefined) => Object.fromEntries(types.map((type) => [type, number]));

  it("is ten of each type, five that answer incidents, ten that enrol, and one tick", () => {
    expect(reserved(plain)).toEqual({ ...each(10), schedule: 1, revoke: 5, enrol: 10 });
    expect(Object.values(taken(plain)).toSorted()).toEqual([3, 8, 8, 8, 8]);
  });

  it("is what was chosen", () => {
    expect(reserved(full)).toEqual({ ...each(7), schedule: 1, revoke: 5, enrol: 10 });
    expect(Object.values(taken(full)).toSorted()).toEqual([3, 5, 5, 5, 8]);
  });

  it("is reserved for nobody where that was chosen", () => {
    const open = by({ reservedConcurrency: "none" });
    expect(reserved(open)).toEqual({
      ...each(undefined),
      schedule: undefined,
      revoke: undefined,
      enrol: undefined,
    });
    expect(Object.values(taken(open)).filter((number) => number !== undefined)).toEqual([3, 8]);
  });

  it.each(["0", "-1", "many", "1.5", ""])("is a whole number: not %j", (reservedConcurrency) => {
    expect(() => stackBy({ reservedConcurrency })).toThrow(/-c reservedConcurrency=.*a whole number/);
  });
});

describe("what else is said", () => {
  it("lets functions use the keys of the secrets for what they do with secrets, and agents to read", () => {
    const actions = new Map<string, unknown>();
    for (const type of ["AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"]) {
      for (const [id, { Properties }] of Object.entries(full.findResources(type))) {
        for (const { Action, Resource, Condition } of Properties.PolicyDocument.Statement) {
          if (!JSON.stringify(Resource).includes(keyOf("1"))) continue;
          expect(Resource).toEqual([keyOf("1"), keyOf("2")]);
          expect(Condition).toEqual({
            StringEquals: { "kms:ViaService": "secretsmanager.eu-west-1.amazonaws.com" },
          });
          actions.set(/^Keyturn(?<part>Type|Revoke|FanOut)/.exec(id)?.groups?.part ?? id, Action);
        }
      }
    }
    expect(Object.fromEntries(actions)).toEqual({
      Type: ["kms:Decrypt", "kms:GenerateDataKey"],
      Revoke: "kms:Decrypt",
      FanOut: "kms:Decrypt",
    });
    expect(allowed(plain, /./)).not.toContain(keyOf("1"));
  });

  it("makes an address for GitHub by the secrets that it names", () => {
    full.resourceCountIs("AWS::Lambda::Url", 1);
    expect(functionsOf(full).get("revoke")?.Environment?.Variables).toMatchObject({
      KEYTURN_GITHUB_WEBHOOK: "ops/github",
      KEYTURN_GITHUB_APP: "ops/github-app",
      KEYTURN_REVOCABLE_ROLES: "worker,deployer",
    });
    for (const ref of ["ops/github", "ops/github-app"])
      expect(allowed(full, /^KeyturnRevoke/)).toContain(`:secret:${ref}-??????`);
    plain.resourceCountIs("AWS::Lambda::Url", 0);
    const alone = by({ webhookSecret: "ops/github" });
    expect(functionsOf(alone).get("revoke")?.Environment?.Variables).not.toHaveProperty("KEYTURN_GITHUB_APP");
    expect(allowed(alone, /^KeyturnRevoke/)).not.toContain("ops/github-app");
  });

  it("keeps the audit for as many days, takes keys from before, and tells Secrets Manager nothing", () => {
    const days = (template: Template) =>
      Object.values(template.findResources("AWS::S3::Bucket")).map(
        ({ Properties }) => Properties.ObjectLockConfiguration.Rule.DefaultRetention.Days,
      );
    expect([days(plain), days(full)]).toEqual([[365], [30]]);
    full.resourceCountIs("AWS::KMS::Key", 1);
    full.hasResourceProperties("AWS::DynamoDB::Table", {
      SSESpecification: Match.objectLike({ KMSMasterKeyId: keyOf("3") }),
    });
    full.resourceCountIs("AWS::SecretsManager::RotationSchedule", 0);
    plain.resourceCountIs("AWS::SecretsManager::RotationSchedule", 2);
  });

  it("protects the stack from being destroyed, unless that is said", () => {
    expect(stackBy({}).stack.terminationProtection).toBe(true);
    expect(stackBy({ terminationProtection: "false" }).stack.terminationProtection).toBe(false);
  });

  it("names the store, which is not guessed", () => {
    expect(() => stackBy({ store: undefined })).toThrow(/prod, test.*which one/);
    expect(() => stackBy({ store: "test" })).toThrow(/no secret of this store is rotated/);
  });

  it("deploys to another account the role alone, with the keys of its secrets", () => {
    const key = keyOf("4", member);
    const { stack } = stackBy({ account: member, secretKeys: key });
    expect([stack.account, stack.region, stack.stackName]).toEqual([member, "eu-west-1", "keyturn-prod"]);
    const template = Template.fromStack(stack);
    const types = Object.values<{ readonly Type: string }>(template.toJSON().Resources).map(
      ({ Type }) => Type,
    );
    expect(types.toSorted()).toEqual(["AWS::IAM::ManagedPolicy", "AWS::IAM::Role"]);
    template.hasResourceProperties("AWS::IAM::Role", {
      RoleName: "keyturn-prod-hub",
      Tags: [{ Key: "keyturn:installation", Value: "prod" }],
    });
    expect(allowed(template, /./)).toContain(key);
    expect(() => stackBy({ account: "999900001111" })).toThrow(/no secret of prod in another account/);
  });
});
