import { type Content, type Strictness, StrictSecret, type Version } from "./secret.ts";
import { ServiceError } from "./service-error.ts";

/** What a rotation function is called with: https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html */
export interface RotationEvent {
  readonly Step: "createSecret" | "setSecret" | "testSecret" | "finishSecret";
  readonly SecretId: string;
  readonly ClientRequestToken: string;
  readonly RotationToken: string;
}

export type RotationFunction = (event: RotationEvent) => Promise<unknown>;

/** A secret with everything about it that is not a version. */
export class HeldSecret extends StrictSecret {
  readonly name: string;
  readonly arn: string;
  readonly region: string;
  readonly createdAt: number;
  readonly kmsKeyId: string | undefined;
  readonly tags: Map<string, string>;
  /** The regions that have a copy. */
  readonly replicas = new Set<string>();
  owningService: string | undefined;
  deletedAt: number | undefined;
  rotation: { readonly function: string; enabled: boolean } | undefined;
  /** The rotation that runs now. */
  running: { readonly token: string; readonly rotationToken: string } | undefined;

  constructor(
    about: Pick<HeldSecret, "name" | "arn" | "region" | "createdAt" | "kmsKeyId" | "tags">,
    strictness: Strictness,
  ) {
    super(strictness);
    this.name = about.name;
    this.arn = about.arn;
    this.region = about.region;
    this.createdAt = about.createdAt;
    this.kmsKeyId = about.kmsKeyId;
    this.tags = about.tags;
  }

  /** https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html: without a version and a label it is AWSCURRENT. */
  valued(versionId: string | undefined, stage: string | undefined): Version & { readonly content: Content } {
    const label = stage ?? (versionId === undefined ? "AWSCURRENT" : undefined);
    const holder = label === undefined ? versionId : this.holderOf(label);
    if (versionId !== undefined && label !== undefined && holder !== versionId) {
      throw new ServiceError(
        "InvalidRequestException",
        "You provided a VersionStage that is not associated to the provided VersionId.",
      );
    }
    const version = holder === undefined ? undefined : this.versions.get(holder);
    if (version?.content === undefined) {
      const what = label === undefined ? `VersionId: ${versionId}` : `staging label: ${label}`;
      throw new ServiceError(
        "ResourceNotFoundException",
        `Secrets Manager can't find the specified secret value for ${what}`,
      );
    }
    return { ...version, content: version.content };
  }

  /** A secret that waits for its deletion answers nothing but DescribeSecret and RestoreSecret. */
  assertAlive(): void {
    if (this.deletedAt === undefined) return;
    throw new ServiceError(
      "InvalidRequestException",
      "You can't perform this operation on the secret because it was marked for deletion.",
    );
  }

  /** Only the region that has the original takes writes, and only the service that owns a secret changes it. */
  assertWritable(region: string): void {
    this.assertAlive();
    if (region !== this.region) {
      throw new ServiceError(
        "InvalidRequestException",
        `Operation not permitted on a replica secret. Call must be made in primary secret's region ${this.region}.`,
      );
    }
    if (this.owningService === undefined) return;
    throw new ServiceError(
      "InvalidRequestException",
      "The secret is managed by another service, and you must use that service to update it.",
    );
  }

  describe(region: string): Readonly<Record<string, unknown>> {
    const replicated = this.replicas.size > 0;
    return {
      ARN: this.arn.replace(`:${this.region}:`, `:${region}:`),
      Name: this.name,
      KmsKeyId: this.kmsKeyId,
      RotationEnabled: this.rotation?.enabled,
      RotationLambdaARN: this.rotation?.function,
      CreatedDate: this.createdAt / 1_000,
      DeletedDate: this.deletedAt === undefined ? undefined : this.deletedAt / 1_000,
      OwningService: this.owningService,
      PrimaryRegion: replicated ? this.region : undefined,
      ReplicationStatus: replicated
        ? [...this.replicas].map((each) => ({ Region: each, Status: "InSync" }))
        : undefined,
      Tags: [...this.tags].map(([Key, Value]) => ({ Key, Value })),
    };
  }
}
