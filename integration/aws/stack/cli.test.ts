import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateEventBusCommand, EventBridgeClient } from "@aws-sdk/client-eventbridge";
import { CreateBucketCommand, PutObjectLockConfigurationCommand, S3Client } from "@aws-sdk/client-s3";
import { CreateSecretCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { DeleteQueueCommand, SQSClient } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, expect, inject, test, vi } from "vitest";
import { openManifest } from "../../../cli/open.ts";
import { storeValue } from "../../../core/operate.ts";
import { reconcile } from "../../../core/reconcile.ts";
import { Secret } from "../../../core/secret.ts";
import { awsNames } from "../../../manifest/aws-names.ts";
import { type Ended, runKeyturn } from "../../keyturn-command.ts";
import { newJournalTable } from "../journal-tables.ts";
import { createQueue, receive } from "./queues.ts";

const aws = inject("localstack");
const account = "000000000000";
const names = awsNames("cli");
const environment = {
  ...process.env,
  AWS_ENDPOINT_URL: aws.endpoint,
  AWS_ACCESS_KEY_ID: aws.credentials.accessKeyId,
  AWS_SECRET_ACCESS_KEY: aws.credentials.secretAccessKey,
};
const canary = "canary-Wq7Lm2Zx9-of-the-current-password";
const folder = mkdtempSync(join(tmpdir(), "keyturn-aws-cli-"));
const printed: string[] = [];
let queue: Awaited<ReturnType<typeof createQueue>>;
let incidents: Awaited<ReturnType<typeof createQueue>>;

/** What the stack makes, as far as the command needs it. */
beforeAll(async () => {
  await newJournalTable(aws, names.table);
  await new EventBridgeClient(aws).send(new CreateEventBusCommand({ Name: names.bus }));
  const Bucket = names.auditBucket(account, aws.region);
  const s3 = new S3Client(aws);
  await s3.send(new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: true }));
  const DefaultRetention = { Mode: "GOVERNANCE", Days: 1 } as const;
  const ObjectLockConfiguration = { ObjectLockEnabled: "Enabled", Rule: { DefaultRetention } } as const;
  await s3.send(new PutObjectLockConfigurationCommand({ Bucket, ObjectLockConfiguration }));
  queue = await createQueue(names.workQueue("postgres-alternating"));
  incidents = await createQueue(names.incidents);
  const secrets = new SecretsManagerClient(aws);
  const keep = (Name: string, SecretString: string) =>
    secrets.send(new CreateSecretCommand({ Name, SecretString }));
  await keep(names.fingerprints, randomBytes(32).toString("base64"));
  await keep("cli/admin", JSON.stringify({ username: "admin", password: "canary-of-the-admin" }));
  await keep("cli/db", JSON.stringify({ username: "app_a", password: canary }));
  await keep("cli/other", JSON.stringify({ username: "other_a", password: `other-${canary}` }));
  manifest();
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

function manifest(store: Readonly<Record<string, string>> = {}): void {
  const place = { account, region: aws.region, installation: "cli", ...store };
  const config = { host: "127.0.0.1", database: "app", owner: "app", tls: { ca: "./ca.pem" } };
  const secret = { store: "prod", type: "postgres-alternating", config, admin: { secret: "cli/admin" } };
  const text = {
    stores: { prod: { aws: place } },
    secrets: {
      "cli/admin": { store: "prod", type: "held" },
      "cli/db": { ...secret, fleets: ["web"] },
      "cli/other": { ...secret, config: { ...config, owner: "other" }, fleets: ["web"] },
    },
  };
  // JSON is YAML.
  writeFileSync(join(folder, "keyturn.yaml"), JSON.stringify(text));
}

async function keyturn(args: readonly string[], input?: string): Promise<Ended> {
  const given = input === undefined ? {} : { input };
  const ended = await runKeyturn(args, { directory: folder, environment, ...given });
  printed.push(ended.stdout, ended.stderr);
  return ended;
}

/** In this process, as an operator who arranges something. */
async function opened() {
  for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
  return openManifest(join(folder, "keyturn.yaml"));
}

test("status and doctor say where the store is, and what is known there", async () => {
  const status = await keyturn(["status", "--json"]);
  expect(status).toMatchObject({ code: 0 });
  expect(status.stdout).toContain("cli/db");
  const doctor = await keyturn(["doctor", "cli/db"]);
  expect(doctor.stdout + doctor.stderr).toContain(`store prod (AWS: ${account}, ${aws.region})`);
});

test("what a person asks for is recorded, ordered from the functions, and waited for without working on it", async () => {
  const rotate = await keyturn(["rotate", "cli/other", "--timeout", "3"]);
  expect(rotate.stderr).toContain(`cli/other in store prod (AWS: ${account}, ${aws.region})`);
  expect(rotate.stderr + rotate.stdout).toContain("cli/other is in create after 3.0 s; it goes on by itself");
  expect(await receive(queue)).toEqual({ ref: "cli/other" });
  {
    await using store = await opened();
    const { ports } = await store.secret("cli/other");
    // Nobody has tried a step: that is the functions' to do.
    expect((await ports.journal.load("cli/other"))?.record.state).toMatchObject({
      phase: "create",
      attempts: 0,
    });
  }
  expect(await keyturn(["pause", "cli/other", "--reason", "an audit"])).toMatchObject({ code: 0 });
  expect((await keyturn(["status", "cli/other"])).stdout).toContain("an audit");
});

test("a leaked value is known by its fingerprint, and its emergency is recorded and ordered", async () => {
  {
    await using store = await opened();
    const { ports } = await store.secret("cli/db");
    const password = new Secret(canary);
    const value = new Secret(JSON.stringify({ username: "app_a", password: canary }));
    await storeValue("cli/db", ports, value, { password });
  }
  const args = ["revoke", "--leaked", "--yes", "--timeout", "3", "--json"];
  const revoke = await keyturn(args, `PGPASSWORD=${canary}\n`);
  expect(revoke.stderr + revoke.stdout).toContain("cli/db");
  await using store = await opened();
  const { ports } = await store.secret("cli/db");
  const record = (await ports.journal.load("cli/db"))?.record;
  expect(record?.compromised).toHaveLength(1);
  expect(record?.state).toMatchObject({ phase: "create", attempts: 0 });
  const orders = [await receive(queue, 2), await receive(queue, 2), await receive(queue, 2)];
  expect(orders).toContainEqual({ ref: "cli/db" });
});

test("the audit that the functions write is read and verified", async () => {
  {
    await using store = await opened();
    const { ports } = await store.secret("cli/db");
    // The database is not there: the step fails, and what was asked is in the audit.
    await reconcile("cli/db", ports, { worker: "test", until: ports.clock.now() });
  }
  const verified = await keyturn(["audit", "verify"]);
  expect(verified.stdout).toMatch(/cli\/db {2}\d+ entries {2}unbroken/);
  expect(verified.code).toBe(0);
});

test("what only a store on this machine has says what to do on AWS", async () => {
  const enrol = await keyturn(["enrol", "host-1", "--fleet", "web"]);
  expect(enrol.stderr).toContain("hosts on AWS are known by their roles");
  const serve = await keyturn(["serve"]);
  expect(serve.stderr).toContain("functions serve it");
  expect([enrol.code, serve.code]).not.toContain(0);
});

test("an import is the function's: a value goes there by the store alone, and where no function is, it is told", async () => {
  const given = await keyturn(["import", "cli/db"], `app_a\n${canary}\n`);
  expect(given.code).toBe(2);
  expect(given.stderr).toContain("keyturn import cli/db --from-store");
  const asked = await keyturn(["import", "cli/db", "--from-store", "--plan"]);
  expect(asked.code).toBe(2);
  expect(asked.stderr).toContain(
    "there is no function keyturn-cli-postgres-alternating: deploy the manifest",
  );
});

test("with another account's identity nothing is done, and it is told whose it is", async () => {
  manifest({ account: "111122223333" });
  const pause = await keyturn(["pause", "cli/db", "--reason", "never"]);
  manifest();
  expect(pause.code).not.toBe(0);
  expect(pause.stderr).toContain("is in the account 111122223333, and you are arn:aws:");
  await using store = await opened();
  const { ports } = await store.secret("cli/db");
  expect((await ports.journal.load("cli/db"))?.record.paused).toBeUndefined();
});

test("where nothing is deployed, it is told what is missing", async () => {
  manifest({ installation: "nowhere" });
  const status = await keyturn(["status"]);
  manifest();
  expect(status.stdout + status.stderr).toContain("keyturn-nowhere/fingerprint-keys");
});

test("that work could not be ordered is said, and what was asked is recorded all the same", async () => {
  await new SQSClient(aws).send(new DeleteQueueCommand({ QueueUrl: queue.url }));
  const resumed = await keyturn(["resume", "cli/other", "--timeout", "2"]);
  expect(resumed.stderr).toContain("work on cli/other could not be ordered, and waits for the schedule");
  await using store = await opened();
  const { ports } = await store.secret("cli/other");
  expect((await ports.journal.load("cli/other"))?.record.paused).toBeUndefined();
});

test("that the stack is gone is said whatever is asked, for nobody sees to what is under way", async () => {
  const gone = "the stack of the store prod is gone: nobody rotates its secrets";
  expect((await keyturn(["status"])).stderr).not.toContain(gone);
  await new SQSClient(aws).send(new DeleteQueueCommand({ QueueUrl: incidents.url }));
  for (const command of ["status", "debts"]) expect((await keyturn([command])).stderr).toContain(gone);
});

test("no value is in anything that was printed", () => {
  expect(printed.join("\n").length).toBeGreaterThan(500);
  expect(printed.join("\n")).not.toContain("canary");
});
