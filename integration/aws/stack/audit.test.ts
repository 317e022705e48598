import { execFile } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { KMSClient } from "@aws-sdk/client-kms";
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
  PutObjectLockConfigurationCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { auditFiles } from "../../../core/audit-files.ts";
import { describeAuditLog, type OpenedAudit, sampleChain } from "../../../core/audit-log.contract.ts";
import { anchorOf } from "../../../core/audit-root.ts";
import { describeAuditRoots, type OpenedRoots } from "../../../core/audit-roots.contract.ts";
import { AuditWitness } from "../../../core/audit-witness.ts";
import { verifyAudit } from "../../../core/verify-audit.ts";
import { openAuditKeys } from "../../../functions/audit-keys.ts";
import { openAuditLog } from "../../../functions/audit-log.ts";
import { openAuditRoots } from "../../../functions/audit-roots.ts";
import type { LockedBucket } from "../../../functions/locked-chain.ts";
import { memoryJournal } from "../../../local/memory.ts";
import { type KmsModel, startKmsModel } from "../kms-model.ts";

const client = new S3Client(inject("localstack"));
let kms: KmsModel;
beforeAll(async () => {
  kms = await startKmsModel();
});
afterAll(async () => {
  client.destroy();
  await kms[Symbol.asyncDispose]();
});

let made = 0;

/** As the stack makes it: nobody can take away what is written there, for a day. */
async function newBucket(): Promise<LockedBucket> {
  made += 1;
  const bucket = `keyturn-audit-${made}`;
  await client.send(new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: true }));
  await client.send(
    new PutObjectLockConfigurationCommand({
      Bucket: bucket,
      ObjectLockConfiguration: {
        ObjectLockEnabled: "Enabled",
        Rule: { DefaultRetention: { Mode: "COMPLIANCE", Days: 1 } },
      },
    }),
  );
  return { client, bucket };
}

function auditIn(bucket: LockedBucket): OpenedAudit {
  return { audit: openAuditLog(bucket), close: async () => undefined, reopen: async () => auditIn(bucket) };
}
describeAuditLog("the audit log in S3", async () => auditIn(await newBucket()));

function rootsIn(bucket: LockedBucket): OpenedRoots {
  return { roots: openAuditRoots(bucket), close: async () => undefined, reopen: async () => rootsIn(bucket) };
}
describeAuditRoots("in S3", async () => rootsIn(await newBucket()));

/** Signed twice, by two keys. The keys are in a model of ours: the emulator has no Ed25519. */
async function signedBucket() {
  const bucket = await newBucket();
  const [audit, roots] = [openAuditLog(bucket), openAuditRoots(bucket)];
  const keys = openAuditKeys(new KMSClient(kms.config), `alias/${bucket.bucket}`);
  const witness = new AuditWitness({ installation: "mine", audit, roots, keys, clock: { now: () => 5 } });
  for (const entry of sampleChain("app/db", 3)) await audit.append(entry);
  for (const entry of sampleChain("app/ünd 😀", 2)) await audit.append(entry);
  await witness.sign();
  await witness.rotateKey();
  for (const entry of sampleChain("app/db", 5).slice(3)) await audit.append(entry);
  const { root } = await witness.sign();
  if (root === undefined) throw new Error("nothing was signed");
  const publicKeys = await keys.publicKeys();
  return { bucket, audit, roots, publicKeys, anchor: anchorOf(root), witness };
}

/** Every object, the newest of a chain first. */
async function objectsIn({ bucket }: LockedBucket, prefix: string) {
  const { Versions = [] } = await client.send(
    new ListObjectVersionsCommand({ Bucket: bucket, Prefix: prefix }),
  );
  return Versions.map(({ Key = "", VersionId = "" }) => ({ Bucket: bucket, Key, VersionId }));
}

describe("an audit in S3 that KMS signs", () => {
  /** What Keyturn says of it, without a journal that knows better. */
  async function verdictOn({ bucket, publicKeys }: Awaited<ReturnType<typeof signedBucket>>) {
    const ports = { audit: openAuditLog(bucket), journal: memoryJournal(), roots: openAuditRoots(bucket) };
    const { chains, roots } = await verifyAudit(ports, { installation: "mine", publicKeys });
    const faults = chains.flatMap(({ ref, fault }) => (fault === undefined ? [] : [[ref, fault]]));
    return { chains: chains.length, faults, roots: roots.fault };
  }

  test("verifies", async () => {
    const signed = await signedBucket();
    expect(await verdictOn(signed)).toEqual({ chains: 2, faults: [], roots: undefined });
  });

  test("cannot be deleted, whoever asks", async () => {
    const signed = await signedBucket();
    for (const object of [
      ...(await objectsIn(signed.bucket, "chains/")),
      ...(await objectsIn(signed.bucket, "roots/")),
    ]) {
      await expect(client.send(new DeleteObjectCommand(object))).rejects.toMatchObject({
        name: "AccessDenied",
      });
    }
    expect(await verdictOn(signed)).toEqual({ chains: 2, faults: [], roots: undefined });
  });

  test("hidden behind a marker at its end is found to be cut off", async () => {
    const signed = await signedBucket();
    const [newest] = await objectsIn(signed.bucket, "chains/app%2fdb/");
    if (newest === undefined) throw new Error("there is no chain");
    await client.send(new DeleteObjectCommand({ Bucket: newest.Bucket, Key: newest.Key }));
    const fault = { kind: "cut-off", sequence: 4, root: 4 };
    expect(await verdictOn(signed)).toMatchObject({ faults: [["app/db", fault]], roots: undefined });
  });

  test("covered by another version is found to be changed", async () => {
    const signed = await signedBucket();
    const [, fourth] = await objectsIn(signed.bucket, "chains/app%2fdb/");
    if (fourth === undefined) throw new Error("there is no chain");
    const [entry] = sampleChain("app/db", 4).slice(3);
    const Body = JSON.stringify({ ...entry, actor: "somebody else" });
    await client.send(new PutObjectCommand({ Bucket: fourth.Bucket, Key: fourth.Key, Body }));
    const fault = { kind: "changed", sequence: 4 };
    expect(await verdictOn(signed)).toMatchObject({ faults: [["app/db", fault]], roots: undefined });
    expect(await objectsIn(signed.bucket, fourth.Key)).toHaveLength(2);
  });

  test.each(["chains/app%2fdb/", "roots/"])(
    "covered by what is no line at all, in %s, is unreadable",
    async (folder) => {
      const signed = await signedBucket();
      const [newest] = await objectsIn(signed.bucket, folder);
      if (newest === undefined) throw new Error("there is nothing");
      await client.send(new PutObjectCommand({ Bucket: newest.Bucket, Key: newest.Key, Body: "{" }));
      const { faults, roots } = await verdictOn(signed);
      expect(JSON.stringify([faults, roots])).toContain('"unreadable"');
    },
  );

  test("is verified, once exported, by the verifier in Python, its anchor and its key included", async () => {
    const signed = await signedBucket();
    const folder = mkdtempSync(join(tmpdir(), "keyturn-export-"));
    for await (const { path, lines } of auditFiles(signed)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      await pipeline(Readable.from(lines), createWriteStream(join(folder, path)));
    }
    writeFileSync(join(folder, "anchor.json"), JSON.stringify(signed.anchor));
    const [publicKey = ""] = signed.publicKeys;
    const script = fileURLToPath(new URL("../../../examples/verify_audit.py", import.meta.url));
    const args = ["-I", "-S", "-B", script, folder, "--json", "--anchor", join(folder, "anchor.json")];
    const python = execFile("python3", [...args, "--key", publicKey]);
    const said = await Array.fromAsync(python.stdout ?? []);
    if (python.exitCode === null) await once(python, "exit");
    rmSync(folder, { recursive: true });
    expect(python.exitCode).toBe(0);
    expect(JSON.parse(said.join(""))).toMatchObject({
      verified: true,
      chains: [
        { ref: "app/db", entries: 5 },
        { ref: "app/ünd 😀", entries: 2 },
      ],
      roots: { lines: 4 },
    });
  });
});

test("a chain of 40 entries is read whole and in order, and its end costs two calls", async () => {
  const bucket = await newBucket();
  const audit = openAuditLog(bucket);
  const chain = sampleChain("app/db", 40);
  for (const entry of chain) await audit.append(entry);
  expect(await Array.fromAsync(audit.read("app/db"))).toEqual(chain);
  let calls = 0;
  const counting = new S3Client(inject("localstack"));
  counting.middlewareStack.add(
    (next) => (call) => {
      calls += 1;
      return next(call);
    },
    { step: "initialize" },
  );
  expect(await openAuditLog({ ...bucket, client: counting }).end("app/db")).toMatchObject({
    sequence: 40,
  });
  expect(calls).toBe(2);
});
