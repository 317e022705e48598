import { Stack } from "aws-cdk-lib";
import { AccountPrincipal, Role } from "aws-cdk-lib/aws-iam";
import type { IKey } from "aws-cdk-lib/aws-kms";
import { Construct } from "constructs";
import { KeyturnError } from "../core/errors.ts";
import { accountOf, hubRole } from "./accounts.ts";
import { installationTag, Names, partTag } from "./names.ts";
import { byType, type Plan } from "./plan.ts";
import { secretKeyRights } from "./rights.ts";
import { attach, secretRights } from "./secret-rights.ts";

export interface KeyturnAccountProps {
  /** The installation, and all of its secrets: those that the manifest says are in this stack's account are let in to. */
  readonly plan: Plan;
  /** The keys by which the secrets are encrypted, where they are not encrypted by `aws/secretsmanager`. */
  readonly secretKeys?: readonly IKey[];
}

/** The role of another account, by which the functions of the hub reach that account's secrets; nobody else may take it. */
export class KeyturnAccount extends Construct {
  readonly role: Role;

  constructor(scope: Construct, id: string, { plan, secretKeys = [] }: KeyturnAccountProps) {
    super(scope, id);
    const names = new Names(plan.installation);
    const { account } = Stack.of(this);
    const isHere = (ref: string) => accountOf(plan, ref) === account;
    const types = [...byType(plan.secrets)].filter(([, secrets]) =>
      secrets.some(({ ref, admin = ref }) => isHere(ref) || isHere(admin)),
    );
    if (account === plan.account || types.length === 0) {
      throw new KeyturnError(
        "config-invalid",
        `the manifest has no secret of ${names.installation} in another account that is ${account}: say \`account\` of its secrets, and give the stack its account (env)`,
      );
    }
    this.role = new Role(this, "Role", {
      roleName: hubRole(names),
      description: `What the functions of ${names.prefix} in ${plan.account} may do here`,
      assumedBy: new AccountPrincipal(plan.account).withConditions({
        StringEquals: {
          [`aws:PrincipalTag/${installationTag}`]: plan.installation,
          // What answers incidents looks at what holds a stage there.
          [`aws:PrincipalTag/${partTag}`]: [...types.map(([type]) => type), "revoke"],
        },
      }),
    });
    const statements = types.flatMap(([, secrets]) =>
      secretRights(this, plan.installation, secrets, "name", isHere),
    );
    attach(this, this.role, `The secrets that ${names.prefix} rotates here`, [
      ...statements,
      ...secretKeyRights(this, secretKeys, ["kms:Decrypt", "kms:GenerateDataKey"]),
    ]);
  }
}
