import { createPublicKey, verify } from "node:crypto";
import {
  CreateAccessKeyCommand,
  CreateUserCommand,
  DeleteAccessKeyCommand,
  IAMClient,
  UpdateAccessKeyCommand,
} from "@aws-sdk/client-iam";
import { CreateKeyCommand, GetPublicKeyCommand, KMSClient, SignCommand } from "@aws-sdk/client-kms";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { expect, test } from "vitest";
import { startMinistack } from "./ministack.ts";

test("IAM accepts a key of a user's until it is inactive, and never with another secret", async () => {
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

test("KMS signs by Ed25519, as everybody else verifies it", async () => {
  await using ministack = await startMinistack();
  const kms = new KMSClient(ministack.config);
  const { KeyMetadata } = await kms.send(
    new CreateKeyCommand({ KeySpec: "ECC_NIST_EDWARDS25519", KeyUsage: "SIGN_VERIFY" }),
  );
  const KeyId = KeyMetadata?.KeyId;
  const Message = Buffer.from("root");
  const { Signature = new Uint8Array() } = await kms.send(
    new SignCommand({ KeyId, Message, MessageType: "RAW", SigningAlgorithm: "ED25519_SHA_512" }),
  );
  const { PublicKey = new Uint8Array() } = await kms.send(new GetPublicKeyCommand({ KeyId }));
  const key = createPublicKey({ key: Buffer.from(PublicKey), format: "der", type: "spki" });
  expect(key.asymmetricKeyType).toBe("ed25519");
  expect(verify(null, Message, key, Signature)).toBe(true);
  expect(verify(null, Buffer.from("rot"), key, Signature)).toBe(false);
});
