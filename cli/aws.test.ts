import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { StrictAccounts } from "../integration/aws/strict-accounts.ts";
import type { AwsStoreEntry } from "../manifest/manifest.ts";
import { openAws } from "./aws.ts";

const [hub, member] = ["111122223333", "444455556666"];
const [here, there] = ["billing/db", "partner/db"];
const accountOf = (ref: string) => (ref === there ? member : hub);
const entry: AwsStoreEntry = {
  kind: "aws",
  name: "prod",
  account: hub,
  region: "eu-west-1",
  installation: "prod",
  secretsBy: "tag",
  role: "arn:aws:iam::111122223333:role/people/operator",
  quota: undefined,
};

let accounts: StrictAccounts;
beforeEach(async () => {
  accounts = await new StrictAccounts().start();
  accounts.addKey("AKIAPERSON", hub);
  for (const account of [hub, member]) {
    const role = `arn:aws:iam::${account}:role/people/operator`;
    accounts.roles.set(role, { account, trusts: "AKIAPERSON" });
    for (const ref of [here, there]) await create(account, ref, JSON.stringify({ in: account }));
  }
  await create(hub, "keyturn-prod/fingerprint-keys", randomBytes(32).toString("base64"));
  vi.stubEnv("AWS_ENDPOINT_URL", accounts.endpoint);
  vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIAPERSON");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "canary-of-a-person");
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await accounts[Symbol.asyncDispose]();
});

async function create(account: string, Name: string, SecretString: string): Promise<void> {
  await accounts.serviceOf(account).carryOut("CreateSecret", entry.region, { Name, SecretString });
}

async function open(one: AwsStoreEntry) {
  const opened = await openAws(
    one,
    accountOf,
    () => undefined,
    () => undefined,
  );
  const read = async (ref: string): Promise<unknown> =>
    JSON.parse((await opened.parts.store.read(ref, "current"))?.value.reveal() ?? "{}").in;
  return { ...opened, read, [Symbol.dispose]: () => opened.close() };
}

test("a person reaches each secret where it is, by the role of that name in its account", async () => {
  using opened = await open(entry);
  expect(await opened.read(here)).toBe(hub);
  expect(await opened.read(there)).toBe(member);
  const roles = new Set(accounts.taken.map(({ role }) => role));
  expect([...roles]).toEqual([hub, member].map((one) => `arn:aws:iam::${one}:role/people/operator`));
});

test("without a role what is in another account is refused with what to write, and nothing else is kept up", async () => {
  using opened = await open({ ...entry, role: undefined });
  await expect(opened.read(there)).rejects.toMatchObject({
    code: "config-invalid",
    message: expect.stringContaining("as `role` of the store prod"),
  });
  expect(await opened.read(here)).toBe(hub);
});

test("tags are looked for in the store's own account, and set there", async () => {
  using opened = await open(entry);
  const policy = {
    cacheTtlMs: 1,
    graceAtLeastMs: 1,
    graceAtMostMs: 1,
    onLaggards: "hold",
    confirmEveryMs: 1,
  } as const;
  const tries = { stepDeadlineMs: 1, attemptsMax: 1, retryBaseMs: 1, retryMaxMs: 1, schedule: undefined };
  const about = { type: "model", config: {}, admin: undefined, fleets: [], tenant: undefined };
  const secrets = [here, there].map((ref) => ({ ref, ...about, policy: { ...policy, ...tries } }));
  const lacking = (await opened.untagged?.(secrets)) ?? [];
  expect(lacking.map(({ ref }) => ref)).toEqual([here]);
  for (const one of lacking) await opened.tag(one);
  expect(await opened.untagged?.(secrets)).toEqual([]);
  using byName = await open({ ...entry, secretsBy: "name" });
  expect(byName.untagged).toBeUndefined();
});
