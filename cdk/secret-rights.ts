import { Stack } from "aws-cdk-lib";
import { ManagedPolicy, type PolicyStatement, type Role } from "aws-cdk-lib/aws-iam";
import type { Construct } from "constructs";
import { KeyturnError } from "../core/errors.ts";
import type { Rotator } from "../core/rotator.ts";
import { except } from "./exceptions.ts";
import { type Plan, type PlannedSecret, references } from "./plan.ts";
import { allow, secretArn } from "./rights.ts";

/** What a rotation does with a secret of its own. */
const rotated = [
  "secretsmanager:DescribeSecret",
  "secretsmanager:GetSecretValue",
  "secretsmanager:ListSecretVersionIds",
  "secretsmanager:PutSecretValue",
  "secretsmanager:RotateSecret",
  "secretsmanager:UpdateSecretVersionStage",
];

/** What it does with the administering login of one. */
const read = [
  "secretsmanager:DescribeSecret",
  "secretsmanager:GetSecretValue",
  "secretsmanager:ListSecretVersionIds",
];

/**
 * To read a secret and its administering login by one call. It is a right on no secret, so that it has none for a resource: each value that such
 * a call gives takes the right to read that secret. https://docs.aws.amazon.com/secretsmanager/latest/userguide/retrieving-secrets_batch.html
 */
const together = () => allow(["secretsmanager:BatchGetSecretValue"], ["*"]);

export type SecretsBy = Plan["secretsBy"];

/** The rights on the secrets of one type, as far as they are in the stack's own account. */
export function secretRights(
  scope: Construct,
  installation: string,
  secrets: readonly PlannedSecret[],
  by: SecretsBy,
  isHere: (ref: string) => boolean = () => true,
): readonly PolicyStatement[] {
  const all = references(secrets);
  const [own, admin] = [all.own.filter(isHere), all.admin.filter(isHere)];
  const arns = (refs: readonly string[]) => refs.map((ref) => secretArn(scope, ref));
  const readAdmins = admin.length === 0 ? [] : [allow(read, arns(admin))];
  if (own.length === 0) return readAdmins;
  if (admin.length > 0) readAdmins.push(together());
  if (by === "name") return [allow(rotated, arns(own)), ...readAdmins];
  const tagged = secrets.filter(({ ref }) => isHere(ref));
  return [allow(rotated, [everySecret(scope)], tagsOf(installation, tagged)), ...readAdmins];
}

/** That a secret bears the tags of one of these: whose it is, of which type, and of which tenant, where all of them have one. */
function tagsOf(installation: string, secrets: readonly PlannedSecret[]) {
  const types = [...new Set(secrets.map(({ type }) => type))].toSorted();
  const tenants = [...new Set(secrets.flatMap(({ tenant }) => tenant ?? []))].toSorted();
  const isTenanted = secrets.every(({ tenant }) => tenant !== undefined);
  return {
    StringEquals: {
      "aws:ResourceTag/keyturn:installation": installation,
      "aws:ResourceTag/keyturn:type": types,
      ...(isTenanted ? { "aws:ResourceTag/keyturn:tenant": tenants } : {}),
    },
  };
}

/** To see what holds a stage of a secret, and to know a value by its fingerprint, whatever the type. */
export function readingRights(
  scope: Construct,
  { installation, secrets, secretsBy }: Pick<Plan, "installation" | "secrets" | "secretsBy">,
  isHere: (ref: string) => boolean,
): readonly PolicyStatement[] {
  const own = references(secrets).own.filter(isHere);
  if (own.length === 0) return [];
  if (secretsBy === "name")
    return [
      allow(
        read,
        own.map((ref) => secretArn(scope, ref)),
      ),
    ];
  const tagged = secrets.filter(({ ref }) => isHere(ref));
  return [allow(read, [everySecret(scope)], tagsOf(installation, tagged))];
}

function everySecret(scope: Construct): string {
  return secretArn(scope, "*").replace(/-\?+$/, "");
}

/** What a type says that it needs of AWS, for the secrets that there are. */
export function neededRights(
  scope: Construct,
  rotator: Rotator,
  secrets: readonly PlannedSecret[],
): readonly PolicyStatement[] {
  // Those that have an administering login sign by that one.
  const own = secrets.filter(({ admin }) => admin === undefined);
  if (own.length === 0) return [];
  return (rotator.needs.aws ?? []).map(({ actions, resource }) => {
    const resources = own.map((secret) => filledIn(scope, resource, rotator, secret));
    return allow(actions, [...new Set(resources)].toSorted());
  });
}

/** An ARN of a type's needs, with the fields of a config in their places as the type itself would read them. */
function filledIn(scope: Construct, resource: string, rotator: Rotator, secret: PlannedSecret): string {
  const parsed = rotator.config.safeParse(secret.config);
  const { partition, account } = Stack.of(scope);
  const fields: Readonly<Record<string, unknown>> = { ...Object(parsed.data), partition, account };
  return resource.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = fields[name];
    if (typeof value === "string" && !/[*?$]/.test(value.replaceAll(/\$\{Token\[[^\]]*\]\}/g, "")))
      return value;
    throw new KeyturnError(
      "config-invalid",
      `${secret.ref}: its ${name} cannot stand in the ARN ${resource}`,
    );
  });
}

/** IAM's own limits: characters of a managed policy, white space not counted, and managed policies of a role. */
const policyMax = 6_144;
const policiesMax = 10;

/** Puts statements into as many managed policies as they need, and says what to do where they are too many. */
export function attach(
  scope: Construct,
  role: Role,
  description: string,
  statements: readonly PolicyStatement[],
): readonly ManagedPolicy[] {
  const packed = pack(scope, statements);
  if (packed.length > policiesMax) {
    throw new KeyturnError(
      "config-invalid",
      `${description}: its secrets need ${packed.length} policies, and a role has ${policiesMax}: write \`secretsBy: tag\` into the store, and tag them: \`keyturn doctor --fix\``,
    );
  }
  return packed.map((some, index) => {
    const name = `Secrets${index === 0 ? "" : index + 1}`;
    const policy = new ManagedPolicy(scope, name, { description, statements: [...some], roles: [role] });
    except(policy, {
      id: "AwsSolutions-IAM5",
      reason:
        "AWS chooses the last six characters of a secret's ARN. To read several secrets by one call is a right on no resource: each value takes the right to read its secret.",
    });
    return policy;
  });
}

/** Statements in groups that each fit into a managed policy; one with many resources is taken apart. */
export function pack(
  scope: Construct,
  statements: readonly PolicyStatement[],
): readonly (readonly PolicyStatement[])[] {
  const groups: PolicyStatement[][] = [];
  let room = 0;
  for (const statement of statements.flatMap(apart)) {
    const size = sizeOf(scope, statement);
    const group = groups.at(-1);
    if (group === undefined || size > room) {
      groups.push([statement]);
      room = policyMax - envelope - size;
    } else {
      group.push(statement);
      room -= size;
    }
  }
  return groups;
}

const envelope = '{"Version":"2012-10-17","Statement":[]}'.length;
const resourcesAtOnce = 40;

function apart(statement: PolicyStatement): readonly PolicyStatement[] {
  const { resources } = statement;
  if (resources.length <= resourcesAtOnce) return [statement];
  return Array.from({ length: Math.ceil(resources.length / resourcesAtOnce) }, (_, at) =>
    statement.copy({ resources: resources.slice(at * resourcesAtOnce, (at + 1) * resourcesAtOnce) }),
  );
}

/** What stands for an account or a partition until the stack is deployed is longer than that, so this is never too little. */
function sizeOf(scope: Construct, statement: PolicyStatement): number {
  return JSON.stringify(Stack.of(scope).resolve(statement.toStatementJson())).length + 1;
}
