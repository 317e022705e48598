import { Aspects, NestedStack, Stack } from "aws-cdk-lib";
import { Annotations, Match, Template } from "aws-cdk-lib/assertions";
import { Vpc } from "aws-cdk-lib/aws-ec2";
import { Queue } from "aws-cdk-lib/aws-sqs";
import { AwsSolutionsChecks } from "cdk-nag";
import { describe, expect, it, vi } from "vitest";
import { KeyturnAccount } from "./account.ts";
import { type Plan, references } from "./plan.ts";
import { appOf, plan, secretOf, stackOf } from "./sample-plan.contract.ts";

/** A synthesis takes seconds, and more where others are at work. */
vi.setConfig({ testTimeout: 120_000 });

const member = "444455556666";

const elsewhere: Plan = {
  ...plan,
  secrets: [...plan.secrets, secretOf("partner/db", { fleets: [], admin: undefined })],
  accounts: { "partner/db": member },
};

/** More than a stack is given at once. */
const many: Plan = {
  ...plan,
  secrets: Array.from({ length: 51 }, (_, index) => secretOf(`team-${index}/db`)),
};

function inNetwork(): Stack {
  return stackOf((stack) => ({
    network: {
      vpc: Vpc.fromVpcAttributes(stack, "Vpc", {
        vpcId: "vpc-0a1b2c3d",
        vpcCidrBlock: "10.0.0.0/16",
        availabilityZones: ["eu-west-1a", "eu-west-1b"],
        isolatedSubnetIds: ["subnet-0a1b2c31", "subnet-0a1b2c32"],
        isolatedSubnetRouteTableIds: ["rtb-0a1b2c31", "rtb-0a1b2c32"],
      }),
    },
    vpcEndpoints: true,
  })).stack;
}

function otherAccount(): Stack {
  const stack = new Stack(appOf(), "Other", { env: { account: member, region: "eu-west-1" } });
  new KeyturnAccount(stack, "Keyturn", { plan: elsewhere });
  return stack;
}

/** What cdk-nag says of a stack and of what is nested in it. */
function findings(stack: Stack): readonly string[] {
  Aspects.of(stack.node.root).add(new AwsSolutionsChecks());
  const said = [
    ...Annotations.fromStack(stack).findError("*", Match.anyValue()),
    ...Annotations.fromStack(stack).findWarning("*", Match.anyValue()),
  ];
  return said.map(({ id, entry }) => `${id}: ${String(entry.data)}`);
}

const nestedIn = (stack: Stack) => stack.node.findAll().filter((one) => NestedStack.isNestedStack(one));

describe("cdk-nag has nothing to say of a stack", () => {
  it.each<readonly [string, () => Stack]>([
    ["in a network with ways to AWS's services", inNetwork],
    ["whose rights go by tags", () => stackOf({ plan: { ...plan, secretsBy: "tag" } }).stack],
    ["with secrets in another account", () => stackOf({ plan: elsewhere }).stack],
    ["that lets the hub into another account", otherAccount],
    ["with more than fifty secrets of a type", () => stackOf({ plan: many }).stack],
    ["that reserves nothing", () => stackOf({ reservedConcurrency: undefined }).stack],
  ])(
    "%s",
    (_, make) => {
      expect(findings(make())).toEqual([]);
    },
    120_000,
  );

  it("and would, of what is nested too", () => {
    const { stack } = stackOf({ plan: many });
    const [nested, ...more] = nestedIn(stack);
    expect(more).toEqual([]);
    if (nested === undefined) throw new Error("nothing is nested");
    new Queue(nested, "Open");
    expect(findings(stack).join("\n")).toMatch(/Rotations1\/Open.*AwsSolutions-SQS3/);
  });
});

it("more than fifty secrets of a type are told to Secrets Manager in a stack of their own, each once, after their function", () => {
  const { stack } = stackOf({ plan: many });
  const [nested] = nestedIn(stack);
  if (!Stack.isStack(nested)) throw new Error("nothing is nested");
  const told = Object.values(
    Template.fromStack(nested).findResources("AWS::SecretsManager::RotationSchedule"),
  );
  expect(told.map(({ Properties }) => Properties.SecretId).toSorted()).toEqual(references(many.secrets).own);
  for (const { Properties } of told) expect(Properties.RotateImmediatelyOnUpdate).toBe(false);
  const template = Template.fromStack(stack);
  template.resourceCountIs("AWS::SecretsManager::RotationSchedule", 0);
  const [[, { DependsOn }] = ["", { DependsOn: [] }]] = Object.entries(
    template.findResources("AWS::CloudFormation::Stack"),
  );
  const types = [DependsOn].flat().map((id) => template.toJSON().Resources[id].Type);
  for (const type of ["AWS::Lambda::Function", "AWS::Lambda::Permission", "AWS::IAM::ManagedPolicy"])
    expect(types).toContain(type);
});

describe("where rights go by tags", () => {
  /** Every right on secrets, by whose it is: what, on what, and which tags that has to bear. */
  function rightsOf(tagged: Plan): readonly string[] {
    const template = Template.fromStack(stackOf({ plan: tagged }).stack);
    const policies = ["AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"].flatMap((type) =>
      Object.entries(template.findResources(type)),
    );
    return policies.flatMap(([id, { Properties }]) => {
      const whose = /^Keyturn(?<part>Type[a-z]+|Tick|Revoke|Enrol|FanOut)/.exec(id)?.groups?.part ?? id;
      const statements: readonly Readonly<Record<string, unknown>>[] = Properties.PolicyDocument.Statement;
      return statements.flatMap(({ Effect, Action, Resource, Condition = {} }) =>
        [Action]
          .flat()
          .flatMap((action) =>
            String(action).startsWith("secretsmanager:")
              ? [
                  [
                    `${whose} ${Effect} ${String(action).replace("secretsmanager:", "")}`,
                    JSON.stringify(Resource).replaceAll(
                      /arn:aws:secretsmanager:eu-west-1:111122223333:|"/g,
                      "",
                    ),
                    JSON.stringify(Object(Condition).StringEquals ?? {}).replaceAll(
                      /aws:ResourceTag\/keyturn:|"/g,
                      "",
                    ),
                  ].join(" | "),
                ]
              : [],
          ),
      );
    });
  }

  const changing = [
    ...["DescribeSecret", "GetSecretValue", "ListSecretVersionIds"],
    ...["PutSecretValue", "RotateSecret", "UpdateSecretVersionStage"],
  ];
  const reading = changing.slice(0, 3);
  const on = (whose: string, actions: readonly string[], what: string, tags: string) =>
    actions.map((action) => `${whose} Allow ${action} | ${what} | ${tags}`);
  const admin = "secret:billing/db-admin-??????";

  const expected = (tagsOf: (types: string) => string) =>
    [
      ...on("Typepostgresalternating", changing, "secret:*", tagsOf("[postgres-alternating]")),
      // What is only read is known by its name: nobody has to tag it.
      ...on("Typepostgresalternating", reading, admin, "{}"),
      ...on("Typepostgresalternating", ["BatchGetSecretValue"], "*", "{}"),
      ...on("Typepostgrespassword", changing, "secret:*", tagsOf("[postgres-password]")),
      ...on("Typeawsiamaccesskey", changing, "secret:*", tagsOf("[aws-iam-access-key]")),
      ...on(
        "Revoke",
        reading,
        "secret:*",
        tagsOf("[aws-iam-access-key,postgres-alternating,postgres-password]"),
      ),
      ...on("Tick", ["ListSecrets"], "*", "{}"),
    ].toSorted();

  /** Without those on the keys of fingerprints, which those have that know values, and those of agents, which are by name. */
  const ofSecrets = (tagged: Plan) =>
    rightsOf(tagged)
      .filter((right) => !right.includes("Fingerprints") && !right.startsWith("FanOut"))
      .toSorted();

  it("every function's are by installation, type and tenant, and name nothing but administering logins", () => {
    const tenants = { "billing/db": "bolt" };
    const tagged: Plan = {
      ...plan,
      secretsBy: "tag",
      secrets: plan.secrets.map((one) => ({
        ...one,
        tenant: new Map(Object.entries(tenants)).get(one.ref) ?? "acme",
      })),
    };
    const tenantsOf = (types: string) => (types.includes("postgres-alternating") ? "[acme,bolt]" : "[acme]");
    expect(ofSecrets(tagged)).toEqual(
      expected((types) => `{installation:prod,type:${types},tenant:${tenantsOf(types)}}`),
    );
  });

  it("a tenant is asked for only where every secret of a function has one", () => {
    const tagged: Plan = {
      ...plan,
      secretsBy: "tag",
      secrets: plan.secrets.map((one) => ({ ...one, tenant: undefined })),
    };
    expect(ofSecrets(tagged)).toEqual(expected((types) => `{installation:prod,type:${types}}`));
  });

  it("agents' stay by name and stage", () => {
    const agents = rightsOf({ ...plan, secretsBy: "tag" }).filter((right) => right.startsWith("FanOut"));
    expect(agents.length).toBeGreaterThan(0);
    for (const right of agents) expect(right).toMatch(/^FanOut Allow GetSecretValue \| .*-\?{6}.* \| \{\}$/);
  });
});
