import { Stack } from "aws-cdk-lib";
import type { Construct } from "constructs";
import { KeyturnError } from "../core/errors.ts";
import { Names } from "./names.ts";
import { type Plan, type PlannedSecret, references } from "./plan.ts";

/** The account that a secret is in. */
export function accountOf({ account, accounts }: Plan, ref: string): string {
  return new Map(Object.entries(accounts)).get(ref) ?? account;
}

/** Every other account that has one of these secrets, or the administering login of one. */
export function otherAccounts(plan: Plan, secrets: readonly PlannedSecret[]): readonly string[] {
  const { own, admin } = references(secrets);
  const accounts = new Set([...own, ...admin].map((ref) => accountOf(plan, ref)));
  return [...accounts].filter((account) => account !== plan.account).toSorted();
}

/** By account, the role by which the secrets in it are reached: what was given, or else the one that `KeyturnAccount` makes there. */
export function rolesOf(
  scope: Construct,
  plan: Plan,
  given: Readonly<Record<string, string>>,
): ReadonlyMap<string, string> {
  const { partition } = Stack.of(scope);
  const roles = otherAccounts(plan, plan.secrets).map((account) => {
    const role =
      given[account] ?? `arn:${partition}:iam::${account}:role/${hubRole(new Names(plan.installation))}`;
    if (role.split(":").at(4) === account) return [account, role] as const;
    throw new KeyturnError(
      "config-invalid",
      `accounts: ${role} is no role of ${account}: give the ARN of one that is in that account`,
    );
  });
  return new Map(roles);
}

/** The role that lets the installation in, in another account. */
export function hubRole({ prefix }: Names): string {
  return `${prefix}-hub`;
}
