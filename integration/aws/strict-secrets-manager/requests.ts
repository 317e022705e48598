import * as z from "zod/mini";
import { ServiceError } from "./service-error.ts";

/** The shapes and bounds of the requests, by the API reference: https://docs.aws.amazon.com/secretsmanager/latest/apireference/ */

const text = (least: number, most: number) => z.string().check(z.minLength(least), z.maxLength(most));
const secretId = text(1, 2048);
const token = text(32, 64);
const label = text(1, 256);
const tags = z.array(z.strictObject({ Key: text(1, 128), Value: text(0, 256) }));
const page = {
  MaxResults: z.optional(z.int().check(z.minimum(1), z.maximum(100))),
  NextToken: z.optional(z.string()),
};
const content = { SecretString: z.optional(text(1, 65_536)), SecretBinary: z.optional(text(1, 87_384)) };
const filters = z
  .array(
    z.strictObject({
      Key: z.enum(["description", "name", "tag-key", "tag-value", "primary-region", "owning-service", "all"]),
      Values: z
        .array(z.string().check(z.regex(/^!?[a-zA-Z0-9 :_@/+=.\-!]*$/), z.maxLength(512)))
        .check(z.minLength(1), z.maxLength(10)),
    }),
  )
  .check(z.maxLength(10));

export const requests = {
  CreateSecret: z.strictObject({
    Name: z.string().check(z.regex(/^[A-Za-z0-9/_+=.@-]{1,512}$/)),
    ClientRequestToken: z.optional(token),
    Description: z.optional(text(0, 2048)),
    KmsKeyId: z.optional(text(0, 2048)),
    Tags: z.optional(tags),
    ...content,
  }),
  PutSecretValue: z.strictObject({
    SecretId: secretId,
    ClientRequestToken: z.optional(token),
    VersionStages: z.optional(z.array(label).check(z.minLength(1), z.maxLength(20))),
    RotationToken: z.optional(text(36, 256)),
    ...content,
  }),
  UpdateSecretVersionStage: z.strictObject({
    SecretId: secretId,
    VersionStage: label,
    RemoveFromVersionId: z.optional(token),
    MoveToVersionId: z.optional(token),
  }),
  GetSecretValue: z.strictObject({
    SecretId: secretId,
    VersionId: z.optional(token),
    VersionStage: z.optional(label),
  }),
  BatchGetSecretValue: z.strictObject({
    SecretIdList: z.optional(z.array(secretId).check(z.minLength(1), z.maxLength(20))),
    Filters: z.optional(filters),
    MaxResults: z.optional(z.int().check(z.minimum(1), z.maximum(20))),
    NextToken: z.optional(z.string()),
  }),
  DescribeSecret: z.strictObject({ SecretId: secretId }),
  ListSecrets: z.strictObject({
    IncludePlannedDeletion: z.optional(z.boolean()),
    Filters: z.optional(filters),
    SortOrder: z.optional(z.enum(["asc", "desc"])),
    ...page,
  }),
  ListSecretVersionIds: z.strictObject({
    SecretId: secretId,
    IncludeDeprecated: z.optional(z.boolean()),
    ...page,
  }),
  RotateSecret: z.strictObject({
    SecretId: secretId,
    ClientRequestToken: z.optional(token),
    RotationLambdaARN: z.optional(text(0, 2048)),
    RotationRules: z.optional(
      z.strictObject({
        AutomaticallyAfterDays: z.optional(z.int().check(z.minimum(1), z.maximum(1000))),
        Duration: z.optional(z.string()),
        ScheduleExpression: z.optional(z.string()),
      }),
    ),
    RotateImmediately: z.optional(z.boolean()),
  }),
  CancelRotateSecret: z.strictObject({ SecretId: secretId }),
  DeleteSecret: z.strictObject({
    SecretId: secretId,
    RecoveryWindowInDays: z.optional(z.int().check(z.minimum(7), z.maximum(30))),
    ForceDeleteWithoutRecovery: z.optional(z.boolean()),
  }),
  RestoreSecret: z.strictObject({ SecretId: secretId }),
  TagResource: z.strictObject({ SecretId: secretId, Tags: tags }),
  UntagResource: z.strictObject({ SecretId: secretId, TagKeys: z.array(text(1, 128)) }),
  ReplicateSecretToRegions: z.strictObject({
    SecretId: secretId,
    AddReplicaRegions: z
      .array(z.strictObject({ Region: text(1, 128), KmsKeyId: z.optional(text(0, 2048)) }))
      .check(z.minLength(1)),
    ForceOverwriteReplicaSecret: z.optional(z.boolean()),
  }),
} as const;

export type Operation = keyof typeof requests;
export type RequestOf<Name extends Operation> = z.output<(typeof requests)[Name]>;

export function isOperation(name: string): name is Operation {
  return Object.hasOwn(requests, name);
}

/** A request that breaks a bound, or has a field that the operation does not know, names the field and never its value. */
export function parseRequest<Name extends Operation>(name: Name, body: unknown): RequestOf<Name>;
export function parseRequest(name: Operation, body: unknown): unknown {
  const parsed = z.safeParse(requests[name], body);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map(({ path, code }) => `${path.join(".") || "request"}: ${code}`);
  throw new ServiceError("InvalidParameterException", `Invalid parameters of ${name}: ${fields.join("; ")}`);
}
