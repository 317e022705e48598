import type { SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import * as z from "zod/mini";
import { KeyturnError } from "../core/errors.ts";
import type { Credentials, Taking } from "./assume-role.ts";

/** A role is in the account that it is named for: whoever mixes two up would write secrets of one account into the other. */
const Roles = z
  .record(z.string(), z.string())
  .check(
    z.refine((roles) =>
      Object.entries(roles).every(
        ([account, role]) => /^arn:[^:]+:iam::(\d{12}):role\/.+$/.exec(role)?.[1] === account,
      ),
    ),
  );

/** KEYTURN_ROLES: by account, the role by which the secrets in it are reached. Throws `config-invalid` for what is none, and for an account that has none. */
export function readRoles(text = "{}"): AccountsOptions["roleFor"] {
  const read = Roles.safeParse(parsed(text));
  if (!read.success) {
    throw new KeyturnError(
      "config-invalid",
      "the environment's KEYTURN_ROLES does not say a role of each account by its ARN, as JSON",
    );
  }
  const roles = new Map(Object.entries(read.data));
  return (account, ref) => {
    const role = roles.get(account);
    if (role !== undefined) return role;
    throw new KeyturnError(
      "config-invalid",
      `${ref} is in the account ${account}, and no role of that account is known here: deploy KeyturnAccount there, and the installation again`,
    );
  };
}

interface AccountsOptions extends Taking {
  /** The installation's own account, and how its secrets are reached. */
  readonly own: { readonly account: string; readonly client: SecretsManagerClient };
  readonly accountOf: (ref: string) => string;
  /** The role that lets in to an account, for a secret in it. Throws `config-invalid` where there is none. */
  readonly roleFor: (account: string, ref: string) => string;
  /** A client that signs with these. */
  readonly open: (credentials: () => Promise<Credentials>) => SecretsManagerClient;
}

/**
 * Gives the client by which a secret is reached, the same one each time. A role is taken when a secret of its account is first asked for, and again by
 * the SDK before it ends: an account that refuses keeps up its own secrets only.
 */
export function clientsByAccount(options: AccountsOptions): (ref: string) => SecretsManagerClient {
  const { own, accountOf, roleFor, open } = options;
  const clients = new Map([[own.account, own.client]]);
  return (ref) => {
    const account = accountOf(ref);
    const known = clients.get(account);
    if (known !== undefined) return known;
    const role = roleFor(account, ref);
    // Most functions never take a role, and start sooner without what does it.
    const client = open(async () => (await import("./assume-role.ts")).assume(role, options));
    clients.set(account, client);
    return client;
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
