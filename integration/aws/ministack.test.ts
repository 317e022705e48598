import {
  CreateAccessKeyCommand,
  CreateUserCommand,
  DeleteAccessKeyCommand,
  IAMClient,
  UpdateAccessKeyCommand,
} from "@aws-sdk/client-iam";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { expect, test } from "vitest";
import { startMinistack } from "./ministack.ts";

test("accepts a key of a user's until it is inactive, and never with another secret", async () => {
  await using ministack = await startMinistack();
  const iam = new IAMClient(ministack.config);
  const UserName = "reader";
  await iam.send(new CreateUserCommand({ UserName }));
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName }));
  const { AccessKeyId = "", SecretAccessKey = "" } = AccessKey ?? {};
  const whoAmI = (accessKeyId: string, secretAccessKey: string) =>
    new STSClient(ministack.configOf({ accessKeyId, secretAccessKey })).send(new GetCallerIdentityCommand());

  expect((await whoAmI(AccessKeyId, SecretAccessKey)).Arn).toContain("user/reader");
  await expect(whoAmI(AccessKeyId, "another")).rejects.toMatchObject({ name: "SignatureDoesNotMatch" });
  await iam.send(new UpdateAccessKeyCommand({ UserName, AccessKeyId, Status: "Inactive" }));
  await expect(whoAmI(AccessKeyId, SecretAccessKey)).rejects.toMatchObject({ name: "InvalidClientTokenId" });
  await iam.send(new UpdateAccessKeyCommand({ UserName, AccessKeyId, Status: "Active" }));
  expect((await whoAmI(AccessKeyId, SecretAccessKey)).Arn).toContain("user/reader");
  await iam.send(new DeleteAccessKeyCommand({ UserName, AccessKeyId }));
  await expect(whoAmI(AccessKeyId, SecretAccessKey)).rejects.toMatchObject({ name: "InvalidClientTokenId" });
});
