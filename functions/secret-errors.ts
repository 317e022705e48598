import { KeyturnError } from "../core/errors.ts";
import { awsErrorName, translateAws } from "./aws-errors.ts";

const part = { name: "Secrets Manager", outage: "store-unavailable" } as const;

/** What Secrets Manager threw, as a KeyturnError that names the secret and what a person does about it. */
export function translateSecretsManager(thrown: unknown, ref: string, doing: string): KeyturnError {
  const message = thrown instanceof Error ? thrown.message : "";
  switch (awsErrorName(thrown)) {
    case "AccessDeniedException":
      if (!/Access to KMS is not allowed/.test(message)) break;
      return new KeyturnError(
        "role-lacks-rights",
        `Secrets Manager: ${doing} ${ref}: its KMS key is refused (needs kms:Decrypt, and kms:GenerateDataKey to write)`,
      );
    case "DecryptionFailure":
    case "EncryptionFailure":
      return new KeyturnError(
        "store-unavailable",
        `Secrets Manager: ${doing} ${ref}: its KMS key cannot be used; is it disabled, or waiting for its deletion?`,
      );
    case "InvalidRequestException":
      if (/(marked|scheduled) for deletion/.test(message)) return beingDeleted(ref);
      break;
    case "LimitExceededException":
      return new KeyturnError(
        "request-refused",
        `${ref} is at a quota of Secrets Manager: 20 labels on all of its versions together; take away labels that are not needed`,
      );
    case "ResourceNotFoundException":
      return secretMissing(ref);
  }
  return translateAws(thrown, part, `${doing} ${ref}`);
}

export function secretMissing(ref: string): KeyturnError {
  return new KeyturnError(
    "secret-missing",
    `Secrets Manager has no secret ${ref}: deploy the stack that makes it, or let the command make it`,
  );
}

export function beingDeleted(ref: string): KeyturnError {
  return new KeyturnError(
    "secret-missing",
    `${ref} is scheduled for deletion in Secrets Manager: restore it (aws secretsmanager restore-secret), or take it out of the manifest`,
  );
}

export function conflict(message: string): KeyturnError {
  return new KeyturnError("conflict", message);
}
