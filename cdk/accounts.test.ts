import { Stack } from "aws-cdk-lib";
import { Match, Template } from "aws-cdk-lib/assertions";
import { beforeAll, describe, expect, it } from "vitest";
import { KeyturnAccount } from "./account.ts";
import type { Plan } from "./plan.ts";
import { appOf, plan as here, secretOf, stackOf } from "./sample-plan.contract.ts";

const member = "444455556666";
const role = `arn:aws:iam::${member}:role/keyturn-prod-hub`;

/** One of the two secrets of its type is in another account. */
const plan: Plan = {
  ...here,
  secrets: [
    ...here.secrets,
    secretOf("partner/db", { type: "postgres-password", fleets: [], admin: undefined }),
  ],
  accounts: { "partner/db": member },
};

let template: Template;
beforeAll(() => {
  template = Template.fromStack(stackOf({ plan }).stack);
}, 120_000);

/** What roles and policies of that type's function say, as text. */
function rightsOf(type: string): string {
  const found = ["AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"].flatMap((kind) =>
    Object.entries(template.findResources(kind)).filter(([id]) =>
      id.includes(`Type${type.replaceAll("-", "")}`),
    ),
  );
  expect(found.length).toBeGreaterThan(0);
  return JSON.stringify(found);
}

describe("the hub", () => {
  it("may take the role of an account where a type has secrets, and beside them only what answers incidents", () => {
    template.hasResourceProperties("AWS::IAM::Policy", {
      PolicyDocument: {
        Statement: Match.arrayWith([{ Action: "sts:AssumeRole", Effect: "Allow", Resource: role }]),
      },
    });
    expect(rightsOf("postgres-password")).toContain(role);
    for (const type of ["postgres-alternating", "aws-iam-access-key"])
      expect(rightsOf(type)).not.toContain("sts:AssumeRole");
    const whole = JSON.stringify(template.toJSON());
    expect(whole.split('sts:AssumeRole","Effect":"Allow","Resource')).toHaveLength(3);
    const policies = Object.entries(template.findResources("AWS::IAM::Policy"));
    const takers = policies.filter(([, policy]) => JSON.stringify(policy).includes("sts:AssumeRole"));
    expect(takers.map(([id]) => /Revoke|Type/.exec(id)?.[0]).toSorted()).toEqual(["Revoke", "Type"]);
  });

  it("has no rights of its own on what is elsewhere, tells Secrets Manager nothing of it, and lets nobody call from there", () => {
    expect(rightsOf("postgres-password")).toContain(":secret:legacy/app-");
    expect(JSON.stringify(template.toJSON())).not.toContain(":secret:partner/db-");
    const rotated = Object.values(template.findResources("AWS::SecretsManager::RotationSchedule"));
    expect(rotated.map(({ Properties }) => Properties.SecretId).toSorted()).toEqual(
      here.secrets.map(({ ref }) => ref).toSorted(),
    );
    template.allResourcesProperties("AWS::Lambda::Permission", {
      SourceAccount: Match.not(member),
    });
  });

  it("tells its functions the role, or the one that was given for it", () => {
    const told = (roleArn: string) => ({
      Environment: { Variables: Match.objectLike({ KEYTURN_ROLES: JSON.stringify({ [member]: roleArn }) }) },
      FunctionName: "keyturn-prod-postgres-password",
    });
    template.hasResourceProperties("AWS::Lambda::Function", told(role));
    const given = `arn:aws:iam::${member}:role/rotation/ours`;
    const other = Template.fromStack(stackOf({ plan, accounts: { [member]: given } }).stack);
    other.hasResourceProperties("AWS::Lambda::Function", told(given));
    const wrong = { [member]: "arn:aws:iam::111122223333:role/keyturn-prod-hub" };
    expect(() => stackOf({ plan, accounts: wrong })).toThrow(/is no role of 444455556666/);
  }, 120_000);
});

describe("another account", () => {
  const newStack = (account: string) => new Stack(appOf(), "Some", { env: { account, region: "eu-west-1" } });

  it("lets in the functions of this installation whose types have secrets in it and what answers incidents, to those alone", () => {
    const stack = newStack(member);
    new KeyturnAccount(stack, "Account", { plan });
    const account = Template.fromStack(stack);
    account.hasResourceProperties("AWS::IAM::Role", {
      RoleName: "keyturn-prod-hub",
      AssumeRolePolicyDocument: {
        Statement: [
          {
            Action: "sts:AssumeRole",
            Effect: "Allow",
            Principal: { AWS: "arn:aws:iam::111122223333:root" },
            Condition: {
              StringEquals: {
                "aws:PrincipalTag/keyturn:installation": "prod",
                "aws:PrincipalTag/keyturn:part": ["postgres-password", "revoke"],
              },
            },
          },
        ],
      },
    });
    const statements = Object.values(account.findResources("AWS::IAM::ManagedPolicy")).flatMap(
      ({ Properties }) => Properties.PolicyDocument.Statement,
    );
    expect(statements).toHaveLength(1);
    expect(statements[0].Action).toContain("secretsmanager:UpdateSecretVersionStage");
    expect(JSON.stringify(statements[0].Resource)).toContain(`eu-west-1:${member}:secret:partner/db-??????`);
    expect(JSON.stringify(statements)).not.toContain("legacy/app");
    const actions: readonly string[] = statements[0].Action;
    expect(actions.filter((action) => !action.startsWith("secretsmanager:"))).toEqual([]);
  });

  it("that has an administering login only lets it be read, and the hub names it no more", () => {
    const admin = { ...here, accounts: { "billing/db-admin": member } };
    const stack = newStack(member);
    new KeyturnAccount(stack, "Account", { plan: admin });
    const account = Template.fromStack(stack);
    account.hasResourceProperties("AWS::IAM::ManagedPolicy", {
      PolicyDocument: {
        Statement: [
          {
            Action: [
              "secretsmanager:DescribeSecret",
              "secretsmanager:GetSecretValue",
              "secretsmanager:ListSecretVersionIds",
            ],
          },
        ],
      },
    });
    const hub = JSON.stringify(Template.fromStack(stackOf({ plan: admin }).stack).toJSON());
    expect(hub).toContain(role);
    expect(hub).not.toContain(":secret:billing/db-admin-");
    expect(hub).toContain(":secret:billing/db-?");
  }, 120_000);

  it.each(["999900001111", "111122223333"])("in which no secret is is refused: %s", (account) => {
    expect(() => new KeyturnAccount(newStack(account), "Account", { plan })).toThrow(
      /no secret of prod in another account that is \d{12}: say `account`/,
    );
  });
});
