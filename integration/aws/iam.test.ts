import { randomBytes } from "node:crypto";
import {
  CreateAccessKeyCommand,
  CreateUserCommand,
  IAMClient,
  ListAccessKeysCommand,
  PutUserPolicyCommand,
} from "@aws-sdk/client-iam";
import { afterAll, beforeAll, expect, test } from "vitest";
import { rotator as unwrapped } from "../../rotators/aws-iam-access-key.ts";
import { describeRotator } from "../../rotators/rotator.contract.ts";
import { Steps, type Target } from "../../rotators/steps.contract.ts";
import { agentOf, idOf, secretOf, throughEnvironment } from "./iam-target.ts";
import { type Ministack, startMinistack } from "./ministack.ts";

let ministack: Ministack;
let iam: IAMClient;
let users = 0;
const rotator = throughEnvironment(unwrapped, () => Number(new URL(ministack.endpoint).port));

beforeAll(async () => {
  ministack = await startMinistack();
  iam = new IAMClient(ministack.config);
});

afterAll(async () => {
  delete process.env.AWS_ENDPOINT_URL;
  iam.destroy();
  await ministack[Symbol.asyncDispose]();
});

describeRotator("aws-iam-access-key on MiniStack", { rotator, arrange, mints: true, knowsNoSessions: true });

test("no user ever has more than two keys, and what is retired is inactive before it is deleted", async () => {
  const target = await arrange();
  const steps = new Steps(rotator, target);
  const keys = async () => {
    const { AccessKeyMetadata = [] } = await iam.send(
      new ListAccessKeysCommand({ UserName: target.config.userName }),
    );
    return Object.fromEntries(AccessKeyMetadata.map(({ AccessKeyId = "", Status }) => [AccessKeyId, Status]));
  };
  const one = await steps.first();
  const two = await steps.create(one);
  await steps.set(2, two, one);
  await expect(steps.create(two)).rejects.toMatchObject({ code: "target-busy" });
  await steps.retire(3, one);
  expect(await keys()).toEqual({ [idOf(one)]: "Inactive", [idOf(two)]: "Active" });
  const three = await steps.create(two);
  expect(await keys()).toEqual({ [idOf(two)]: "Active", [idOf(three)]: "Active" });
});

/** A user, and another one that may do everything, with a key of its own: its signatures are checked, too. */
async function arrange(): Promise<Target & { readonly config: { readonly userName: string } }> {
  const [userName, administrator] = [`agent${++users}`, `keyturn${users}`];
  for (const UserName of [userName, administrator]) await iam.send(new CreateUserCommand({ UserName }));
  const allowed = { Version: "2012-10-17", Statement: [{ Effect: "Allow", Action: "*", Resource: "*" }] };
  await iam.send(
    new PutUserPolicyCommand({
      UserName: administrator,
      PolicyName: "everything",
      PolicyDocument: JSON.stringify(allowed),
    }),
  );
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName: administrator }));
  const key = {
    accessKeyId: AccessKey?.AccessKeyId ?? "",
    secretAccessKey: AccessKey?.SecretAccessKey ?? "",
  };
  const wrong = { ...key, secretAccessKey: randomBytes(30).toString("base64") };
  const config = { userName, region: "us-east-1", freshKeyMs: 400, quietMs: 1, keepInactiveMs: 0 };
  return {
    config,
    admin: secretOf(key),
    wrongAdmin: secretOf(wrong),
    adminSecrets: [key.secretAccessKey, wrong.secretAccessKey],
    address: { host: "127.0.0.1", port: Number(new URL(ministack.endpoint).port) },
    withPort: (port) => ({ ...config, port }),
    inPlaceOf: (_, value) => value,
    open: (value) => agentOf(value, ministack.endpoint),
    // It keeps no log of its own; what a caller may see of the users is all that it shows.
    traces: async () =>
      JSON.stringify((await iam.send(new ListAccessKeysCommand({ UserName: userName }))).AccessKeyMetadata),
  };
}
