import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Stack } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { describe, expect, it, vi } from "vitest";
import { KeyturnAccount } from "./account.ts";
import { appOf, plan, secretOf, stackOf } from "./sample-plan.contract.ts";
import { flawsOf, type Statement, statementsOf } from "./statements.contract.ts";

/** A synthesis takes seconds, and more where others are at work. */
vi.setConfig({ testTimeout: 120_000 });

const member = "444455556666";
const everything = {
  webhook: { secret: "ops/github" },
  githubApp: { secret: "ops/github-app" },
  revocableRoles: ["arn:aws:iam::111122223333:role/agents"],
};

/** Every stack whose rights differ. */
const stacks: Readonly<Record<string, () => Stack>> = {
  "by names": () => stackOf(everything).stack,
  "by tags": () => stackOf({ ...everything, plan: { ...plan, secretsBy: "tag" } }).stack,
  "of several accounts": () =>
    stackOf({
      plan: {
        ...plan,
        secrets: [...plan.secrets, secretOf("partner/db", { fleets: [], admin: undefined })],
        accounts: { "partner/db": member },
      },
    }).stack,
  "another account": () => {
    const stack = new Stack(appOf(), "Member", { env: { account: member, region: "eu-west-1" } });
    new KeyturnAccount(stack, "Keyturn", {
      plan: {
        ...plan,
        secrets: [secretOf("partner/db", { fleets: [], admin: undefined })],
        accounts: { "partner/db": member },
      },
    });
    return stack;
  },
};

async function flawsIn(statements: readonly (readonly [string, Statement])[]): Promise<readonly string[]> {
  const found = await Promise.all(
    statements.map(async ([id, statement]) => (await flawsOf(statement)).map((flaw) => `${id}: ${flaw}`)),
  );
  return found.flat();
}

describe("AWS can give every right that is written down:", () => {
  it.each(Object.entries(stacks))("the stack %s", async (_, made) => {
    const template = Template.fromStack(made()).toJSON();
    const statements = statementsOf({ Resources: template.Resources });
    expect(statements.length).toBeGreaterThan(0);
    expect(await flawsIn(statements)).toEqual([]);
  });

  it("what docs/aws-permissions.md has for people", async () => {
    const page = readFileSync(join(import.meta.dirname, "../docs/aws-permissions.md"), "utf8");
    const policies = [...page.matchAll(/```json\n(?<json>\{.*?\n\})\n```/gs)].map(({ groups }) =>
      JSON.parse(groups?.json ?? ""),
    );
    const statements = policies.flatMap(({ Statement: said }): [string, Statement][] =>
      [said].flat().map((statement: Statement) => [statement.Sid ?? "", statement]),
    );
    expect(statements.length).toBeGreaterThan(10);
    expect(await flawsIn(statements)).toEqual([]);
  });
});

describe("it is found where AWS cannot:", () => {
  const queue = "arn:aws:sqs:eu-west-1:1:work";
  const key = "arn:aws:kms:eu-west-1:1:key/*";
  it.each<[string, Statement, readonly string[]]>([
    [
      "an action that there is not",
      { Action: "sqs:Sned", Resource: queue },
      ["there is no action sqs:Sned", `nothing of it is asked of ${queue}`],
    ],
    [
      "an action on no resource, for one",
      { Action: ["sqs:SendMessage", "sqs:ListQueues"], Resource: queue },
      [`sqs:ListQueues is not asked of ${queue}`],
    ],
    [
      "a resource of another kind",
      { Action: "sqs:SendMessage", Resource: [queue, key] },
      [`nothing of it is asked of ${key}`],
    ],
    [
      "objects, for what is about a bucket",
      { Action: "s3:ListBucket", Resource: "arn:aws:s3:::audit/chains/*" },
      [
        "s3:ListBucket is not asked of arn:aws:s3:::audit/chains/*",
        "nothing of it is asked of arn:aws:s3:::audit/chains/*",
      ],
    ],
    [
      "a condition on what a call does not have",
      {
        Action: ["kms:Sign", "kms:Decrypt"],
        Resource: key,
        Condition: { StringEquals: { "kms:SigningAlgorithm": "ED25519_SHA_512" } },
      },
      ["kms:Decrypt has no kms:SigningAlgorithm"],
    ],
    [
      "a condition on what not every call has",
      {
        Action: "sqs:SendMessage",
        Resource: queue,
        Condition: { StringEquals: { "aws:SourceVpce": "vpce-1" } },
      },
      ["sqs:SendMessage has no aws:SourceVpce"],
    ],
  ])("%s", async (_, statement, flaws) => {
    expect(await flawsOf(statement)).toEqual(flaws);
  });

  it("and not what it can, by tags and patterns too", async () => {
    const tagged = { StringEquals: { "aws:ResourceTag/keyturn:type": "x", "aws:PrincipalTag/team": "y" } };
    const secrets = "arn:aws:secretsmanager:eu-west-1:1:secret:*";
    expect(
      await flawsOf({ Action: "secretsmanager:Get*Value", Resource: secrets, Condition: tagged }),
    ).toEqual([]);
    expect(await flawsOf({ Action: "secretsmanager:BatchGetSecretValue", Resource: "*" })).toEqual([]);
  });
});
