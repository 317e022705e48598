import { describe, expect, test } from "vitest";
import { rightsAsked } from "./asked-rights.ts";
import { GateRights, withErrors, withoutWithheld } from "./installation/gate-rights.ts";
import { type Asked, StrictRights } from "./strict-rights.ts";

const secret = (name: string) => `arn:aws:secretsmanager:us-east-1:000000000000:secret:${name}`;
const read = "secretsmanager:GetSecretValue";
const policy = (statement: object) => ({
  Version: "2012-10-17",
  Statement: [{ Effect: "Allow", Action: read, Resource: "*", ...statement }],
});

describe("a role", () => {
  const onChains = { "s3:prefix": ["chains/*", "roots/*"] };
  const list = { action: "s3:ListBucket", resource: "arn:aws:s3:::audit" };
  const asked = { action: read, resource: secret("app/db-AbCdEf") };

  test.each<[string, object, Asked, boolean]>([
    ["what it names", { Resource: secret("app/db-??????") }, asked, true],
    ["another case of an action", { Action: ["secretsmanager:getsecretvalue"] }, asked, true],
    ["all actions that begin so", { Action: "secretsmanager:Get*" }, asked, true],
    ["no other secret", { Resource: secret("app/d-??????") }, asked, false],
    [
      "no longer name",
      { Resource: secret("app/db-??????") },
      { ...asked, resource: secret("app/db-b-AbCdEf") },
      false,
    ],
    ["a dot as a dot", { Resource: "arn:aws:s3:::a.b" }, { ...asked, resource: "arn:aws:s3:::aXb" }, false],
    ["no other action", { Action: "secretsmanager:PutSecretValue" }, asked, false],
    [
      "what a condition has",
      { Action: list.action, Condition: { StringLike: onChains } },
      { ...list, context: { "s3:prefix": "roots/1" } },
      true,
    ],
    [
      "nothing else by it",
      { Action: list.action, Condition: { StringLike: onChains } },
      { ...list, context: { "s3:prefix": "other" } },
      false,
    ],
    [
      "nothing without what it is about",
      { Action: list.action, Condition: { StringLike: onChains } },
      list,
      false,
    ],
    [
      "what equals",
      { Condition: { StringEquals: { "a:b": ["c", "d"] } } },
      { ...asked, context: { "a:b": "d" } },
      true,
    ],
    [
      "no pattern where it has to equal",
      { Condition: { StringEquals: { "a:b": "*" } } },
      { ...asked, context: { "a:b": "d" } },
      false,
    ],
    [
      "nothing where one of two conditions fails",
      { Condition: { StringEquals: { "a:b": "d", "a:c": "d" } } },
      { ...asked, context: { "a:b": "d" } },
      false,
    ],
  ])("allows %s", (_, statement, call, expected) => {
    expect(new StrictRights([policy(statement)]).allow(call)).toBe(expected);
  });

  test("without a policy allows nothing, and with several what any allows", () => {
    expect(new StrictRights([]).allow(asked)).toBe(false);
    expect(new StrictRights([policy({ Action: "s3:*" }), policy({})]).allow(asked)).toBe(true);
  });

  test.each([
    ["denies", { Effect: "Deny" }],
    ["allows all but", { NotAction: "s3:*" }],
  ])("whose policy %s is not understood", (_, statement) => {
    expect(() => new StrictRights([policy(statement)])).toThrow(/invalid/i);
  });

  test("whose policy compares as nobody has looked up is not understood", () => {
    const rights = new StrictRights([policy({ Condition: { IpAddress: { "aws:SourceIp": "10.0.0.1" } } })]);
    expect(() => rights.allow(asked)).toThrow("the model of IAM does not know IpAddress");
  });
});

describe("a call takes the right to", () => {
  const by = "keyturn-db";
  const arns = new Map([["app/db", secret("app/db-Qw12Er")]]);
  const table = "arn:aws:dynamodb:us-east-1:000000000000:table/journal";
  const event = { EventBusName: "keyturn", Source: "dev.keyturn", DetailType: "told" };

  test.each<[string, string, string, unknown, readonly Asked[]]>([
    [
      "read a secret, by its name",
      "secretsmanager",
      "GetSecretValue",
      { SecretId: "app/db" },
      [{ action: read, resource: secret("app/db-Qw12Er") }],
    ],
    [
      "read one that is not there",
      "secretsmanager",
      "GetSecretValue",
      { SecretId: "no" },
      [{ action: read, resource: secret("no-AbCdEf") }],
    ],
    [
      "read several, and each of them",
      "secretsmanager",
      "BatchGetSecretValue",
      { SecretIdList: ["app/db", secret("x-123456")] },
      [
        { action: "secretsmanager:BatchGetSecretValue", resource: "*" },
        { action: read, resource: secret("app/db-Qw12Er") },
        { action: read, resource: secret("x-123456") },
      ],
    ],
    [
      "have it rotated by the function itself",
      "secretsmanager",
      "RotateSecret",
      { SecretId: "app/db" },
      [
        { action: "secretsmanager:RotateSecret", resource: secret("app/db-Qw12Er") },
        {
          action: "lambda:InvokeFunction",
          resource: "arn:aws:lambda:us-east-1:000000000000:function:keyturn-db",
        },
      ],
    ],
    [
      "make a queue, and tag it",
      "sqs",
      "CreateQueue",
      { QueueName: "host", tags: { at: "1" } },
      ["sqs:CreateQueue", "sqs:TagQueue"].map((action) => ({
        action,
        resource: "arn:aws:sqs:us-east-1:000000000000:host",
      })),
    ],
    [
      "list secrets",
      "secretsmanager",
      "ListSecrets",
      {},
      [{ action: "secretsmanager:ListSecrets", resource: "*" }],
    ],
    [
      "ask an index",
      "dynamodb",
      "Query",
      { TableName: "journal", IndexName: "due" },
      [{ action: "dynamodb:Query", resource: `${table}/index/due` }],
    ],
    [
      "get several items",
      "dynamodb",
      "BatchGetItem",
      { RequestItems: { journal: {} } },
      [{ action: "dynamodb:BatchGetItem", resource: table }],
    ],
    [
      "do what each item of a transaction is",
      "dynamodb",
      "TransactWriteItems",
      { TransactItems: [{ Put: { TableName: "journal" } }, { ConditionCheck: { TableName: "journal" } }] },
      [
        { action: "dynamodb:PutItem", resource: table },
        { action: "dynamodb:ConditionCheckItem", resource: table },
      ],
    ],
    [
      "publish as its source",
      "events",
      "PutEvents",
      { Entries: [event] },
      [
        {
          action: "events:PutEvents",
          resource: "arn:aws:events:us-east-1:000000000000:event-bus/keyturn",
          context: { "events:source": "dev.keyturn", "events:detail-type": "told" },
        },
      ],
    ],
    [
      "send to a queue",
      "sqs",
      "SendMessage",
      { QueueUrl: "http://q/0/work" },
      [{ action: "sqs:SendMessage", resource: "arn:aws:sqs:us-east-1:000000000000:work" }],
    ],
    [
      "find a queue",
      "sqs",
      "GetQueueUrl",
      { QueueName: "work" },
      [{ action: "sqs:GetQueueUrl", resource: "arn:aws:sqs:us-east-1:000000000000:work" }],
    ],
    ["list queues", "sqs", "ListQueues", {}, [{ action: "sqs:ListQueues", resource: "*" }]],
  ])("%s", (_, service, operation, said, expected) => {
    expect(rightsAsked({ by, service, operation, path: "/", body: JSON.stringify(said) }, arns)).toEqual(
      expected,
    );
  });

  test.each([
    [
      "GET",
      "/audit?delimiter=%2F&list-type=2&prefix=chains%2Fa",
      "s3:ListBucket",
      "arn:aws:s3:::audit",
      { "s3:prefix": "chains/a" },
    ],
    ["GET", "/audit/chains/a%2Fb/1", "s3:GetObject", "arn:aws:s3:::audit/chains/a/b/1", undefined],
    ["HEAD", "/audit/roots/1", "s3:GetObject", "arn:aws:s3:::audit/roots/1", undefined],
    ["PUT", "/audit/roots/1", "s3:PutObject", "arn:aws:s3:::audit/roots/1", undefined],
  ])("%s %s", (operation, path, action, resource, context) => {
    const [asked, ...more] = rightsAsked({ by, service: "s3", operation, path, body: "" }, new Map());
    expect([asked, more]).toEqual([
      context === undefined ? { action, resource } : { action, resource, context },
      [],
    ]);
  });

  test.each([
    ["Subscribe", "TopicArn", ""],
    ["Unsubscribe", "SubscriptionArn", ":3b7c"],
  ])("%s, at the topic", (operation, name, more) => {
    const resource = "arn:aws:sns:us-east-1:000000000000:keyturn-agents";
    const body = new URLSearchParams({ Action: operation, [name]: `${resource}${more}` }).toString();
    const request = { by, service: "sns", operation, path: "/", body };
    expect(rightsAsked(request, new Map())).toEqual([{ action: `sns:${operation}`, resource }]);
  });

  test("do what nobody has looked up, which is an error", () => {
    for (const [service, operation, path] of [
      ["kinesis", "PutRecord", "/"],
      ["s3", "POST", "/audit/x"],
      ["s3", "GET", "/audit/x?versionId=1"],
      ["s3", "GET", "/audit?versions"],
      ["s3", "HEAD", "/audit"],
      ["s3", "GET", "/"],
      ["sns", "ListTopics", "/"],
    ] as const) {
      const request = { by, service, operation, path, body: "{}" };
      expect(() => rightsAsked(request, new Map())).toThrow(/^nobody has looked up the rights of /);
    }
  });
});

describe("a gate", () => {
  const call = {
    service: "secretsmanager",
    operation: "GetSecretValue",
    by: "keyturn-rotate",
    id: "",
    port: 1,
    at: 0,
  };
  const body = (name: string) => JSON.stringify({ SecretId: name });
  const gate = (documents: readonly unknown[]) => {
    const rights = new GateRights();
    rights.limitTo({
      roles: new Map([["keyturn-rotate", new StrictRights(documents)]]),
      secretArns: new Map(),
    });
    return rights;
  };

  test("lets through what the role allows", async () => {
    const rights = gate([policy({ Resource: secret("app/db-??????") })]);
    expect(await rights.judge(call, "/", body("app/db"))).toEqual({});
    rights.assertNoneLacking();
  });

  test("lets everybody in until it is told the roles, and then those alone", async () => {
    const unlimited = new GateRights();
    expect(await unlimited.judge(call, "/", body("app/db"))).toEqual({});
    const rights = gate([policy({})]);
    for (const by of ["somebody", ""]) {
      expect(await rights.judge({ ...call, by }, "/", body("app/db"))).toEqual({
        refusal: `a call by "${by}", which is none of the functions`,
      });
    }
    expect(() => rights.assertNoneLacking()).toThrow("somebody");
    const none = { roles: new Map(), secretArns: new Map() };
    expect(() => unlimited.limitTo(none)).toThrow("no function is there");
  });

  test("refuses anything else in AWS's words, and tells it in the end, once, or whoever looks for it", async () => {
    const rights = gate([policy({ Resource: secret("app/db-??????") })]);
    const refusal = `User: keyturn-rotate is not authorized to perform: ${read} on resource: ${secret("other-AbCdEf")} because no identity-based policy allows the ${read} action`;
    expect(await rights.judge(call, "/", body("other"))).toEqual({ refusal });
    expect(await rights.judge(call, "/", body("other"))).toEqual({ refusal });
    expect(() => rights.assertNoneLacking()).toThrow(new Error(refusal));
    expect(rights.take("something else")).toEqual([]);
    expect(rights.take("secret:other-")).toEqual([refusal]);
    rights.assertNoneLacking();
  });

  test("refuses what nobody has looked up, and what its model of IAM does not know", async () => {
    const rights = gate([policy({ Action: "*" })]);
    const { refusal } = await rights.judge({ ...call, service: "kinesis" }, "/", "{}");
    expect(refusal).toContain("nobody has looked up");
    expect(() => rights.assertNoneLacking()).toThrow("nobody has looked up");
    const strange = gate([policy({ Condition: { NumericLessThan: { "aws:any": "1" } } })]);
    const judged = await strange.judge(call, "/", body("app/db"));
    expect(judged.refusal).toContain("the model of IAM does not know NumericLessThan");
    expect(() => strange.assertNoneLacking()).toThrow("NumericLessThan");
  });

  test("withholds of several secrets those that the role may not read, and names them as AWS does", async () => {
    const rights = gate([
      policy({ Resource: secret("app/*") }),
      policy({ Action: "secretsmanager:BatchGetSecretValue" }),
    ]);
    const together = { ...call, operation: "BatchGetSecretValue" };
    const asking = (...ids: readonly string[]) => JSON.stringify({ SecretIdList: ids });
    expect(await rights.judge(together, "/", asking("app/db", "app/x"))).toEqual({ withheld: [] });
    const { withheld = [] } = await rights.judge(together, "/", asking("app/db", "other"));
    const [{ why } = { why: "" }] = withheld;
    expect(withheld).toEqual([{ id: "other", why }]);
    expect(why).toContain(`perform: ${read} on resource: ${secret("other-AbCdEf")}`);
    expect(rights.take("secret:other-")).toEqual([why]);
    rights.assertNoneLacking();
    expect(withoutWithheld(asking("app/db", "other"), withheld)).toBe(asking("app/db"));
    expect(withoutWithheld(asking("other"), withheld)).toBeUndefined();
    const refused = { SecretId: "other", ErrorCode: "AccessDeniedException", Message: why };
    const given = { SecretValues: [{ Name: "app/db" }], Errors: [{ SecretId: "gone" }] };
    expect(JSON.parse(withErrors(JSON.stringify(given), withheld))).toEqual({
      ...given,
      Errors: [...given.Errors, refused],
    });
    expect(JSON.parse(withErrors(undefined, withheld))).toEqual({ SecretValues: [], Errors: [refused] });
    const nobody = gate([policy({})]);
    const { refusal } = await nobody.judge(together, "/", asking("app/db"));
    expect(refusal).toContain("perform: secretsmanager:BatchGetSecretValue on resource: *");
    expect(await rights.judge(together, "/", JSON.stringify({ Filters: [] }))).toHaveProperty("refusal");
  });

  test("goes by what a secret bears at that moment, where a role's rights do", async () => {
    const Condition = { StringEquals: { "aws:ResourceTag/keyturn:type": ["model"] } };
    const rights = new GateRights();
    const borne = new Map([["keyturn:type", "model"]]);
    rights.limitTo({
      roles: new Map([["keyturn-rotate", new StrictRights([policy({ Condition })])]]),
      secretArns: new Map(),
      tagsOf: async (arn) => (arn === secret("app/db-AbCdEf") ? Object.fromEntries(borne) : {}),
    });
    expect(await rights.judge(call, "/", body("app/db"))).toEqual({});
    expect(await rights.judge(call, "/", body("app/x"))).toHaveProperty("refusal");
    borne.set("keyturn:type", "other");
    expect(await rights.judge(call, "/", body("app/db"))).toHaveProperty("refusal");
    expect(rights.take("secret:app/")).toHaveLength(2);

    const unheard = new GateRights();
    unheard.limitTo({
      roles: new Map([["keyturn-rotate", new StrictRights([policy({ Condition })])]]),
      secretArns: new Map(),
      tagsOf: async () => Promise.reject(new Error("nobody answers")),
    });
    await expect(unheard.judge(call, "/", body("app/db"))).rejects.toThrow("nobody answers");
    unheard.assertNoneLacking();
  });
});
