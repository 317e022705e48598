import { randomBytes, randomUUID } from "node:crypto";
import { HeldSecret, type RotationFunction } from "./held.ts";
import { listSecrets, listVersions } from "./lists.ts";
import { isOperation, type Operation, parseRequest, type RequestOf } from "./requests.ts";
import { cancelRotation, rotate } from "./rotation.ts";
import type { Content, Strictness } from "./secret.ts";
import { ServiceError } from "./service-error.ts";

type Answer = Readonly<Record<string, unknown>>;

/**
 * Secrets Manager as its documentation says it is, where it says so more strictly than emulators do. Each rule names its page. What the
 * documentation leaves open is an option (`Strictness`), so that a caller can be tried against each answer.
 */
export class StrictSecretsManager {
  readonly strictness: Strictness;
  /** The functions that RotateSecret may call, by ARN. */
  readonly functions = new Map<string, RotationFunction>();
  /** Keys that nobody may use, or that are not usable. */
  readonly kms = new Map<string, "denied" | "disabled">();
  readonly secrets: HeldSecret[] = [];
  readonly #rotations = new Set<Promise<void>>();
  #now = Date.UTC(2026, 0, 1);

  constructor(strictness: Partial<Strictness> = {}) {
    this.strictness = { vanish: "at once", putDropsOtherLabels: false, ...strictness };
  }

  /** Every look is a little later, so that no two versions are of one moment. */
  now(): number {
    this.#now += 7;
    return this.#now;
  }

  /** Resolves when every rotation under way has ended. */
  async settled(): Promise<void> {
    while (this.#rotations.size > 0) await Promise.all(this.#rotations);
  }

  async carryOut(operation: string, region: string, body: unknown): Promise<Answer> {
    if (!isOperation(operation)) throw new ServiceError("UnknownOperationException", operation);
    return this.#carryOut(operation, region, body);
  }

  #carryOut(operation: Operation, region: string, body: unknown): Answer {
    switch (operation) {
      case "CreateSecret":
        return this.#create(region, parseRequest(operation, body));
      case "PutSecretValue":
        return this.#put(region, parseRequest(operation, body));
      case "UpdateSecretVersionStage":
        return this.#move(region, parseRequest(operation, body));
      case "GetSecretValue":
        return this.#get(region, parseRequest(operation, body));
      case "BatchGetSecretValue":
        return this.#batch(region, parseRequest(operation, body));
      case "DescribeSecret": {
        const secret = this.find(region, parseRequest(operation, body).SecretId);
        return { ...secret.describe(region), VersionIdsToStages: secret.stages() };
      }
      case "ListSecrets":
        return listSecrets(this.#in(region), region, parseRequest(operation, body));
      case "ListSecretVersionIds": {
        const request = parseRequest(operation, body);
        return listVersions(this.find(region, request.SecretId), request);
      }
      case "RotateSecret": {
        const request = parseRequest(operation, body);
        const secret = this.#writable(region, request.SecretId);
        const { token, done } = rotate(secret, request, this.functions, () => this.now());
        this.#rotations.add(done);
        void done.finally(() => this.#rotations.delete(done));
        return { ...named(secret), VersionId: token };
      }
      case "CancelRotateSecret":
        return cancelRotation(this.#writable(region, parseRequest(operation, body).SecretId));
      case "DeleteSecret":
        return this.#delete(region, parseRequest(operation, body));
      case "RestoreSecret": {
        const secret = this.find(region, parseRequest(operation, body).SecretId);
        secret.deletedAt = undefined;
        return named(secret);
      }
      case "TagResource": {
        const { SecretId, Tags } = parseRequest(operation, body);
        const secret = this.#writable(region, SecretId);
        if (secret.tags.size + Tags.length > 50) throw new ServiceError("LimitExceededException", "50 tags");
        for (const { Key, Value } of Tags) secret.tags.set(Key, Value);
        return {};
      }
      case "UntagResource": {
        const { SecretId, TagKeys } = parseRequest(operation, body);
        for (const key of TagKeys) this.#writable(region, SecretId).tags.delete(key);
        return {};
      }
      case "ReplicateSecretToRegions": {
        const { SecretId, AddReplicaRegions } = parseRequest(operation, body);
        const secret = this.#writable(region, SecretId);
        for (const { Region } of AddReplicaRegions) secret.replicas.add(Region);
        return { ARN: secret.arn, ReplicationStatus: secret.describe(region).ReplicationStatus };
      }
    }
  }

  /** By name or whole ARN. A replica has its original's name, and its own region in the ARN. */
  find(region: string, id: string): HeldSecret {
    const found = this.#in(region).find((secret) => secret.name === id || secret.describe(region).ARN === id);
    if (found !== undefined) return found;
    throw new ServiceError("ResourceNotFoundException", "Secrets Manager can't find the specified secret.");
  }

  #in(region: string): readonly HeldSecret[] {
    return this.secrets.filter((secret) => secret.region === region || secret.replicas.has(region));
  }

  #writable(region: string, id: string): HeldSecret {
    const secret = this.find(region, id);
    secret.assertWritable(region);
    return secret;
  }

  /** https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html */
  #create(region: string, request: RequestOf<"CreateSecret">): Answer {
    const existing = this.#in(region).find(({ name }) => name === request.Name);
    const token = request.ClientRequestToken ?? randomUUID();
    const content = contentOf(request);
    if (existing?.deletedAt !== undefined) {
      throw new ServiceError(
        "InvalidRequestException",
        "You can't create this secret because a secret with this name is already scheduled for deletion.",
      );
    }
    if (existing !== undefined) {
      if (content === undefined || !existing.versions.has(token)) {
        throw new ServiceError(
          "ResourceExistsException",
          `The operation failed because the secret ${request.Name} already exists.`,
        );
      }
      existing.put(token, content, undefined, this.now());
      return { ...named(existing), VersionId: token };
    }
    this.#assertKey(request.KmsKeyId, "encrypt");
    const arn = `arn:aws:secretsmanager:${region}:111122223333:secret:${request.Name}-${randomBytes(3).toString("hex")}`;
    const tags = new Map((request.Tags ?? []).map(({ Key, Value }) => [Key, Value]));
    const about = {
      name: request.Name,
      arn,
      region,
      createdAt: this.now(),
      kmsKeyId: request.KmsKeyId,
      tags,
    };
    const secret = new HeldSecret(about, this.strictness);
    if (content !== undefined) secret.put(token, content, undefined, this.now());
    this.secrets.push(secret);
    return { ...named(secret), VersionId: content === undefined ? undefined : token };
  }

  #put(region: string, request: RequestOf<"PutSecretValue">): Answer {
    const secret = this.#writable(region, request.SecretId);
    const content = contentOf(request);
    if (content === undefined) {
      throw new ServiceError("InvalidParameterException", "You must provide SecretString or SecretBinary.");
    }
    if (request.RotationToken !== undefined && request.RotationToken !== secret.running?.rotationToken) {
      throw new ServiceError(
        "InvalidRequestException",
        "The rotation token is of no rotation that is running.",
      );
    }
    this.#assertKey(secret.kmsKeyId, "encrypt");
    const token = request.ClientRequestToken ?? randomUUID();
    secret.put(token, content, request.VersionStages, this.now());
    return { ...named(secret), VersionId: token, VersionStages: secret.labelsOf(token) };
  }

  #move(region: string, request: RequestOf<"UpdateSecretVersionStage">): Answer {
    const secret = this.#writable(region, request.SecretId);
    secret.move(request.VersionStage, request.MoveToVersionId, request.RemoveFromVersionId);
    return named(secret);
  }

  #get(region: string, request: RequestOf<"GetSecretValue">): Answer {
    const secret = this.find(region, request.SecretId);
    secret.assertAlive();
    const version = secret.valued(request.VersionId, request.VersionStage);
    this.#assertKey(secret.kmsKeyId, "decrypt");
    return {
      ...named(secret),
      VersionId: version.id,
      SecretString: version.content.string,
      SecretBinary: version.content.binary,
      VersionStages: secret.labelsOf(version.id),
      CreatedDate: version.createdAt / 1_000,
    };
  }

  /** https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html: what cannot be read is listed with its error. */
  #batch(region: string, request: RequestOf<"BatchGetSecretValue">): Answer {
    if ((request.SecretIdList === undefined) === (request.Filters === undefined)) {
      throw new ServiceError("InvalidParameterException", "Give SecretIdList or Filters, and not both.");
    }
    const { SecretIdList, ...filtered } = request;
    const found = SecretIdList
      ? undefined
      : listSecrets(this.#in(region), region, { MaxResults: 20, ...filtered });
    const values: Answer[] = [];
    const errors: Answer[] = [];
    for (const SecretId of SecretIdList ?? found?.SecretList.map(({ Name }) => Name) ?? []) {
      try {
        values.push(this.#get(region, { SecretId }));
      } catch (thrown) {
        if (!(thrown instanceof ServiceError)) throw thrown;
        errors.push({ SecretId, ErrorCode: thrown.name, Message: thrown.message });
      }
    }
    return { SecretValues: values, Errors: errors, NextToken: found?.NextToken };
  }

  /** https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html */
  #delete(region: string, request: RequestOf<"DeleteSecret">): Answer {
    const secret = this.#writable(region, request.SecretId);
    if (secret.replicas.size > 0) {
      throw new ServiceError("InvalidRequestException", "You can't delete a secret that is replicated.");
    }
    const days = request.RecoveryWindowInDays ?? 30;
    if (request.ForceDeleteWithoutRecovery === true) this.secrets.splice(this.secrets.indexOf(secret), 1);
    else secret.deletedAt = this.now();
    return { ...named(secret), DeletionDate: this.now() / 1_000 + days * 86_400 };
  }

  /** https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html: who uses a secret needs its key as well. */
  #assertKey(key: string | undefined, use: "encrypt" | "decrypt"): void {
    const state = key === undefined ? undefined : this.kms.get(key);
    if (state === "denied") throw new ServiceError("AccessDeniedException", "Access to KMS is not allowed");
    if (state === "disabled") {
      throw new ServiceError(
        use === "encrypt" ? "EncryptionFailure" : "DecryptionFailure",
        `${key} is disabled.`,
      );
    }
  }
}

function named({ arn, name }: HeldSecret): Answer {
  return { ARN: arn, Name: name };
}

function contentOf(request: {
  readonly SecretString?: string | undefined;
  readonly SecretBinary?: string | undefined;
}): Content | undefined {
  const { SecretString: string, SecretBinary: binary } = request;
  if (string !== undefined && binary !== undefined) {
    throw new ServiceError("InvalidParameterException", "Give SecretString or SecretBinary, and not both.");
  }
  return string === undefined && binary === undefined ? undefined : { string, binary };
}
