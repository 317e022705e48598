import { createServer } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  answer,
  refusal,
  type Scripted,
  type ScriptedService,
  scriptedBy,
  scriptedService,
} from "../functions/scripted-service.contract.ts";
import type { AwsStoreEntry } from "../manifest/manifest.ts";
import { openAws } from "./aws.ts";

const account = "111122223333";
const variables = [
  "AWS_ENDPOINT_URL",
  "AWS_ACCESS_KEY_ID",
  "AWS_SECRET_ACCESS_KEY",
  "AWS_EC2_METADATA_DISABLED",
  "AWS_CONFIG_FILE",
  "AWS_SHARED_CREDENTIALS_FILE",
  "AWS_PROFILE",
  "AWS_ENDPOINT_URL_STS",
] as const;
const before = new Map<string, string | undefined>();

beforeEach(() => {
  for (const name of variables) {
    before.set(name, process.env[name]);
    delete process.env[name];
  }
  Object.assign(process.env, {
    AWS_ACCESS_KEY_ID: "AKIATEST",
    AWS_SECRET_ACCESS_KEY: "canary",
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_CONFIG_FILE: "/nowhere",
    AWS_SHARED_CREDENTIALS_FILE: "/nowhere",
  });
});
afterEach(() => {
  for (const [name, value] of before) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});

const xml = (body: string): Scripted => ({ status: 200, body, headers: { "content-type": "text/xml" } });
const you = (id: string) =>
  xml(
    `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::${id}:user/ann</Arn><UserId>u</UserId><Account>${id}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`,
  );
const role = xml(
  "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>AKIAROLE</AccessKeyId><SecretAccessKey>canary</SecretAccessKey><SessionToken>canary</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>",
);
const keys = answer({ SecretString: Buffer.alloc(32, 7).toString("base64") });

async function opened(entry: Partial<AwsStoreEntry>, first: Scripted, ...more: readonly Scripted[]) {
  return openedAt(await scriptedService(first, ...more), entry);
}

async function openedAt(scripted: ScriptedService, entry: Partial<AwsStoreEntry> = {}) {
  await using service = scripted;
  process.env.AWS_ENDPOINT_URL = service.config.endpoint;
  const warned: string[] = [];
  const store: AwsStoreEntry = {
    kind: "aws",
    name: "prod",
    account,
    region: "eu-west-1",
    installation: "prod",
    role: undefined,
    quota: undefined,
    secretsBy: "name",
    ...entry,
  };
  const open = () =>
    openAws(
      store,
      () => account,
      () => undefined,
      (text) => void warned.push(text),
    );
  const failure = await open().then(
    async (installation) => {
      await installation.order("billing/db", "postgres-alternating");
      const loaded = await installation.parts.journal.load("billing/db").catch((thrown: unknown) => thrown);
      installation.close();
      return loaded;
    },
    (thrown: unknown) => thrown,
  );
  return { failure, warned, said: service.asked.map(({ input }) => decodeURIComponent(String(input))) };
}

test.each([
  ["eu-west-1", "operator", `arn:aws:iam::${account}:role/operator`],
  ["cn-north-1", "operator", `arn:aws-cn:iam::${account}:role/operator`],
  ["us-gov-west-1", "team/operator", `arn:aws-us-gov:iam::${account}:role/team/operator`],
  ["eu-west-1", "arn:aws:iam::444455556666:role/other", "arn:aws:iam::444455556666:role/other"],
])("in %s the role %s is taken before anything is read", async (region, name, arn) => {
  const { said, failure } = await opened({ region, role: name }, role, you("999999999999"));
  expect(said[0]).toContain(`RoleArn=${arn}&`);
  expect(said).toHaveLength(2);
  expect(failure).toMatchObject({ code: "role-lacks-rights" });
});

test("another account's identity reads nothing, and is told", async () => {
  const { said, failure } = await opened({}, you("444455556666"));
  expect(said).toHaveLength(1);
  expect(failure).toMatchObject({
    code: "role-lacks-rights",
    message: expect.stringContaining(`${account}, and you are arn:aws:iam::444455556666:user/ann`),
  });
});

test("without credentials it is said how to get some", async () => {
  delete process.env.AWS_ACCESS_KEY_ID;
  delete process.env.AWS_SECRET_ACCESS_KEY;
  const { failure } = await opened({}, you(account));
  expect(failure).toMatchObject({
    code: "role-lacks-rights",
    message: expect.stringContaining("aws sso login"),
  });
});

test("where nothing is deployed, it is said what to do", async () => {
  const { failure } = await opened({}, you(account), refusal("ResourceNotFoundException"));
  expect(failure).toMatchObject({
    code: "config-invalid",
    message: expect.stringMatching(/keyturn-prod\/fingerprint-keys .* is not there: deploy/),
  });
});

test("what is half deployed says which part is not there, and to deploy", async () => {
  const absent = refusal("ResourceNotFoundException");
  const noQueue = refusal("QueueDoesNotExist");
  const parts: Readonly<Record<string, Scripted>> = {
    POST: you(account),
    GetSecretValue: keys,
    GetQueueUrl: noQueue,
  };
  const { failure, warned } = await openedAt(await scriptedBy((operation) => parts[operation] ?? absent));
  expect(warned).toEqual([
    expect.stringContaining("the stack of the store prod is gone"),
    expect.stringMatching(/keyturn-prod-postgres-alternating-work.*deploy/),
  ]);
  expect(failure).toMatchObject({
    code: "journal-unavailable",
    message: expect.stringMatching(/the journal's table.*deploy/),
  });
  expect(String(failure) + warned).not.toContain("canary");
});

test("a region that takes a call and never answers is told within seconds", async () => {
  const silent = createServer();
  await new Promise<void>((resolve) => void silent.listen(0, "127.0.0.1", resolve));
  const address = silent.address();
  const port = typeof address === "object" ? address?.port : undefined;
  process.env.AWS_ENDPOINT_URL_STS = `http://127.0.0.1:${port}`;
  const started = performance.now();
  const { failure } = await opened({}, you(account));
  silent.close();
  expect(failure).toMatchObject({
    code: "unreachable",
    message: expect.stringContaining("asking who you are"),
  });
  expect(performance.now() - started).toBeLessThan(15_000);
}, 30_000);
