import { createHmac, generateKeyPairSync, verify } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import type { LambdaFunctionURLEvent } from "aws-lambda";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { KeyturnError } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";
import { decode } from "./decode.ts";
import { githubAlerts } from "./github-alerts.ts";
import { takeWebhook } from "./github-webhook.ts";

const keys = generateKeyPairSync("rsa", { modulusLength: 2048 });
const privateKey = keys.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
const app = async () => new Secret(JSON.stringify({ appId: 99, privateKey }));
const found = { repository: "acme/shop", alert: 42, installation: 7, because: "an alert" };

/** No GitHub: a stand-in that holds an app to GitHub's documents. It checks the app's signature, and gives its token for that alone. */
async function standIn(answer: { status: number; body: unknown }) {
  const asked: string[] = [];
  const server = createServer((incoming, response) => {
    const { method = "", url = "", headers } = incoming;
    asked.push(`${method} ${url}`);
    const reply = (status: number, body: unknown) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(body));
    };
    const bearer = (headers.authorization ?? "").replace(/^bearer /i, "");
    if (url === "/app/installations/7/access_tokens") {
      if (!isOfTheApp(bearer)) return reply(401, { message: "canary-token" });
      return reply(201, { token: "installation-token", expires_at: "2099-01-01T00:00:00Z", permissions: {} });
    }
    if (bearer !== "installation-token") return reply(401, { message: "canary-token" });
    return reply(answer.status, answer.body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return { server, asked, baseUrl: `http://127.0.0.1:${address.port}` };
}

function isOfTheApp(jwt: string): boolean {
  const [header = "", payload = "", signature = ""] = jwt.split(".");
  const { iss } = JSON.parse(Buffer.from(payload, "base64url").toString());
  const signed = Buffer.from(`${header}.${payload}`);
  return (
    String(iss) === "99" && verify("sha256", signed, keys.publicKey, Buffer.from(signature, "base64url"))
  );
}

describe("what GitHub has found", () => {
  let github: Awaited<ReturnType<typeof standIn>>;
  const answer: { status: number; body: unknown } = { status: 200, body: {} };
  beforeEach(async () => {
    github = await standIn(answer);
  });
  afterEach(() => github.server.close());

  test("is asked for as the app that is installed there, and comes as a secret", async () => {
    Object.assign(answer, { status: 200, body: { number: 42, secret: "canary-value" } });
    const value = await githubAlerts({ app, baseUrl: github.baseUrl }).read(found);
    expect(value?.reveal()).toBe("canary-value");
    expect(String(value)).not.toContain("canary");
    expect(github.asked).toEqual([
      "POST /app/installations/7/access_tokens",
      "GET /repos/acme/shop/secret-scanning/alerts/42",
    ]);
  });

  test("is gone", async () => {
    Object.assign(answer, { status: 404, body: { message: "canary-token" } });
    expect(await githubAlerts({ app, baseUrl: github.baseUrl }).read(found)).toBeUndefined();
  });

  test.each([
    ["refuses the app", { status: 403, body: { message: "canary-token" } }, "request-refused", /may it read/],
    [
      "answers something else",
      { status: 200, body: { secret: 7 } },
      "request-refused",
      /does not hold the value/,
    ],
    ["is down", { status: 503, body: { message: "canary-token" } }, "unreachable", /\(503\)/],
  ])("is not told when GitHub %s", async (_, says, code, message) => {
    Object.assign(answer, says);
    const asking = githubAlerts({ app, baseUrl: github.baseUrl }).read(found);
    await expect(asking).rejects.toMatchObject({ code });
    await expect(asking).rejects.toThrow(message);
    await expect(asking).rejects.not.toThrow("canary");
  });

  test("is a person's to look at without an app, or when the event came by none", async () => {
    const none = githubAlerts({ app: undefined, baseUrl: github.baseUrl });
    await expect(none.read(found)).rejects.toThrow(/a person has to look: an alert: no GitHub App/);
    const alerts = githubAlerts({ app, baseUrl: github.baseUrl });
    await expect(alerts.read({ ...found, installation: undefined })).rejects.toThrow(/no GitHub App/);
    expect(github.asked).toEqual([]);
  });

  test("needs an app whose secret is one, and the error has nothing of it", async () => {
    const broken = githubAlerts({ app: async () => new Secret("canary"), baseUrl: github.baseUrl });
    await expect(broken.read(found)).rejects.toMatchObject({ code: "credential-invalid" });
    await expect(broken.read(found)).rejects.not.toThrow("canary");
    const other = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
    const pem = other.export({ type: "pkcs8", format: "pem" }).toString();
    const forged = async () => new Secret(JSON.stringify({ appId: 99, privateKey: pem }));
    const asking = githubAlerts({ app: forged, baseUrl: github.baseUrl }).read(found);
    await expect(asking).rejects.toThrow(/GitHub refuses the app \(401\)/);
  });
});

describe("a webhook", () => {
  const body = readFileSync(
    join(import.meta.dirname, "../integration/events/github/secret-scanning-alert-created.json"),
    "utf8",
  );
  const signed = (text: string, secret: string) =>
    `sha256=${createHmac("sha256", secret).update(text).digest("hex")}`;

  function delivery(
    text: string,
    headers: Readonly<Record<string, string>>,
    method = "POST",
  ): LambdaFunctionURLEvent {
    const http = {
      method,
      path: "/",
      protocol: "HTTP/1.1",
      sourceIp: "198.51.100.1",
      userAgent: "GitHub-Hookshot/1",
    };
    const context = { accountId: "a", apiId: "i", domainName: "d", domainPrefix: "p", requestId: "r" };
    return {
      version: "2.0",
      routeKey: "$default",
      rawPath: "/",
      rawQueryString: "",
      headers,
      isBase64Encoded: false,
      body: text,
      requestContext: { ...context, http, routeKey: "$default", stage: "$default", time: "", timeEpoch: 0 },
    };
  }

  function hook(
    secrets: () => Promise<readonly Secret[]> = async () => [
      new Secret("new-secret"),
      new Secret("old-secret"),
    ],
  ) {
    const queue: string[] = [];
    const lines: string[] = [];
    const options = {
      secrets,
      enqueue: async (message: string) => void queue.push(message),
      log: (level: string, message: string, fields?: object) =>
        void lines.push(`${level} ${message} ${JSON.stringify(fields)}`),
    };
    const take = async (event: LambdaFunctionURLEvent) => Object(await takeWebhook(options, event));
    return { queue, lines, take };
  }
  const alertBy = (secret: string, event = "secret_scanning_alert") => ({
    "x-github-event": event,
    "x-hub-signature-256": signed(body, secret),
  });

  test.each(["new-secret", "old-secret"])(
    "signed with %s goes on the queue, without a value",
    async (secret) => {
      const { queue, take } = hook();
      expect(await take(delivery(body, alertBy(secret)))).toMatchObject({ statusCode: 202 });
      expect(queue.map((message) => JSON.parse(message))).toEqual([
        {
          foundByGithub: {
            repository: "acme/shop",
            alert: 42,
            installation: 7,
            because: "secret scanning alert 42 of acme/shop, created",
          },
        },
      ]);
    },
  );

  test("may come in base 64, as the function's URL sends what it takes for bytes", async () => {
    const { queue, take } = hook();
    const encoded = {
      ...delivery(Buffer.from(body).toString("base64"), alertBy("new-secret")),
      isBase64Encoded: true,
    };
    expect(await take(encoded)).toMatchObject({ statusCode: 202 });
    expect(queue).toHaveLength(1);
  });

  test.each([
    ["another secret", alertBy("guessed")],
    ["no signature", { "x-github-event": "secret_scanning_alert" }],
    ["a signature of another kind", { ...alertBy("new-secret"), "x-hub-signature-256": "sha1=00" }],
    [
      "a signature of another body",
      { ...alertBy("new-secret"), "x-hub-signature-256": signed("{}", "new-secret") },
    ],
  ])("with %s is refused, and nothing is done", async (_, headers) => {
    const { queue, lines, take } = hook();
    expect(await take(delivery(body, headers))).toMatchObject({ statusCode: 401 });
    expect(queue).toEqual([]);
    expect(lines.join()).toContain("198.51.100.1");
  });

  test("is refused by a hook that has no secret", async () => {
    const { queue, take } = hook(async () => []);
    expect(await take(delivery(body, alertBy("")))).toMatchObject({ statusCode: 401 });
    expect(queue).toEqual([]);
  });

  test.each([
    ["of a kind that nobody has asked for", body, "push", "nobody has said what GitHub's event push means"],
    [
      "that lacks a field",
      "{}",
      "secret_scanning_alert",
      "not what it should be: alert.action, alert.alert, alert.repository",
    ],
    ["that is no JSON", "canary {", "secret_scanning_alert", "not what it should be: alert"],
  ])("signed and %s calls a person, who finds it by its id", async (_, text, event, why) => {
    const { queue, take } = hook();
    const headers = {
      "x-github-event": event,
      "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
      "x-hub-signature-256": signed(text, "new-secret"),
    };
    const answer = await take(delivery(text, headers));
    expect([answer.statusCode, JSON.parse(answer.body).message]).toEqual([202, `a person is called: ${why}`]);
    const because = `GitHub's delivery 72d3162e-cc78-11e3-81ab-4c9367dc0958: ${why}`;
    expect(queue.map((message) => decode(JSON.parse(message)))).toEqual([[{ kind: "person", because }]]);
    const { "x-github-delivery": _id, ...without } = headers;
    await take(delivery(text, without));
    expect(queue[1]).toContain("GitHub's delivery without an id: ");
    expect(queue.join()).not.toContain("canary");
  });

  test("that is a ping is answered, and what cannot be GitHub's is refused", async () => {
    const { queue, take } = hook();
    expect(await take(delivery(body, alertBy("new-secret", "ping")))).toMatchObject({ statusCode: 202 });
    expect(await take(delivery(body, alertBy("new-secret"), "GET"))).toMatchObject({ statusCode: 405 });
    const long = "x".repeat(1024 * 1024 + 1);
    expect(await take(delivery(long, alertBy("new-secret")))).toMatchObject({ statusCode: 413 });
    expect(queue).toEqual([]);
  });

  test("is to come again while the secret cannot be read, and says nothing of it", async () => {
    const { lines, take } = hook(async () => {
      throw new KeyturnError("throttled", "Secrets Manager: throttled");
    });
    expect(await take(delivery(body, alertBy("new-secret")))).toMatchObject({ statusCode: 503 });
    expect(lines.join()).not.toContain("new-secret");
  });
});
