import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import type { OpenManifest } from "./open.ts";
import type { RevokeResult } from "./results/revoke.ts";
import type { ChosenAgent } from "./revoke-choose.ts";

/** Ends every token of a host in every store, so that it cannot read the successors of what it may have leaked. Twice is once. */
export async function revokeTokens(
  opened: OpenManifest,
  { principal, fleets }: ChosenAgent,
): Promise<{ readonly agent: RevokeResult["agent"]; readonly failures: readonly KeyturnError[] }> {
  const stores = await opened.stores();
  const settled = await Promise.allSettled(stores.map(({ local }) => local?.tokens.revoke(principal) ?? 0));
  let tokensRevoked = 0;
  // On AWS a host is known by its role, and has no token of ours.
  const failures = stores.flatMap(({ name, local }) =>
    local === undefined
      ? new KeyturnError(
          "request-refused",
          `${principal} may still read what its role may read in store ${name}: end the role's sessions in IAM`,
        )
      : [],
  );
  for (const [index, one] of settled.entries()) {
    if (one.status === "fulfilled") tokensRevoked += one.value;
    else {
      const { code, message } = asKeyturnError(one.reason);
      const what = `the tokens of ${principal} in store ${stores[index]?.name} still work: ${message}`;
      failures.push(new KeyturnError(code, what, { cause: one.reason }));
    }
  }
  return { agent: { principal, tokensRevoked, fleets: [...fleets] }, failures };
}
