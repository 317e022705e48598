import {
  BatchGetSecretValueCommand,
  CreateSecretCommand,
  DescribeSecretCommand,
  GetSecretValueCommand,
  ListSecretsCommand,
  ListSecretVersionIdsCommand,
  PutSecretValueCommand,
  type SecretListEntry,
  type SecretsManagerClient,
  type SecretValueEntry,
  type SecretVersionsListEntry,
  UpdateSecretVersionStageCommand,
} from "@aws-sdk/client-secrets-manager";
import { KeyturnError } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";
import { awsErrorName } from "./aws-errors.ts";
import { beingDeleted, translateSecretsManager } from "./secret-errors.ts";
import { noValue, Stages } from "./secret-stages.ts";

/** A version that has a value. */
export interface Found {
  readonly version: string;
  readonly value: Secret;
  readonly labels: readonly string[];
  readonly createdAt: number;
}

export interface NewSecret {
  readonly kmsKeyId?: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** What a batch as a whole is refused with because of one of its secrets. */
const ofOne = ["DecryptionFailure", "InvalidRequestException", "ResourceNotFoundException"];

/** One method a call to Secrets Manager: absent is `undefined`, another's move is `"lost"`, everything else throws a KeyturnError. */
export class SecretCalls {
  readonly #client: SecretsManagerClient;

  constructor(client: SecretsManagerClient) {
    this.#client = client;
  }

  /** The labels of a secret that may be written here. Refuses what belongs to another service, to another region, or to the past. */
  async describe(ref: string): Promise<Stages | undefined> {
    try {
      const told = await this.#client.send(new DescribeSecretCommand({ SecretId: ref }));
      if (told.DeletedDate !== undefined) throw beingDeleted(ref);
      if (told.OwningService !== undefined) {
        throw new KeyturnError(
          "not-managed",
          `${ref} is managed by ${told.OwningService}, which alone may change it: let that service rotate it`,
        );
      }
      const region = await this.#client.config.region();
      if (told.PrimaryRegion !== undefined && told.PrimaryRegion !== region) {
        throw new KeyturnError(
          "config-invalid",
          `${ref} in ${region} is a replica: the store's region has to be ${told.PrimaryRegion}, where its original is`,
        );
      }
      return new Stages(told.VersionIdsToStages ?? {});
    } catch (thrown) {
      if (awsErrorName(thrown) === "ResourceNotFoundException") return undefined;
      throw translateSecretsManager(thrown, ref, "describing");
    }
  }

  async get(
    ref: string,
    which: { VersionStage: string } | { VersionId: string },
  ): Promise<Found | undefined> {
    try {
      return foundIn(ref, await this.#client.send(new GetSecretValueCommand({ SecretId: ref, ...which })));
    } catch (thrown) {
      if (awsErrorName(thrown) === "ResourceNotFoundException") return undefined;
      throw translateSecretsManager(thrown, ref, "reading");
    }
  }

  /** Of several secrets by one call. What it could not read is missing from the answer; `"refused"` where the role may not ask so. */
  async getCurrents(refs: readonly string[]): Promise<ReadonlyMap<string, Found | undefined> | "refused"> {
    try {
      const told = await this.#client.send(new BatchGetSecretValueCommand({ SecretIdList: [...refs] }));
      const values = told.SecretValues ?? [];
      return new Map(
        values.flatMap((value) => {
          const { Name = "", SecretString } = value;
          return SecretString === undefined ? [] : [[Name, foundIn(Name, value)] as const];
        }),
      );
    } catch (thrown) {
      const name = awsErrorName(thrown);
      if (name === "AccessDeniedException") return "refused";
      // Something is the matter with one of them: which one it is, and whether that is wrong, each says for itself.
      if (ofOne.includes(name ?? "")) return new Map();
      throw translateSecretsManager(thrown, refs.join(", "), "reading");
    }
  }

  /** Gives the labels of the version that has the value now; `"lost"` where it has another value already, and then no label moves. */
  async put(
    ref: string,
    version: string,
    text: string,
    labels: readonly string[],
    rotationToken?: Secret,
  ): Promise<readonly string[] | "lost"> {
    try {
      const told = await this.#client.send(
        new PutSecretValueCommand({
          SecretId: ref,
          ClientRequestToken: version,
          SecretString: text,
          VersionStages: [...labels],
          RotationToken: rotationToken?.reveal(),
        }),
      );
      return told.VersionStages ?? [];
    } catch (thrown) {
      if (awsErrorName(thrown) === "ResourceExistsException") return "lost";
      throw translateSecretsManager(thrown, ref, "writing");
    }
  }

  /** A compare-and-set: the label moves, or goes, only if it is where it is said to be. */
  async move(
    ref: string,
    label: string,
    to: string | undefined,
    from: string | undefined,
  ): Promise<"moved" | "lost"> {
    try {
      await this.#client.send(
        new UpdateSecretVersionStageCommand({
          SecretId: ref,
          VersionStage: label,
          MoveToVersionId: to,
          RemoveFromVersionId: from === to ? undefined : from,
        }),
      );
      return "moved";
    } catch (thrown) {
      const name = awsErrorName(thrown) ?? "";
      if (["InvalidParameterException", "ResourceNotFoundException"].includes(name)) return "lost";
      throw translateSecretsManager(thrown, ref, "labelling");
    }
  }

  /** Makes the secret with its first version, which holds no value. Somebody was faster: done. */
  async create(ref: string, version: string, text: string, { kmsKeyId, tags }: NewSecret): Promise<void> {
    try {
      await this.#client.send(
        new CreateSecretCommand({
          Name: ref,
          ClientRequestToken: version,
          SecretString: text,
          KmsKeyId: kmsKeyId,
          Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
        }),
      );
    } catch (thrown) {
      if (awsErrorName(thrown) === "ResourceExistsException") return;
      throw translateSecretsManager(thrown, ref, "making");
    }
  }

  /** Those without a label too. */
  async versions(ref: string): Promise<readonly SecretVersionsListEntry[]> {
    const all: SecretVersionsListEntry[] = [];
    try {
      let next: string | undefined;
      do {
        const told = await this.#client.send(
          new ListSecretVersionIdsCommand({
            SecretId: ref,
            IncludeDeprecated: true,
            MaxResults: 100,
            NextToken: next,
          }),
        );
        all.push(...(told.Versions ?? []));
        next = told.NextToken;
      } while (next !== undefined);
      return all;
    } catch (thrown) {
      if (awsErrorName(thrown) === "ResourceNotFoundException") return [];
      throw translateSecretsManager(thrown, ref, "listing the versions of");
    }
  }

  async list(prefix: string): Promise<readonly SecretListEntry[]> {
    const all: SecretListEntry[] = [];
    const Filters = prefix === "" ? undefined : [{ Key: "name" as const, Values: [prefix] }];
    try {
      let next: string | undefined;
      do {
        const told = await this.#client.send(
          new ListSecretsCommand({ Filters, MaxResults: 100, NextToken: next }),
        );
        all.push(...(told.SecretList ?? []));
        next = told.NextToken;
      } while (next !== undefined);
      return all;
    } catch (thrown) {
      throw translateSecretsManager(thrown, prefix, "listing the secrets");
    }
  }
}

function foundIn(ref: string, told: SecretValueEntry): Found | undefined {
  const { VersionId: version = "", SecretString: text, VersionStages: labels = [], CreatedDate } = told;
  if (text === undefined) {
    throw new KeyturnError(
      "credential-invalid",
      `version ${version} of ${ref} is binary: store the JSON text of a credential as SecretString`,
    );
  }
  if (text === noValue) return undefined;
  return { version, value: new Secret(text), labels, createdAt: CreatedDate?.getTime() ?? 0 };
}
