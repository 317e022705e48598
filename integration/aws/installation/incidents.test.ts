import { createHmac } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { EventBridgeClient, PutEventsCommand } from "@aws-sdk/client-eventbridge";
import { GetRolePolicyCommand, IAMClient, ListAccessKeysCommand } from "@aws-sdk/client-iam";
import { GetSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { expect, onTestFinished, test, vi } from "vitest";
import { Secret } from "../../../core/secret.ts";
import { agentOf } from "../iam-target.ts";
import { HostProcesses } from "./host-processes.ts";
import { installation } from "./installation.ts";
import { keyturn } from "./keyturn.ts";
import { putAside } from "./put-aside.ts";
import { revocableRole, webhookSecret } from "./secrets.ts";
import { atRest, begun, current, record } from "./stage.ts";

const { aws, iam: account, outputs } = installation;
const manager = new SecretsManagerClient(aws);
const bridge = new EventBridgeClient(aws);
const iam = new IAMClient(account);
const hostCount = 3;
/** The fixtures' leaked key. */
const example = "AKIAIOSFODNN7EXAMPLE";
const created = "secret-scanning-alert-created.json";
const within = { timeout: 60_000, interval: 500 };

interface Golden {
  readonly source: string;
  readonly "detail-type": string;
  readonly detail: object;
}

function golden(name: string, accessKeyId: string): Golden {
  const text = eventNamed(name);
  expect(text).toContain(example);
  return JSON.parse(text.replaceAll(example, accessKeyId));
}

function eventNamed(name: string): string {
  return readFileSync(join(import.meta.dirname, "../../events/aws", `${name}.json`), "utf8");
}

/** On the account's own bus, as the service puts it there. AWS takes no event of a service from anybody else; LocalStack does. */
async function happens({ source, "detail-type": DetailType, detail }: Golden): Promise<void> {
  const entry = { Source: source, DetailType, Detail: JSON.stringify(detail) };
  const { FailedEntryCount } = await bridge.send(new PutEventsCommand({ Entries: [entry] }));
  expect(FailedEntryCount).toBe(0);
}

/** Whether IAM takes what is signed with it. */
async function signs(value: string): Promise<boolean> {
  const session = await agentOf(new Secret(value), account.endpoint).catch(() => undefined);
  await session?.close();
  return session !== undefined;
}

async function statusOf(UserName: string, accessKeyId: string): Promise<string | undefined> {
  const { AccessKeyMetadata = [] } = await iam.send(new ListAccessKeysCommand({ UserName }));
  return AccessKeyMetadata.find((key) => key.AccessKeyId === accessKeyId)?.Status;
}

/** From the event to the refusal, with a successor that works, and that hosts of the fleet have where there are any. */
async function answers(ref: string, event: string, hosts?: HostProcesses): Promise<void> {
  const before = await begun(ref);
  hosts?.start("host", hostCount);
  await allHave(hosts, before.version);
  expect(await signs(before.value)).toBe(true);
  const { accessKeyId } = JSON.parse(before.value);
  const since = Date.now();
  await happens(golden(event, accessKeyId));
  const successor = await vi.waitUntil(async () => {
    const found = await current(ref);
    return found?.version !== before.version && found;
  }, within);
  const successorMs = Date.now() - since;
  const adopted = allHave(hosts, successor.version);
  await vi.waitUntil(async () => !(await signs(before.value)), within);
  const refusedMs = Date.now() - since;
  await adopted;
  console.log(
    `${event}: a successor after ${seconds(successorMs)}, the leaked key refused after ${seconds(refusedMs)}`,
  );
  expect(Math.max(successorMs, refusedMs)).toBeLessThan(60_000);
  expect(await statusOf(ref.replace("/", "-"), accessKeyId)).toBe("Inactive");
  expect(await signs(successor.value)).toBe(true);
  await atRest(ref);
  const [compromised, ...more] = (await record(ref))?.compromised ?? [];
  expect([compromised?.version, more]).toEqual([before.version, []]);
  expect(compromised?.refusedAt).toBeGreaterThan(since);
  expect((await current(ref))?.version).toBe(successor.version);
  const { stdout } = await keyturn(["audit", "export", ref]);
  expect(stdout).toMatch(/"action":"debt.paid".*"detail":"proven refused, \d+\.\d s after it was reported; /);
}

async function allHave(hosts: HostProcesses | undefined, version: string): Promise<void> {
  if (hosts === undefined) return;
  const have = () => [...hosts.seen.values()].filter((seen) => seen.version === version).length === hostCount;
  await vi.waitUntil(have, within);
  expect(hosts.errors).toEqual([]);
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

test("of a leaked access key AWS Health tells, or GuardDuty: it is inactive and refused within the minute, and its successor works, and the fleet has it", async () => {
  const hosts = new HostProcesses({
    aws,
    script: installation.hosts,
    installation: "shown",
    fleet: "keyed",
    ref: "leaked/key",
  });
  onTestFinished(() => hosts.kill());
  await Promise.all([
    answers("leaked/key", "health-credentials-exposed", hosts),
    answers("abused/key", "guardduty-access-key-anomalous"),
  ]);
}, 300_000);

test("of a session of a role that GuardDuty tells of, all that it signs is denied from then on, and sessions of later are let be", async () => {
  const since = Date.now();
  await happens(JSON.parse(eventNamed("guardduty-session-exfiltration")));
  const asked = { RoleName: revocableRole, PolicyName: "AWSRevokeOlderSessions" };
  const policy = await vi.waitUntil(
    () => iam.send(new GetRolePolicyCommand(asked)).catch(() => undefined),
    within,
  );
  const { Statement } = JSON.parse(decodeURIComponent(policy?.PolicyDocument ?? ""));
  const [{ Condition, ...denies }] = Statement;
  expect(denies).toMatchObject({ Effect: "Deny", Action: ["*"], Resource: ["*"] });
  const until = Date.parse(Condition.DateLessThan["aws:TokenIssueTime"]);
  expect(until).toBeGreaterThan(since - 2_000);
  expect(until).toBeLessThanOrEqual(Date.now());
}, 120_000);

/** Waits until this is why what has the mark in it was put aside. */
async function isAside(mark: string, why: string): Promise<void> {
  const reasons = () => putAside("keyturn-shown-incidents-dead", mark);
  await expect.poll(reasons, { timeout: 60_000, interval: 1_500 }).toEqual([why]);
}

test("what nobody can carry out is put aside with its reason: a malformed event, and a key that no secret ever had", async () => {
  const stranger = "AKIA0STRANGER0000000";
  const { detail, ...envelope } = golden("health-credentials-exposed", stranger);
  const eventArn = "arn:aws:health:us-east-1::event/RISK/AWS_RISK_CREDENTIALS_EXPOSED/MALFORMED";
  await happens({ ...envelope, detail: { ...detail, eventArn, affectedEntities: "none" } });
  await happens({ ...envelope, detail });
  await isAside(eventArn, "input-invalid: not what it should be: detail.affectedEntities");
  await isAside(
    stranger,
    `request-refused: a person has to look: AWS Health says AWS_RISK_CREDENTIALS_EXPOSED of ${stranger}, and no secret here has or had this key`,
  );
}, 240_000);

/** GitHub's alert of that number, as it is delivered to the address of the webhook. LocalStack tells functions' addresses apart by the host that is asked for. */
async function delivered(alert: number, secret: string): Promise<{ status: number; message: unknown }> {
  const sample = JSON.parse(
    readFileSync(join(import.meta.dirname, `../../events/github/${created}`), "utf8"),
  );
  const body = JSON.stringify({ ...sample, alert: { ...sample.alert, number: alert } });
  // Of a name that ends in an address, which no URL may have.
  const [, host] = /^https?:\/\/([^/]+)/.exec(outputs.WebhookUrl ?? "") ?? [];
  const asked = request(aws.endpoint, {
    method: "POST",
    headers: {
      host,
      "content-type": "application/json",
      "x-github-event": "secret_scanning_alert",
      "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`,
    },
  }).end(body);
  const [answer] = await once(asked, "response");
  return { status: answer.statusCode, message: (await json(answer)) ?? {} };
}

test("GitHub's webhook comes by the function's address: what GitHub has signed goes to a person where no app is, and what others have signed nowhere", async () => {
  const read = await manager.send(new GetSecretValueCommand({ SecretId: webhookSecret }));
  const secret = new Secret(read.SecretString ?? "").reveal();
  const [forged, genuine] = [770_001, 770_002];
  expect(await delivered(forged, `${secret}0`)).toEqual({
    status: 401,
    message: { message: "the signature is wrong" },
  });
  expect(await delivered(genuine, secret)).toEqual({
    status: 202,
    message: { message: `secret scanning alert ${genuine} of acme/shop, created` },
  });
  await isAside(
    "acme/shop",
    `request-refused: a person has to look: secret scanning alert ${genuine} of acme/shop, created: no GitHub App is here that could ask for the value`,
  );
}, 120_000);
