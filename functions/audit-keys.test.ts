import { join } from "node:path";
import { inspect } from "node:util";
import {
  CancelKeyDeletionCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  KMSClient,
  ScheduleKeyDeletionCommand,
  UpdateAliasCommand,
} from "@aws-sdk/client-kms";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { sampleChain } from "../core/audit-log.contract.ts";
import { keyIdOf } from "../core/audit-root.ts";
import { AuditWitness } from "../core/audit-witness.ts";
import type { AuditKeys } from "../core/ports.ts";
import { verifyAudit } from "../core/verify-audit.ts";
import { type KmsModel, startKmsModel } from "../integration/aws/kms-model.ts";
import { openAuditLog } from "../local/audit-log.ts";
import { openAuditRoots } from "../local/audit-roots.ts";
import { temporaryFolder } from "../local/folder.contract.ts";
import { memoryJournal } from "../local/memory.ts";
import { openAuditKeys } from "./audit-keys.ts";

/** The real SDK speaks to a model of ours: the emulator has no Ed25519. */
let kms: KmsModel;
let client: KMSClient;
let keys: AuditKeys;
beforeEach(async () => {
  kms = await startKmsModel();
  client = new KMSClient({ ...kms.config, maxAttempts: 1 });
  keys = openAuditKeys(client);
});
afterEach(async () => {
  client.destroy();
  await kms[Symbol.asyncDispose]();
});

const alias = "alias/keyturn-audit";
const describeKey = async (name: string) =>
  (await client.send(new DescribeKeyCommand({ KeyId: name }))).KeyMetadata;
const idAt = async (name: string): Promise<string> => (await describeKey(name))?.KeyId ?? "";
const stateAt = async (name: string) => (await describeKey(name))?.KeyState;

describe("the first key", () => {
  test("is made once, by the first who asks, and is the same for all", async () => {
    expect(await keys.publicKeys()).toEqual([]);
    const signers = await Promise.all(Array.from({ length: 4 }, () => keys.signer(undefined)));
    const [publicKey] = new Set(signers.map((signer) => signer.publicKey));
    expect(signers.map((signer) => signer.publicKey)).toEqual(Array(4).fill(publicKey));
    expect(await keys.publicKeys()).toEqual([publicKey]);
    expect(await keys.signer(publicKey)).toMatchObject({ publicKey });
  });

  test("of those who were too late is not left behind to sign", async () => {
    const ids: string[] = [];
    client.middlewareStack.add(
      (next, { commandName }) =>
        async (call) => {
          const result = await next(call);
          if (commandName === "CreateKeyCommand") ids.push(String(Object(result.output).KeyMetadata.KeyId));
          return result;
        },
      { step: "initialize" },
    );
    await Promise.all(Array.from({ length: 4 }, () => keys.signer(undefined)));
    const states = await Promise.all(ids.map(stateAt));
    expect(ids.length).toBeGreaterThan(1);
    expect(states.filter((state) => state === "Enabled")).toHaveLength(1);
    expect(states.filter((state) => state === "PendingDeletion")).toHaveLength(ids.length - 1);
  });
});

describe("the key that follows", () => {
  test("is the same whoever asks, until it has taken its place; the one before signs no more", async () => {
    const first = await keys.signer(undefined);
    const oldId = await idAt(alias);
    const next = await keys.next();
    expect(next.publicKey).not.toBe(first.publicKey);
    expect(await openAuditKeys(client).next()).toMatchObject({ publicKey: next.publicKey });
    expect(new Set(await keys.publicKeys())).toEqual(new Set([first.publicKey, next.publicKey]));

    await keys.settle(next.publicKey);
    await keys.settle(next.publicKey);
    expect(await keys.publicKeys()).toEqual([next.publicKey]);
    expect(await stateAt(oldId)).toBe("PendingDeletion");
    await expect(first.sign(Buffer.from("root"))).rejects.toMatchObject({ code: "audit-unavailable" });
    await expect(keys.signer(first.publicKey)).rejects.toMatchObject({ code: "key-missing" });
    expect((await keys.next()).publicKey).not.toBe(next.publicKey);
  });

  test("another key that is settled changes nothing", async () => {
    const first = await keys.signer(undefined);
    const next = await keys.next();
    await keys.settle(first.publicKey);
    await keys.settle("00".repeat(32));
    expect(await keys.signer(first.publicKey)).toMatchObject({ publicKey: first.publicKey });
    expect(await keys.next()).toMatchObject({ publicKey: next.publicKey });
  });

  test.each(["ScheduleKeyDeletion", "UpdateAlias", "DeleteAlias"])(
    "takes its place although whoever put it there died before %s",
    async (operation) => {
      await keys.signer(undefined);
      const oldId = await idAt(alias);
      const next = await keys.next();
      kms.fail(operation, "KMSInternalException", 1);
      await expect(keys.settle(next.publicKey)).rejects.toMatchObject({ code: "audit-unavailable" });
      expect(await keys.signer(next.publicKey)).toMatchObject({ publicKey: next.publicKey });
      await keys.settle(next.publicKey);
      expect(await stateAt(oldId)).toBe("PendingDeletion");
      expect(await stateAt(alias)).toBe("Enabled");
      expect(await keys.publicKeys()).toEqual([next.publicKey]);
      expect((await keys.next()).publicKey).not.toBe(next.publicKey);
    },
  );

  test("is another one than the one that signs, although whoever settled that died before its alias was gone", async () => {
    await keys.signer(undefined);
    const next = await keys.next();
    kms.fail("DeleteAlias", "KMSInternalException", 1);
    await expect(keys.settle(next.publicKey)).rejects.toMatchObject({ code: "audit-unavailable" });
    const third = await keys.next();
    expect(third.publicKey).not.toBe(next.publicKey);
    expect(new Set(await keys.publicKeys())).toEqual(new Set([next.publicKey, third.publicKey]));
  });

  test("is found although somebody who was frozen turns the alias back, two keys later", async () => {
    await keys.signer(undefined);
    const second = await keys.next();
    await keys.settle(second.publicKey);
    const secondId = await idAt(alias);
    const third = await keys.next();
    await keys.settle(third.publicKey);
    await client.send(new CancelKeyDeletionCommand({ KeyId: secondId }));
    await client.send(new UpdateAliasCommand({ AliasName: alias, TargetKeyId: secondId }));
    expect(await keys.signer(third.publicKey)).toMatchObject({ publicKey: third.publicKey });
    expect(await keys.publicKeys()).toEqual([third.publicKey]);
  });
});

describe("a key that cannot sign", () => {
  test.each([
    ["is disabled", async (id: string) => void (await client.send(new DisableKeyCommand({ KeyId: id })))],
    [
      "is to be deleted",
      async (id: string) =>
        void (await client.send(new ScheduleKeyDeletionCommand({ KeyId: id, PendingWindowInDays: 7 }))),
    ],
  ])("because it %s is missing, and no other takes its place", async (_, spoil) => {
    const { publicKey } = await keys.signer(undefined);
    await spoil(await idAt(alias));
    for (const asked of [publicKey, undefined]) {
      await expect(keys.signer(asked)).rejects.toMatchObject({ code: "key-missing" });
    }
    expect(kms.asked.filter((operation) => operation === "CreateKey")).toHaveLength(1);
  });

  test("is missing where the alias stands for another one: its id is named", async () => {
    await keys.signer(undefined);
    const lost = "ab".repeat(32);
    await expect(keys.signer(lost)).rejects.toMatchObject({ code: "key-missing" });
    await expect(keys.signer(lost)).rejects.toThrow(keyIdOf(lost));
  });

  test("does not take more than KMS takes", async () => {
    const signer = await keys.signer(undefined);
    await signer.sign(Buffer.alloc(4096));
    await expect(signer.sign(Buffer.alloc(4097))).rejects.toMatchObject({ code: "request-refused" });
    expect(kms.asked.filter((operation) => operation === "Sign")).toHaveLength(1);
  });
});

describe.each(["GetPublicKey", "Sign", "DescribeKey", "ScheduleKeyDeletion", "UpdateAlias"])(
  "where %s fails",
  (operation) => {
    test.each([
      ["ThrottlingException", "throttled"],
      ["AccessDeniedException", "role-lacks-rights"],
      ["DependencyTimeoutException", "audit-unavailable"],
    ])("with %s it is %s, and no key is missing for it", async (error, code) => {
      const signer = await keys.signer(undefined);
      const { publicKey } = await keys.next();
      kms.fail(operation, error, 1);
      const thrown: unknown = await (operation === "Sign"
        ? signer.sign(Buffer.from("root"))
        : keys.settle(publicKey)
      ).catch((caught: unknown) => caught);
      expect(thrown).toMatchObject({ code, disposition: "retry" });
      expect(inspect(thrown)).toContain("KMS: ");
      expect(inspect(thrown, { depth: 9 })).not.toContain("canary");
    });
  },
);

test("roots that KMS signs, over a change of the key, verify like all others", async () => {
  const folder = join(temporaryFolder(), "audit");
  using audit = await openAuditLog(folder, true);
  using roots = await openAuditRoots(folder);
  const witness = new AuditWitness({ installation: "mine", audit, roots, keys, clock: { now: () => 5 } });
  for (const entry of sampleChain("app/db", 3)) await audit.append(entry);
  await witness.sign();
  await witness.rotateKey();
  for (const entry of sampleChain("app/other", 2)) await audit.append(entry);
  await witness.sign();
  const publicKeys = await keys.publicKeys();
  const verdict = await verifyAudit(
    { audit, journal: memoryJournal(), roots },
    { installation: "mine", publicKeys },
  );
  expect(verdict.roots).toMatchObject({ lines: 4, fault: undefined });
  expect(verdict.chains.map(({ fault }) => fault)).toEqual([undefined, undefined]);
});
