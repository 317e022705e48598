import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Secret } from "../core/secret.ts";
import { StrictAccounts } from "../integration/aws/strict-accounts.ts";
import { idOf } from "../integration/aws/strict-secrets-manager/world.ts";
import { openPorts } from "./ports.ts";

const [hub, member] = ["111122223333", "444455556666"];
const role = `arn:aws:iam::${member}:role/keyturn-prod-hub`;
const type = "postgres-password";
const [here, there] = ["billing/db", "partner/db"];
const [v1, v2] = ["v1", "v2"].map(idOf) as [string, string];

let folder: string;
let accounts: StrictAccounts;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "keyturn-accounts-"));
  accounts = await new StrictAccounts().start();
  accounts.addKey("AKIAFUNCTION", hub);
  accounts.roles.set(role, { account: member, trusts: "AKIAFUNCTION" });
  const keys = randomBytes(32).toString("base64");
  await create(hub, "keyturn-prod/fingerprint-keys", keys);
  // Of the same name, so that whoever looks into the wrong account finds something.
  for (const [account, ref] of [hub, member].flatMap((one) =>
    [here, there].map((ref) => [one, ref] as const),
  ))
    await create(account, ref, JSON.stringify({ in: account }));
  vi.stubEnv("AWS_ENDPOINT_URL", accounts.endpoint);
  vi.stubEnv("AWS_REGION", "eu-west-1");
  vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIAFUNCTION");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "canary-of-the-function");
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await accounts[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

async function create(account: string, Name: string, SecretString: string): Promise<void> {
  const request = { Name, SecretString, ClientRequestToken: v1 };
  await accounts.serviceOf(account).carryOut("CreateSecret", "eu-west-1", request);
}

function open(roles: Readonly<Record<string, string>> | string = { [member]: role }) {
  const path = join(folder, "keyturn.json");
  const policy = {
    cacheTtlMs: 1,
    graceAtLeastMs: 1,
    graceAtMostMs: 1,
    onLaggards: "hold",
    confirmEveryMs: 1,
  };
  const tries = { stepDeadlineMs: 30_000, attemptsMax: 1, retryBaseMs: 1, retryMaxMs: 1 };
  const secrets = [here, there].map((ref) => ({
    ref,
    type,
    config: {},
    policy: { ...policy, ...tries },
    fleets: [],
  }));
  const place = { account: hub, region: "eu-west-1", accounts: { [there]: member } };
  writeFileSync(path, JSON.stringify({ version: 1, installation: "prod", ...place, secrets }));
  return openPorts({
    AWS_LAMBDA_FUNCTION_NAME: `keyturn-prod-${type}`,
    KEYTURN_INSTALLATION: "prod",
    KEYTURN_TABLE: "keyturn-prod-journal",
    KEYTURN_BUS: "keyturn-prod",
    KEYTURN_AUDIT_BUCKET: "keyturn-prod-audit",
    KEYTURN_AUDIT_KEY: "alias/keyturn-prod-audit",
    KEYTURN_FINGERPRINTS: "keyturn-prod/fingerprint-keys",
    KEYTURN_WORK_QUEUES: "https://queues/keyturn-prod-",
    KEYTURN_DEPLOYMENT: path,
    ...(roles === "none" ? {} : { KEYTURN_ROLES: typeof roles === "string" ? roles : JSON.stringify(roles) }),
  });
}

const placeOf = (value: Secret | undefined): unknown => JSON.parse(value?.reveal() ?? "{}").in;

function stagesIn(account: string, ref: string) {
  return accounts.serviceOf(account).find("eu-west-1", ref).stages();
}

test("each secret is read and written where it is, by one role that says who has taken it", async () => {
  const { store } = open().ports;
  expect(placeOf((await store.read(here, "current"))?.value)).toBe(hub);
  expect(accounts.taken).toEqual([]);
  const current = await store.read(there, "current");
  expect(placeOf(current?.value)).toBe(member);
  const untouched = stagesIn(hub, there);
  await store.savePending(there, v2, new Secret(JSON.stringify({ in: "new" })));
  await store.promote(there, v2, v1);
  expect(placeOf((await store.read(there, "current"))?.value)).toBe("new");
  expect((await store.versions(there)).map(({ version }) => version).toSorted()).toEqual([v1, v2].toSorted());
  expect(stagesIn(hub, there)).toEqual(untouched);
  expect(accounts.taken).toEqual([{ role, session: `keyturn-prod-${type}` }]);
});

test("a session that is about to end is followed by another one", async () => {
  accounts.sessionMs = 60_000;
  const { store } = open().ports;
  const read = async () => placeOf((await store.read(there, "current"))?.value);
  expect(await read()).toBe(member);
  const early = accounts.taken.length;
  accounts.sessionMs = 3_600_000;
  expect(await read()).toBe(member);
  const late = accounts.taken.length;
  expect(late).toBeGreaterThan(early);
  expect(await read()).toBe(member);
  expect(accounts.taken.length).toBe(late);
});

test("a role that lets nobody in is told with what to do, changes nothing, and keeps up no other account's secrets", async () => {
  accounts.roles.set(role, { account: member, trusts: "somebody else" });
  const { store } = open().ports;
  const before = stagesIn(member, there);
  const save = store.savePending(there, v2, new Secret(JSON.stringify({ password: "canary" })));
  const [outcome] = await Promise.allSettled([save]);
  const thrown: unknown = outcome.status === "rejected" ? outcome.reason : undefined;
  expect(thrown).toMatchObject({
    code: "role-lacks-rights",
    message: `STS: taking the role ${role}: AccessDenied (needs sts:AssumeRole on ${role}): deploy KeyturnAccount in that account for this installation, and the installation again`,
  });
  expect(inspect(thrown, { depth: 9, showHidden: true })).not.toContain("canary");
  expect(stagesIn(member, there)).toEqual(before);
  expect(placeOf((await store.read(here, "current"))?.value)).toBe(hub);
  // Once it lets in, the next try goes on.
  accounts.roles.set(role, { account: member, trusts: "AKIAFUNCTION" });
  expect(placeOf((await store.read(there, "current"))?.value)).toBe(member);
});

test.each([
  ["read", (its: Store) => its.read(there, "current")],
  ["versions", (its: Store) => its.versions(there)],
  ["savePending", (its: Store) => its.savePending(there, v2, new Secret("{}"))],
  ["promote", (its: Store) => its.promote(there, v2, v1)],
  ["discardPending", (its: Store) => its.discardPending(there, v2)],
  ["disable", (its: Store) => its.disable(there, v1)],
])("without a role of its account %s of a secret is refused before anything is asked", async (_, verb) => {
  const installed = open("none");
  await expect(verb(installed.ports.store)).rejects.toMatchObject({
    code: "config-invalid",
    message: expect.stringContaining(`${there} is in the account ${member}`),
  });
  await expect(installed.begin(there)).rejects.toMatchObject({
    code: "config-invalid",
  });
  expect(accounts.taken).toEqual([]);
  expect(placeOf((await installed.ports.store.read(here, "current"))?.value)).toBe(hub);
});
type Store = Awaited<ReturnType<typeof open>>["ports"]["store"];

test("Secrets Manager is asked who rotates a secret in the secret's own account", async () => {
  const { begin } = open();
  expect(await begin(there)).toBe(false);
  expect(accounts.taken.length).toBe(1);
});

test.each(["canary", "[]", `{"${member}":1}`, `{"${member}":"arn:aws:iam::${hub}:role/keyturn-prod-hub"}`])(
  "roles that are none, or of another account than they are named for, are refused: %s",
  (roles) => {
    const refusal = { code: "config-invalid", message: expect.stringMatching(/KEYTURN_ROLES(?!.*canary)/) };
    expect(() => open(roles)).toThrow(expect.objectContaining(refusal));
  },
);
