import { Stack } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { describe, expect, it, vi } from "vitest";
import { credentialTypes } from "./credential-types.ts";
import { Names } from "./names.ts";
import { patternsFor } from "./patterns.ts";
import { appOf, plan, secretOf, stackOf } from "./sample-plan.contract.ts";
import { attach, neededRights, secretRights } from "./secret-rights.ts";

/** A synthesis takes seconds, and more where others are at work. */
vi.setConfig({ testTimeout: 120_000 });

function newStack(): Stack {
  return new Stack(appOf(), "Some", { env: { account: "111122223333", region: "eu-west-1" } });
}

function attached(stack: Stack, count: number) {
  const secrets = Array.from({ length: count }, (_, index) => secretOf(`team-${index}/database/${index}`));
  const role = new Role(stack, "Role", { assumedBy: new ServicePrincipal("lambda.amazonaws.com") });
  return attach(stack, role, "the secrets", secretRights(stack, "prod", secrets, "name"));
}

describe("rights on secrets", () => {
  it("are as many policies as IAM makes them be, none too long, and every secret is in one", () => {
    const stack = newStack();
    attached(stack, 300);
    const policies = Object.values(Template.fromStack(stack).findResources("AWS::IAM::ManagedPolicy"));
    expect(policies.length).toBeGreaterThan(2);
    const texts = policies.map(({ Properties }) => JSON.stringify(Properties.PolicyDocument));
    for (const text of texts) expect(text.length).toBeLessThanOrEqual(6_144);
    for (let index = 0; index < 300; index += 1) {
      expect(texts.some((text) => text.includes(`:secret:team-${index}/database/${index}-??????`))).toBe(
        true,
      );
    }
  });

  it("that need more policies than a role has are refused with what to do", () => {
    expect(() => attached(newStack(), 2_000)).toThrow(/a role has 10: write `secretsBy: tag`.*doctor --fix/);
  });

  it("read a secret and its administering login by one call, where both are here, and nobody else's", () => {
    const actions = (secret: Parameters<typeof secretOf>, isHere: (ref: string) => boolean) =>
      secretRights(newStack(), "prod", [secretOf(...secret)], "name", isHere).flatMap(
        (statement) => statement.actions,
      );
    const batch = "secretsmanager:BatchGetSecretValue";
    expect(actions(["a", { admin: "root" }], () => true)).toContain(batch);
    expect(actions(["a", { admin: undefined }], () => true)).not.toContain(batch);
    expect(actions(["a", { admin: "root" }], (ref) => ref === "a")).not.toContain(batch);
    expect(actions(["a", { admin: "root" }], (ref) => ref === "root")).not.toContain(batch);
  });

  it("go by tags where they are asked to: whose, of which type, and of which tenants", () => {
    const secrets = [secretOf("a"), secretOf("b", { tenant: "bolt" })];
    const [rotated] = secretRights(newStack(), "prod", secrets, "tag");
    expect(rotated?.toJSON()).toMatchObject({
      Resource: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:*",
      Condition: {
        StringEquals: {
          "aws:ResourceTag/keyturn:installation": "prod",
          "aws:ResourceTag/keyturn:type": ["postgres-alternating"],
          "aws:ResourceTag/keyturn:tenant": ["acme", "bolt"],
        },
      },
    });
    const [open] = secretRights(newStack(), "prod", [secretOf("a", { tenant: undefined })], "tag");
    expect(JSON.stringify(open?.toJSON())).not.toContain("keyturn:tenant");
  });

  it("by tags go with the tick's right to look for them, which nobody needs otherwise", () => {
    const lists = (secretsBy: "name" | "tag") =>
      Object.entries(
        Template.fromStack(stackOf({ plan: { ...plan, secretsBy } }).stack).findResources("AWS::IAM::Policy"),
      ).flatMap(([id, policy]) =>
        JSON.stringify(policy).includes("secretsmanager:ListSecrets") ? [id] : [],
      );
    expect(lists("name")).toEqual([]);
    expect(lists("tag")).toEqual([expect.stringMatching(/^KeyturnTick/)]);
  });

  it("of a type on AWS name the thing itself; whoever has an administering login needs none", () => {
    const rotator = credentialTypes.get("aws-iam-access-key");
    if (rotator === undefined) throw new Error("there is no such type");
    const uploader = { type: rotator.type, config: { userName: "uploader", region: "eu-west-1" } };
    const rights = (admin: string | undefined, config: unknown = uploader.config) =>
      neededRights(newStack(), rotator, [secretOf("partner/uploader", { ...uploader, config, admin })]);
    expect(rights(undefined).map(({ resources }) => resources)).toEqual([
      ["arn:aws:iam::111122223333:user/uploader"],
    ]);
    expect(rights("partner/admin")).toEqual([]);
    expect(() => rights(undefined, { userName: "*", region: "eu-west-1" })).toThrow(
      /partner\/uploader.*cannot stand in the ARN/,
    );
  });
});

describe("patterns", () => {
  const patternOf = (subject: readonly string[] | undefined) => ({ source: ["dev.keyturn"], subject });

  it("hold every name, and are never longer than EventBridge takes", () => {
    const names = Array.from({ length: 200 }, (_, index) => `team-${index}/database`);
    const patterns = patternsFor(names, patternOf);
    expect(patterns.flatMap(({ subject = [] }) => subject)).toEqual(names);
    for (const pattern of patterns) expect(JSON.stringify(pattern).length).toBeLessThanOrEqual(2_048);
    expect(patterns.length).toBeLessThan(4);
  });

  it("match everything where there would be too many", () => {
    const names = Array.from({ length: 2_000 }, (_, index) => `team-${index}/database`);
    expect(patternsFor(names, patternOf)).toEqual([patternOf(undefined)]);
  });
});

describe("names", () => {
  it.each(["Prod", "1st", "a--b", "", "a23456789012345678901"])("refuse the installation %j", (name) => {
    expect(() => new Names(name)).toThrow(/cannot name an installation/);
  });

  it("of a function that are too long are refused", () => {
    expect(() => new Names("prod").function("a".repeat(60))).toThrow(/64 characters fit/);
  });

  it("of a bucket fit for the longest installation and region", () => {
    expect(new Names("a".repeat(20)).bucket("111122223333", "ap-southeast-2").length).toBeLessThanOrEqual(63);
  });
});
