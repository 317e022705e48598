import { SecretsManagerClient, type SecretsManagerClientConfig } from "@aws-sdk/client-secrets-manager";

/**
 * A client whose call is answered, or has failed, long before a step's deadline: three tries of at most three seconds each. Every call of
 * ours may be carried out twice, so the SDK may repeat all of them.
 */
export function secretsManagerClient(config: SecretsManagerClientConfig = {}): SecretsManagerClient {
  return new SecretsManagerClient({
    retryMode: "standard",
    maxAttempts: 3,
    requestHandler: { connectionTimeout: 1_000, requestTimeout: 3_000, throwOnRequestTimeout: true },
    ...config,
  });
}
