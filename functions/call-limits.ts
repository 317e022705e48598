/**
 * For every client of AWS in a function: a call is answered, or has failed, long before a step's deadline, three tries of at most three seconds each.
 * Without it the SDK waits for ever for a service that takes a call and never answers. Every call of ours may be carried out twice, so the SDK may
 * repeat all of them.
 */
export const callLimits = {
  retryMode: "standard",
  maxAttempts: 3,
  requestHandler: { connectionTimeout: 1_000, requestTimeout: 3_000, throwOnRequestTimeout: true },
} as const;
