import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Template } from "aws-cdk-lib/assertions";
import { Vpc } from "aws-cdk-lib/aws-ec2";
import { describe, expect, it, vi } from "vitest";
import { dueIndex } from "../functions/journal-table.ts";
import { awsNames } from "../manifest/aws-names.ts";
import { plan, secretOf, stackOf } from "./sample-plan.contract.ts";

/** A synthesis takes seconds, and more where others are at work. */
vi.setConfig({ testTimeout: 120_000 });

const root = join(import.meta.dirname, "..");
const page = readFileSync(join(root, "docs/aws-permissions.md"), "utf8");

interface Statement {
  readonly Sid?: string;
  readonly Effect: string;
  readonly Action: string | readonly string[];
  readonly Resource: string | readonly string[];
}

/** A policy of the page, by the name that stands before it. */
function policy(name: string): readonly Statement[] {
  const text = new RegExp(`<!-- ${name} -->\\n\`\`\`json\\n(?<json>.*?)\\n\`\`\``, "s").exec(page)?.groups
    ?.json;
  const { Version, Statement } = JSON.parse(text ?? "{}");
  expect(Version).toBe("2012-10-17");
  // What IAM takes of a managed policy, white space not counted.
  expect(JSON.stringify({ Version, Statement }).length).toBeLessThanOrEqual(6_144);
  return Statement;
}

const actionsOf = (statements: readonly Statement[]) => statements.flatMap(({ Action }) => Action);
const resourcesOf = (statements: readonly Statement[]) => statements.flatMap(({ Resource }) => Resource);

/** The calls of a service that a file makes, and all that it imports: what stands in the imports of its client. */
function callsFrom(file: string, seen = new Set<string>()): ReadonlySet<string> {
  if (seen.has(file)) return new Set();
  seen.add(file);
  const calls = new Set<string>();
  const imports = readFileSync(file, "utf8").matchAll(
    /^import (?!type)(?<names>[^;]*?)from "(?<from>[^"]+)";/gms,
  );
  for (const { groups: { names = "", from = "" } = {} } of imports) {
    const client = /^@aws-sdk\/client-(?<client>.+)$/.exec(from)?.groups?.client;
    if (from.startsWith(".")) for (const call of callsFrom(join(dirname(file), from), seen)) calls.add(call);
    if (client === undefined) continue;
    for (const [, command, paged] of names.matchAll(/\b(?:(\w+)Command|paginate(\w+))\b/g))
      calls.add(`${client} ${command ?? paged}`);
  }
  return calls;
}

/** Where the action is not called as the call is; an empty list: no right is asked for. */
const actionsFor: Readonly<Record<string, readonly string[]>> = {
  "sts GetCallerIdentity": [],
  "s3 ListObjectsV2": ["s3:ListBucket"],
  "lambda Invoke": ["lambda:InvokeFunction"],
  "dynamodb TransactWriteItems": [
    "dynamodb:ConditionCheckItem",
    "dynamodb:DeleteItem",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
  ],
};
const prefixes = new Map([
  ["eventbridge", "events"],
  ["secrets-manager", "secretsmanager"],
]);

describe("who works with the command", () => {
  const operator = policy("operator");
  const calls = [...callsFrom(join(root, "cli/aws.ts"))];
  const needed = calls.flatMap((call) => {
    const [client = "", name = ""] = call.split(" ");
    return actionsFor[call] ?? [`${prefixes.get(client) ?? client}:${name}`];
  });

  it("is given every right on what it calls, and none that it does not need", () => {
    expect(calls.length).toBeGreaterThan(25);
    // The keys are used by the services for whoever calls them.
    const byServices = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"];
    expect([...new Set(actionsOf(operator))].toSorted()).toEqual(
      [...new Set([...needed, ...byServices])].toSorted(),
    );
  });

  it("is given them on the parts by the names that they have", () => {
    const names = awsNames("prod");
    const arn = (service: string, rest: string) => `arn:aws:${service}:eu-west-1:111122223333:${rest}`;
    const bucket = `arn:aws:s3:::${names.auditBucket("111122223333", "eu-west-1")}`;
    expect([...new Set(resourcesOf(operator))].toSorted()).toEqual(
      [
        "*",
        arn("dynamodb", `table/${names.table}`),
        arn("dynamodb", `table/${names.table}/index/${dueIndex}`),
        arn("events", `event-bus/${names.bus}`),
        arn("kms", `${names.auditAlias}*`),
        arn("kms", "key/*"),
        arn("lambda", `function:${names.rotating("postgres-alternating")}`),
        arn("secretsmanager", "secret:billing/*"),
        arn("secretsmanager", `secret:${names.fingerprints}-??????`),
        arn("sqs", names.incidents.replace("incidents", "*")),
        arn("sqs", names.workQueue("*")),
        bucket,
        ...["*", "chains/*", "roots/*"].map((objects) => `${bucket}/${objects}`),
      ].toSorted(),
    );
  });

  it("may change nothing by what only knows, and read no secret by what only orders", () => {
    const of = (sid: RegExp) => actionsOf(operator.filter(({ Sid = "" }) => sid.test(Sid)));
    const changing = /:(Put|Update|Delete|Create|Send|Invoke|Tag|Schedule|Sign|Encrypt|Generate)/;
    expect(of(/^Know/).filter((action) => changing.test(action))).toEqual([]);
    expect(of(/^Know/).length).toBeGreaterThan(5);
    expect(of(/^Order/).filter((action) => action.startsWith("secretsmanager:"))).toEqual([]);
  });
});

describe("who deploys", () => {
  /** Every kind of part that there can be. */
  const { stack } = stackOf((scope) => ({
    webhook: { secret: "ops/github" },
    plan: {
      ...plan,
      secrets: [...plan.secrets, ...Array.from({ length: 51 }, (_, at) => secretOf(`many/${at}`))],
    },
    network: {
      vpc: Vpc.fromVpcAttributes(scope, "Vpc", {
        vpcId: "vpc-0a1b2c3d",
        vpcCidrBlock: "10.0.0.0/16",
        availabilityZones: ["eu-west-1a"],
        isolatedSubnetIds: ["subnet-0a1b2c31"],
        isolatedSubnetRouteTableIds: ["rtb-0a1b2c31"],
      }),
    },
    vpcEndpoints: true,
  }));

  it("lets CloudFormation make every kind of part that the stack has", () => {
    const made = policy("cloudformation");
    const services = new Set(actionsOf(made).map((action) => action.split(":")[0]));
    const kinds = Object.values<{ readonly Type: string }>(Template.fromStack(stack).toJSON().Resources);
    const needed = new Set(kinds.map(({ Type }) => String(Type.split("::")[1]).toLowerCase()));
    expect(needed.size).toBeGreaterThan(12);
    expect([...needed].filter((service) => !services.has(service))).toEqual([]);
    // And what it reads that the CDK has put there.
    expect([...services].filter((service) => !needed.has(String(service)))).toEqual(["ssm"]);
  });

  it("lets it make them under the names that they have, and touch no other's by name", () => {
    const [named] = policy("cloudformation");
    const allowed = [named?.Resource ?? []].flat().map(
      (arn) =>
        new RegExp(
          `^${arn
            .replaceAll(/[.+^$()|[\]\\]/g, "\\$&")
            .replaceAll("?", ".")
            .replaceAll("*", ".*")}$`,
        ),
    );
    const of = (service: string, rest: string) => `arn:aws:${service}:eu-west-1:111122223333:${rest}`;
    const kinds: Readonly<Record<string, readonly [property: string, arn: (name: string) => string]>> = {
      "AWS::DynamoDB::Table": ["TableName", (name) => of("dynamodb", `table/${name}`)],
      "AWS::Events::EventBus": ["Name", (name) => of("events", `event-bus/${name}`)],
      "AWS::Lambda::Function": ["FunctionName", (name) => of("lambda", `function:${name}`)],
      "AWS::Logs::LogGroup": ["LogGroupName", (name) => of("logs", `log-group:${name}`)],
      "AWS::S3::Bucket": ["BucketName", (name) => `arn:aws:s3:::${name}`],
      "AWS::SNS::Topic": ["TopicName", (name) => of("sns", name)],
      "AWS::SQS::Queue": ["QueueName", (name) => of("sqs", name)],
      "AWS::Scheduler::Schedule": ["Name", (name) => of("scheduler", `schedule/default/${name}`)],
      "AWS::SecretsManager::Secret": ["Name", (name) => of("secretsmanager", `secret:${name}-AbCdEf`)],
    };
    const template = Template.fromStack(stack);
    for (const [type, [property, arnOf]] of Object.entries(kinds)) {
      const arns = Object.values(template.findResources(type)).map(({ Properties }) =>
        arnOf(Properties[property]),
      );
      expect(arns.length).toBeGreaterThan(0);
      for (const arn of arns) expect([arn, allowed.some((one) => one.test(arn))]).toEqual([arn, true]);
    }
    for (const { Resource } of policy("cloudformation").slice(0, 1)) expect(Resource).not.toContain("*");
    // Whoever has it could otherwise write it anew.
    const own = /--cloudformation-execution-policies (?<arn>arn:\S+?)`/.exec(page)?.groups?.arn ?? "";
    expect(own).toMatch(/^arn:aws:iam::111122223333:policy\/.+/);
    expect(allowed.filter((one) => one.test(own))).toEqual([]);
    expect(allowed.some((one) => one.test(own.replace("deploy-keyturn-prod", "keyturn-prod-deploy")))).toBe(
      true,
    );
  });

  it("takes the roles that the CDK's bootstrap has made, and does nothing else itself", () => {
    const deployer = policy("deployer");
    expect(actionsOf(deployer)).toEqual(["sts:AssumeRole"]);
    for (const role of resourcesOf(deployer))
      expect(role).toMatch(
        /^arn:aws:iam::111122223333:role\/cdk-hnb659fds-[a-z-]+-role-111122223333-eu-west-1$/,
      );
  });
});

it("the pages name each other", () => {
  expect(readFileSync(join(root, "docs/aws.md"), "utf8")).toContain("](aws-permissions.md)");
  expect(page).toContain("](aws.md)");
});
