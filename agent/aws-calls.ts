import { KeyturnError } from "../core/errors.ts";
import { type AwsPart, translateAws } from "../functions/aws-errors.ts";
import type { AwsOptions } from "./aws-options.ts";

/** What every client of the SDK is made with. It tries again by itself, for a bounded time. */
export function clientConfig({ region, credentials, endpoint }: AwsOptions) {
  return {
    ...(region === undefined ? {} : { region }),
    ...(credentials === undefined ? {} : { credentials }),
    ...(endpoint === undefined ? {} : { endpoint }),
    retryMode: "standard",
    maxAttempts: 4,
  } as const;
}

/** Of a call that somebody waits for. */
export const answerSoon = {
  connectionTimeout: 2_000,
  requestTimeout: 5_000,
  throwOnRequestTimeout: true,
} as const;

/** Whatever a call has thrown, as a KeyturnError that quotes nothing of what was sent or answered. */
export function translate(thrown: unknown, part: AwsPart, doing: string): KeyturnError {
  if (thrown instanceof Error && thrown.name === "CredentialsProviderError") {
    return new KeyturnError("role-lacks-rights", `${part.name}: ${doing}: no credentials of AWS were found`);
  }
  return translateAws(thrown, part, doing);
}
