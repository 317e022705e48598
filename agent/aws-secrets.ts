import { GetSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { KeyturnError } from "../core/errors.ts";
import { type AwsPart, awsErrorName } from "../functions/aws-errors.ts";
import { noValue, stageOf } from "../functions/secret-stages.ts";
import { answerSoon, clientConfig, translate } from "./aws-calls.ts";
import type { AwsOptions } from "./aws-options.ts";

const part: AwsPart = { name: "Secrets Manager", outage: "store-unavailable" };

/** One version of a secret. */
interface Read {
  readonly version: string;
  readonly value: string;
}

/** Secrets Manager, asked by the process's own identity. */
export class AwsSecrets {
  readonly #client: SecretsManagerClient;

  constructor(aws: AwsOptions) {
    this.#client = new SecretsManagerClient({ ...clientConfig(aws), requestHandler: answerSoon });
  }

  /** Absent too where the label is on a version that has no value, or that says nothing any more. */
  async read(ref: string, stage: "current" | "pending"): Promise<Read | undefined> {
    try {
      const VersionStage = stage === "current" ? "AWSCURRENT" : "AWSPENDING";
      const told = await this.#client.send(new GetSecretValueCommand({ SecretId: ref, VersionStage }));
      const { VersionId: version = "", VersionStages: labels = [], SecretString: value } = told;
      if (value === undefined) {
        throw new KeyturnError(
          "credential-invalid",
          `version ${version} of ${ref} is binary, and not the JSON text of a credential`,
        );
      }
      return value === noValue || stageOf(version, labels) !== stage ? undefined : { version, value };
    } catch (thrown) {
      const name = awsErrorName(thrown);
      if (name === "ResourceNotFoundException") return undefined;
      if (name === "InvalidRequestException" && isBeingDeleted(thrown)) {
        throw new KeyturnError("secret-missing", `${ref} is scheduled for deletion in Secrets Manager`);
      }
      throw translate(thrown, part, `reading ${ref}`);
    }
  }

  close(): void {
    this.#client.destroy();
  }
}

function isBeingDeleted(thrown: unknown): boolean {
  return thrown instanceof Error && /(marked|scheduled) for deletion/.test(thrown.message);
}
