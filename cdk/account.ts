import { AccountPrincipal, Role } from "aws-cdk-lib/aws-iam";
import type { IKey } from "aws-cdk-lib/aws-kms";
import { Construct } from "constructs";
import { credentialTypes } from "./credential-types.ts";
import { except } from "./exceptions.ts";
import { installationTag, Names, partTag } from "./names.ts";
import { byType, type Plan } from "./plan.ts";
import { secretKeyRights } from "./rights.ts";
import { attach, neededRights, secretRights } from "./secret-rights.ts";

export interface KeyturnAccountProps {
  /** The secrets of this account, and the installation that rotates them. */
  readonly plan: Plan;
  /** The account in which the installation is deployed. */
  readonly hub: string;
  /** The keys by which the secrets are encrypted, where they are not encrypted by `aws/secretsmanager`. */
  readonly secretKeys?: readonly IKey[];
}

/** The role of another account, by which the functions of the hub reach that account's secrets; nobody else may take it. */
export class KeyturnAccount extends Construct {
  readonly role: Role;

  constructor(scope: Construct, id: string, { plan, hub, secretKeys = [] }: KeyturnAccountProps) {
    super(scope, id);
    const names = new Names(plan.installation);
    const types = [...byType(plan.secrets)];
    this.role = new Role(this, "Role", {
      roleName: `${names.prefix}-hub`,
      description: `What the functions of ${names.prefix} in ${hub} may do here`,
      assumedBy: new AccountPrincipal(hub).withConditions({
        StringEquals: {
          [`aws:PrincipalTag/${installationTag}`]: plan.installation,
          [`aws:PrincipalTag/${partTag}`]: types.map(([type]) => type),
        },
      }),
    });
    const statements = types.flatMap(([type, secrets]) => {
      const rotator = credentialTypes.get(type);
      return [
        ...secretRights(this, plan.installation, type, secrets, "name"),
        ...(rotator === undefined ? [] : neededRights(this, rotator, secrets)),
      ];
    });
    attach(this, this.role, `The secrets that ${names.prefix} rotates here`, [
      ...statements,
      ...secretKeyRights(this, secretKeys, ["kms:Decrypt", "kms:GenerateDataKey"]),
    ]);
    except(this, {
      id: "AwsSolutions-IAM5",
      reason: "AWS chooses the last six characters of a secret's ARN.",
    });
  }
}
