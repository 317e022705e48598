import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import { openAuditPorts } from "./audit-ports.ts";
import { hostPorts } from "./host-ports.ts";
import { openIncidents } from "./incident-ports.ts";
import { openPorts } from "./ports.ts";
import { takeEvent } from "./rotating.ts";
import { answer, refusal, scriptedService } from "./scripted-service.contract.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "keyturn-ports-"));
});
afterEach(() => vi.unstubAllEnvs());
afterAll(() => rmSync(folder, { recursive: true }));

const place = { account: "111122223333", region: "eu-west-1" };

function environment(deployment: unknown = { version: 1, installation: "prod", ...place, secrets: [] }) {
  const path = join(folder, "keyturn.json");
  writeFileSync(path, JSON.stringify(deployment));
  return {
    KEYTURN_INSTALLATION: "prod",
    KEYTURN_TABLE: "keyturn-prod-journal",
    KEYTURN_BUS: "keyturn-prod",
    KEYTURN_AUDIT_BUCKET: "keyturn-prod-audit",
    KEYTURN_AUDIT_KEY: "alias/keyturn-prod-audit",
    KEYTURN_FINGERPRINTS: "keyturn-prod/fingerprint-keys",
    KEYTURN_WORK_QUEUES: "https://sqs.eu-west-1.amazonaws.com/111122223333/keyturn-prod-",
    KEYTURN_DEPLOYMENT: path,
  };
}

const [ref, type] = ["billing/db", "postgres-alternating"];
const policy = {
  cacheTtlMs: 1,
  graceAtLeastMs: 1,
  graceAtMostMs: 1,
  onLaggards: "hold",
  confirmEveryMs: 1,
};
const tries = { stepDeadlineMs: 30_000, attemptsMax: 1, retryBaseMs: 1, retryMaxMs: 1 };
const secret = { ref, type, config: {}, policy: { ...policy, ...tries }, fleets: [] };

/** What functions find: clients made of the environment alone. */
function serve(endpoint: string): void {
  vi.stubEnv("AWS_ENDPOINT_URL", endpoint);
  vi.stubEnv("AWS_REGION", "eu-west-1");
  vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIATEST");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "canary");
  vi.stubEnv("AWS_MAX_ATTEMPTS", "1");
}

const message = {
  ...{ messageId: "m1", receiptHandle: "h", messageAttributes: {}, md5OfBody: "", awsRegion: "eu-west-1" },
  eventSource: "aws:sqs",
  attributes: {
    ...{ ApproximateReceiveCount: "1", SenderId: "x" },
    ...{ SentTimestamp: "1", ApproximateFirstReceiveTimestamp: "1" },
  },
};

const keys = answer({ Name: "keys", VersionId: "v", SecretString: randomBytes(32).toString("base64") });

test("everything comes from the environment and the deployment; the keys of fingerprints are asked for once, by whoever is first", async () => {
  await using service = await scriptedService(keys);
  serve(service.config.endpoint);
  const { ports, ready } = openPorts(environment());
  expect(ports.installation).toBe("prod");
  expect(ports.secrets.refs()).toEqual([]);
  expect(service.asked).toEqual([]);
  for (const verb of ["fingerprint", "candidates"] as const) {
    expect(() => ports.fingerprinter[verb]("x")).toThrow("before its keys were read");
  }
  await Promise.all([ready(), ready()]);
  await ready();
  expect(ports.fingerprinter.fingerprint("x")).toMatch(/^[0-9a-f]{16}:[0-9a-f]{32}$/);
  expect(ports.fingerprinter.candidates("x")).toEqual([ports.fingerprinter.fingerprint("x")]);
  expect(service.asked).toEqual([
    { operation: "GetSecretValue", input: { SecretId: "keyturn-prod/fingerprint-keys" } },
  ]);
});

test("an environment that lacks something is refused by its name", async () => {
  const others = ["KEYTURN_DEPLOYMENT", "KEYTURN_AUDIT_KEY"];
  for (const name of Object.keys(environment()).filter((one) => !others.includes(one))) {
    expect(() => openPorts({ ...environment(), [name]: "" })).toThrow(`the environment does not say ${name}`);
  }
  for (const name of ["KEYTURN_AUDIT_BUCKET", "KEYTURN_AUDIT_KEY"]) {
    const open = () => openAuditPorts({ ...environment(), [name]: "" });
    expect(open).toThrow(`the environment does not say ${name}`);
  }
});

test("a deployment that is none, or of a newer version, is refused", async () => {
  expect(() => openPorts(environment({ version: 2 }))).toThrow("deploy code and manifest together");
  expect(() => openPorts({ ...environment(), KEYTURN_DEPLOYMENT: folder })).toThrow("cannot be read");
});

test("without the keys of fingerprints nothing begins, nothing is put aside, and it goes on when they are there", async () => {
  const gone = refusal("ResourceNotFoundException");
  await using service = await scriptedService(gone, gone, gone, gone, gone, keys);
  serve(service.config.endpoint);
  const installed = openPorts(environment({ version: 1, installation: "prod", ...place, secrets: [secret] }));
  const invocation = { awsRequestId: "r1", getRemainingTimeInMillis: () => 60_000 };
  const take = (event: unknown) => takeEvent(installed, event, invocation);
  const queued = { ...message, eventSourceARN: "arn:aws:sqs:eu-west-1:111122223333:work" };
  const missing = "the secret keyturn-prod/fingerprint-keys with the fingerprint keys is not there";

  await expect(installed.ready()).rejects.toMatchObject({ code: "key-missing", message: missing });
  const step = { Step: "createSecret", SecretId: ref, ClientRequestToken: "0".repeat(32) };
  await expect(take(step)).rejects.toThrow(
    new RegExp(`^key-missing: ${missing}\\. .*on AWS, restore the secret with the fingerprint keys`),
  );
  const work = { Records: [{ ...queued, body: JSON.stringify({ ref }) }] };
  expect(await take(work)).toEqual({ batchItemFailures: [{ itemIdentifier: "m1" }] });
  const answered = await take({ import: { ref, by: "person:ann", plan: false } });
  expect(answered).toEqual({ error: { code: "key-missing", message: missing } });
  const urls = { KEYTURN_DEAD_LETTERS: "https://dead", KEYTURN_INCIDENTS: "https://incidents" };
  const incidents = openIncidents(installed, urls);
  await expect(incidents({ Records: [{ ...queued, body: "no JSON" }] })).rejects.toThrow(missing);
  expect(new Set(service.asked.map(({ operation }) => operation))).toEqual(new Set(["GetSecretValue"]));
  expect(service.asked).toHaveLength(5);

  await installed.ready();
  expect(installed.ports.fingerprinter.fingerprint("x")).toMatch(/^[0-9a-f]{16}:/);
});

test("incidents need their queues; a batch and a webhook are told apart, and without a secret no webhook is good", async () => {
  await using service = await scriptedService(keys);
  serve(service.config.endpoint);
  const installed = openPorts(environment());
  expect(() => openIncidents(installed, {})).toThrow("KEYTURN_DEAD_LETTERS, KEYTURN_INCIDENTS");
  const urls = { KEYTURN_DEAD_LETTERS: "https://dead", KEYTURN_INCIDENTS: "https://incidents" };
  const handler = openIncidents(installed, urls);
  expect(await handler({ Records: [] })).toEqual({ batchItemFailures: [] });
  const http = { method: "POST", path: "/", protocol: "HTTP/1.1", sourceIp: "198.51.100.1", userAgent: "x" };
  const context = { accountId: "a", apiId: "i", domainName: "d", domainPrefix: "p", requestId: "r" };
  const refused = await handler({
    version: "2.0",
    routeKey: "$default",
    rawPath: "/",
    rawQueryString: "",
    headers: { "x-hub-signature-256": "sha256=00", "x-github-event": "ping" },
    isBase64Encoded: false,
    body: "{}",
    requestContext: { ...context, http, routeKey: "$default", stage: "$default", time: "", timeEpoch: 0 },
  });
  expect(refused).toMatchObject({ statusCode: 401 });
});

test.each(["name", "tag"])(
  "where rights go by %s, a refused call names the tags that a secret has to bear, or does not",
  async (secretsBy) => {
    const message =
      "User: f is not authorized to perform: secretsmanager:DescribeSecret on resource: billing/db";
    await using service = await scriptedService(refusal("AccessDeniedException", message));
    serve(service.config.endpoint);
    const { ports, begin, assertTagged } = openPorts(
      environment({ version: 1, installation: "prod", ...place, secretsBy, secrets: [secret] }),
    );
    const why = "needs secretsmanager:DescribeSecret on billing/db)";
    const tags =
      ": rights go by tags here, does it bear keyturn:installation=prod keyturn:type=postgres-alternating? `keyturn doctor --fix` sets them";
    const calls = [() => ports.store.promote(ref, "v2", "v1"), () => begin(ref)];
    for (const call of calls) {
      const [outcome] = await Promise.allSettled([call()]);
      const { code, message: told } = asKeyturnError(
        outcome.status === "rejected" ? outcome.reason : undefined,
      );
      expect(code).toBe("role-lacks-rights");
      expect(told.endsWith(secretsBy === "tag" ? why + tags : why)).toBe(true);
    }
    const asked = service.asked.length;
    await assertTagged().catch(() => undefined);
    expect(service.asked.slice(asked).map(({ operation }) => operation)).toEqual(
      secretsBy === "tag" ? ["ListSecrets"] : [],
    );
  },
);

/** Takes every call, and answers none. */
async function blackHole(): Promise<
  AsyncDisposable & { readonly endpoint: string; readonly taken: () => number }
> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => sockets.add(socket.on("error", () => undefined)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("there is no port");
  return {
    endpoint: `http://127.0.0.1:${address.port}`,
    taken: () => sockets.size,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server.close(), "close");
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

test("a service that takes a call and never answers is told within seconds, whichever it is", async () => {
  await using hole = await blackHole();
  await using service = await scriptedService(keys);
  serve(hole.endpoint);
  vi.stubEnv("AWS_ENDPOINT_URL_SECRETS_MANAGER", service.config.endpoint);
  const environs = {
    ...environment({ version: 1, installation: "prod", ...place, secrets: [secret] }),
    KEYTURN_WORK_QUEUES: `${hole.endpoint}/111122223333/keyturn-prod-`,
    KEYTURN_DEAD_LETTERS: `${hole.endpoint}/111122223333/dead`,
  };
  const { ports, queues } = openPorts(environs);
  const signing = openAuditPorts(environs);
  const hosts = hostPorts(environs);
  vi.stubEnv("AWS_ENDPOINT_URL_SECRETS_MANAGER", hole.endpoint);
  const begun = performance.now();
  const refused = (call: Promise<unknown>, code: string) => expect(call).rejects.toMatchObject({ code });
  await Promise.all([
    refused(ports.journal.load(ref), "journal-unavailable"),
    refused(ports.audit.end(ref), "audit-unavailable"),
    refused(signing.roots.end(), "audit-unavailable"),
    refused(signing.keys.publicKeys(), "audit-unavailable"),
    refused(queues.order(ref), "bus-unavailable"),
    refused(hosts.journal.load(ref), "journal-unavailable"),
    refused(hosts.deadLetters.put("{}", new KeyturnError("input-invalid", "x")), "bus-unavailable"),
  ]);
  expect(performance.now() - begun).toBeLessThan(tries.stepDeadlineMs / 2);
  expect(hole.taken()).toBeGreaterThanOrEqual(7 * 3);
}, 30_000);
