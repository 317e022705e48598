import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";
import {
  canaries,
  channelTo,
  channelValues,
  condition,
  deliverOptions,
  type Kind,
  kinds,
  notice,
  readerOf,
} from "./channels.contract.ts";
import { deliver } from "./deliver.ts";
import { type Notice, resolution } from "./notice.ts";
import { type Receiver, startReceiver } from "./receiver.contract.ts";
import { PagerDutyAlert, PagerDutyChange, SlackMessage, WebhookBody } from "./services.contract.ts";

const key = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;

async function send(receiver: Receiver, kind: Kind, what: Notice = notice, timeoutMs = 10_000) {
  const options = deliverOptions(readerOf(channelValues(receiver)), { timeoutMs });
  return deliver(channelTo(receiver, kind), what, options);
}

/** Twelve characters anywhere in it are enough to know it by. */
function partsOf(secret: string): readonly string[] {
  return Array.from({ length: secret.length - 11 }, (_, at) => secret.slice(at, at + 12));
}

describe("what is posted", () => {
  test("a webhook by Standard Webhooks: the library of the receivers verifies it", async () => {
    const receiver = await startReceiver();
    expect(await send(receiver, "webhook")).toMatchObject({ result: "delivered", status: 200 });
    const [received] = receiver.received;
    const { body = "", headers = {}, path } = received ?? {};
    expect(path).toBe("/hook");
    expect(headers["content-type"]).toBe("application/json");
    expect(headers["webhook-id"]).toBe("billing/db/halted/1767225600000");
    const given = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
    const verified = WebhookBody.parse(new Webhook(canaries.signing).verify(body, given));
    expect(verified).toMatchObject({
      type: "dev.keyturn.notice.halted.v1",
      timestamp: "2026-01-01T00:00:00.000Z",
      data: { status: "opened", secret: "billing/db", commands: condition.commands },
    });
    expect(() => new Webhook(key).verify(body, given)).toThrow();
    expect(() => new Webhook(canaries.signing).verify(body.replace("acme", "else"), given)).toThrow();
  });

  test("while a signing secret is new, the one before signs too", async () => {
    const receiver = await startReceiver();
    const values = { "ops/signing": canaries.signing, "ops/signing@previous": key };
    for (const createdAt of [Date.now() - 60_000, Date.now() - 90_000_000]) {
      await deliver(channelTo(receiver, "webhook"), notice, deliverOptions(readerOf(values, createdAt)));
    }
    const signed = receiver.received.map(({ headers, body }) => {
      const given = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
      return [canaries.signing, key].map((secret) => {
        try {
          return new Webhook(secret).verify(body, given) !== undefined;
        } catch {
          return false;
        }
      });
    });
    expect(signed).toEqual([
      [true, true],
      [true, false],
    ]);
  });

  test("an id with full stops in it, as in a secret's name, has none when it is signed", async () => {
    const receiver = await startReceiver();
    await send(receiver, "webhook", { ...notice, id: "api.v1/db/7/rotated" });
    expect(receiver.received[0]?.headers["webhook-id"]).toBe("api%2Ev1/db/7/rotated");
  });

  test("PagerDuty: a condition triggers and resolves one alert, and news are a change", async () => {
    const receiver = await startReceiver();
    receiver.behave((response) => void response.writeHead(202).end('{"status":"success"}'));
    const told: Notice = { ...notice, kind: "rotated", status: "told", severity: "info" };
    for (const what of [notice, resolution(condition, "over", Date.now()), told]) {
      expect(await send(receiver, "pagerduty", what)).toMatchObject({ result: "delivered", status: 202 });
    }
    const alerts = receiver.bodies("/v2/enqueue").map((body) => PagerDutyAlert.parse(body));
    expect(alerts.map((alert) => alert.event_action)).toEqual(["trigger", "resolve"]);
    expect(new Set(alerts.map((alert) => alert.dedup_key))).toEqual(
      new Set(["keyturn/installation-1/billing/db/halted"]),
    );
    expect(alerts[0]).toMatchObject({
      routing_key: canaries.routing,
      payload: { severity: "critical", source: "keys-1.internal", component: "billing/db", group: "acme" },
    });
    expect(
      receiver.bodies("/v2/change/enqueue").map((body) => PagerDutyChange.safeParse(body).error),
    ).toEqual([undefined]);
  });

  test("PagerDuty takes a long name, and two long names stay two", async () => {
    const receiver = await startReceiver();
    const long = "x".repeat(260);
    for (const end of ["a", "b"]) await send(receiver, "pagerduty", { ...notice, key: `${long}${end}` });
    const keys = receiver.bodies().map((body) => PagerDutyAlert.parse(body).dedup_key);
    expect(new Set(keys).size).toBe(2);
  });

  test("Slack: what is markup there comes as text, with the commands to type", async () => {
    const receiver = await startReceiver();
    expect(await send(receiver, "slack")).toMatchObject({ result: "delivered" });
    expect(receiver.received[0]?.path).toBe(canaries.slackPath);
    const [message] = receiver.bodies().map((body) => SlackMessage.parse(body));
    const text = JSON.stringify(message);
    expect(text).toContain("epoch 7 &lt;!channel&gt; &amp; more &gt; others");
    expect(text).toContain("keyturn resume billing/db");
    expect(message?.text).toBe("[critical] the rotation of billing/db is halted");
  });

  test("whatever the size of a reason, every service takes the message", async () => {
    const receiver = await startReceiver();
    const huge: Notice = {
      ...notice,
      summary: "💥<&>".repeat(2_000),
      detail: "&<😀>".repeat(40_000),
      remedy: "&".repeat(5_000),
    };
    for (const kind of kinds) await send(receiver, kind, huge);
    expect(receiver.bodies("/hook").map((body) => WebhookBody.safeParse(body).error)).toEqual([undefined]);
    expect(receiver.bodies(canaries.slackPath).map((body) => SlackMessage.safeParse(body).error)).toEqual([
      undefined,
    ]);
    expect(receiver.bodies("/v2/enqueue").map((body) => PagerDutyAlert.safeParse(body).error)).toEqual([
      undefined,
    ]);
    for (const { body } of receiver.received) {
      expect(Buffer.byteLength(body)).toBeLessThan(64 * 1024);
      expect(body.isWellFormed()).toBe(true);
    }
  });

  test("secrets of channels are only where their service wants them", async () => {
    const receiver = await startReceiver();
    for (const kind of kinds) await send(receiver, kind);
    const everything = receiver.received.map(({ path, headers, body }) => ({
      path,
      text: JSON.stringify({ headers, body }),
    }));
    for (const { path, text } of everything) {
      expect(text).not.toContain(canaries.signing.slice(6));
      expect(text).not.toContain("canarySlackPath");
      expect(text.includes(canaries.routing)).toBe(path === "/v2/enqueue");
    }
    expect(everything).toHaveLength(3);
  });
});

describe("what receivers answer", () => {
  const answers = [
    [500, {}, "failed", "unreachable", 0],
    [503, { "retry-after": "7" }, "failed", "unreachable", 7_000],
    [429, { "retry-after": "999999" }, "failed", "throttled", 3_600_000],
    [429, { "retry-after": "soon" }, "failed", "throttled", 0],
    [404, {}, "failed", "target-rejected", 0],
    [410, {}, "gone", "target-rejected", undefined],
  ] as const;

  test.each(answers)("%i %o: %s", async (status, headers, result, code, retryAfterMs) => {
    const receiver = await startReceiver();
    receiver.behave((response) => void response.writeHead(status, headers).end("no"));
    for (const kind of kinds) {
      const outcome = await send(receiver, kind);
      expect(outcome).toMatchObject({ result, error: { code } });
      expect("retryAfterMs" in outcome ? outcome.retryAfterMs : undefined).toBe(retryAfterMs);
    }
  });

  test("a date in Retry-After is honoured", async () => {
    const receiver = await startReceiver();
    const date = new Date(Date.now() + 600_000).toUTCString();
    receiver.behave((response) => void response.writeHead(503, { "retry-after": date }).end());
    const outcome = await send(receiver, "webhook");
    const waitMs = outcome.result === "failed" ? outcome.retryAfterMs : 0;
    expect(waitMs).toBeGreaterThan(500_000);
    expect(waitMs).toBeLessThanOrEqual(600_000);
  });

  test("400 is final where the service says so, and is tried again at one's own receiver", async () => {
    const receiver = await startReceiver();
    receiver.behave((response) => void response.writeHead(400).end("invalid_payload"));
    const results = [];
    for (const kind of kinds) results.push((await send(receiver, kind)).result);
    expect(results).toEqual(["failed", "refused", "refused"]);
  });

  test("what a receiver repeats of our secrets is in no error", async () => {
    const receiver = await startReceiver();
    receiver.behave((response, { path, headers, body }) => {
      response.writeHead(400).end(`${path}\u001b[2J ${headers.host} ${body} ${canaries.signing}`);
    });
    for (const kind of kinds) {
      const outcome = await send(receiver, kind);
      const text = outcome.result === "delivered" ? "" : outcome.error.message;
      expect(text).toContain("answers 400");
      expect(text).not.toMatch(/canary/i);
      expect(partsOf(canaries.signing).filter((part) => text.includes(part))).toEqual([]);
      expect(text).not.toContain("\u001b");
      expect(text.length).toBeLessThan(400);
    }
  });

  test.each([
    ["at its beginning", () => canaries.signing],
    ["without its mark", () => `the key is ${canaries.signing.slice(6)}`],
    ["where what is told ends", () => `${"x".repeat(180)}${canaries.signing}`],
    ["where what is read ends", () => `${"\n".repeat(4_096 - 30)}${canaries.signing}`],
  ])("of a secret that a reply repeats %s not even a part is told", async (_, reply) => {
    const receiver = await startReceiver();
    receiver.behave((response) => void response.writeHead(500).end(reply()));
    const outcome = await send(receiver, "webhook");
    const text = outcome.result === "delivered" ? "" : outcome.error.message;
    expect(text).toContain("answers 500");
    expect(partsOf(canaries.signing).filter((part) => text.includes(part))).toEqual([]);
  });

  test("of a secret in whose middle a reply breaks off not even a part is told", async () => {
    const receiver = await startReceiver();
    receiver.behave((response) => {
      response.writeHead(500, { "content-length": 1_000 });
      response.write(canaries.signing.slice(0, 30), () => response.destroy());
    });
    const outcome = await send(receiver, "webhook");
    expect(outcome).toMatchObject({ result: "failed", error: { message: expect.stringMatching(/ 500$/) } });
  });

  test("a redirect is not followed: not to http, not to another host", async () => {
    const other = await startReceiver();
    const receiver = await startReceiver();
    for (const location of ["http://127.0.0.1:1/", `${other.url}/hook`]) {
      receiver.behave((response) => void response.writeHead(307, { location }).end());
      expect(await send(receiver, "webhook")).toMatchObject({
        result: "failed",
        error: { code: "target-rejected" },
      });
    }
    expect(other.received).toEqual([]);
  });

  test("a reply without end costs neither time nor memory", async () => {
    const receiver = await startReceiver();
    for (const [status, result] of [
      [200, "delivered"],
      [500, "failed"],
    ] as const) {
      let written = 0;
      receiver.behave((response) => {
        response.writeHead(status);
        const more = setInterval(() => {
          response.write("x".repeat(65_536));
          written += 65_536;
        }, 1);
        response.on("close", () => clearInterval(more));
      });
      const begun = performance.now();
      expect(await send(receiver, "webhook")).toMatchObject({ result });
      expect(performance.now() - begun).toBeLessThan(2_000);
      expect(written).toBeLessThan(4 * 1_024 * 1_024);
    }
  });

  test("a status is an answer, although the body hangs", async () => {
    const receiver = await startReceiver();
    receiver.behave((response) => void response.writeHead(200).write("o"));
    expect(await send(receiver, "slack")).toMatchObject({ result: "delivered" });
    receiver.behave((response) => void response.writeHead(503).write("o"));
    expect(await send(receiver, "slack", notice, 300)).toMatchObject({ result: "failed" });
  });

  test("no answer at all is a timeout", async () => {
    const receiver = await startReceiver();
    receiver.behave(() => undefined);
    const outcome = await send(receiver, "webhook", notice, 200);
    expect(outcome).toMatchObject({ result: "failed", error: { code: "timeout" } });
  });

  test("who stops does not wait for an answer", async () => {
    const receiver = await startReceiver();
    const stop = new AbortController();
    receiver.behave(() => stop.abort(new Error("stopped")));
    const options = deliverOptions(readerOf(channelValues(receiver)), { signal: stop.signal });
    await expect(deliver(channelTo(receiver, "webhook"), notice, options)).rejects.toThrow("stopped");
  });
});

describe("whom one speaks to", () => {
  test("a certificate of an unknown authority, or for another name, gets nothing", async () => {
    const receiver = await startReceiver();
    const stranger = await startReceiver();
    const elsewhere = await startReceiver({ dns: ["elsewhere.test"], ip: [] });
    const readSecret = readerOf(channelValues(receiver));
    for (const [to, ca] of [
      [receiver, undefined],
      [receiver, stranger.ca],
      [elsewhere, elsewhere.ca],
    ] as const) {
      const channel = channelTo(to, "webhook", { ca });
      const outcome = await deliver(channel, notice, deliverOptions(readSecret));
      expect(outcome).toMatchObject({ result: "failed", error: { code: "tls-failed" } });
    }
    expect([...receiver.received, ...elsewhere.received]).toEqual([]);
  });

  test("the environment cannot switch the check off", async () => {
    const receiver = await startReceiver();
    const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
    try {
      const channel = channelTo(receiver, "webhook", { ca: undefined });
      const outcome = await deliver(channel, notice, deliverOptions(readerOf(channelValues(receiver))));
      expect(outcome).toMatchObject({ result: "failed", error: { code: "tls-failed" } });
    } finally {
      if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
      else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before;
    }
    expect(receiver.received).toEqual([]);
  });

  test("nobody there, no such name, and no TLS at all", async () => {
    const receiver = await startReceiver();
    const plain = createServer((socket) => void socket.end("hello\r\n"));
    await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
    const address = plain.address();
    const plainPort = typeof address === "object" ? address?.port : undefined;
    const readSecret = readerOf(channelValues(receiver));
    const codes = [];
    for (const url of ["https://127.0.0.1:1", "https://nobody.invalid", `https://127.0.0.1:${plainPort}`]) {
      const outcome = await deliver(
        channelTo({ url, ca: receiver.ca }, "webhook"),
        notice,
        deliverOptions(readSecret),
      );
      codes.push(outcome.result === "failed" ? outcome.error.code : outcome.result);
    }
    plain.close();
    expect(codes).toEqual(["unreachable", "unreachable", "tls-failed"]);
  });
});

describe("what is stored for a channel", () => {
  const wrong = [
    ["not stored", undefined, "secret-missing"],
    ["not JSON", '{"value": canary-broken', "credential-invalid"],
    ["another shape", '{"url": "canary-broken"}', "credential-invalid"],
    ["empty", '{"value": ""}', "credential-invalid"],
    ["of no use", "canary-broken", "credential-invalid"],
  ] as const;

  test.each(wrong)("%s: said, and nothing sent", async (_, value, code) => {
    const receiver = await startReceiver();
    const values = { "ops/signing": value, "ops/slack": value };
    for (const kind of ["webhook", "slack"] as const) {
      const outcome = await deliver(channelTo(receiver, kind), notice, deliverOptions(readerOf(values)));
      expect(outcome).toMatchObject({ result: "failed", error: { code } });
      const { message = "" } = outcome.result === "failed" ? outcome.error : {};
      expect(message).toContain(`a-${kind}`);
      expect(message).not.toContain("canary");
    }
    expect(receiver.received).toEqual([]);
  });

  test.each([
    ["too short", `whsec_${Buffer.alloc(16).toString("base64")}`],
    ["too long", `whsec_${Buffer.alloc(65).toString("base64")}`],
    ["without its mark", Buffer.alloc(32).toString("base64")],
    ["not base64", `whsec_${"_-".repeat(20)}`],
  ])("a signing secret that is %s is refused", async (_, value) => {
    const receiver = await startReceiver();
    const readSecret = readerOf({ "ops/signing": value });
    const outcome = await deliver(channelTo(receiver, "webhook"), notice, deliverOptions(readSecret));
    expect(outcome).toMatchObject({ result: "failed", error: { code: "credential-invalid" } });
    expect(receiver.received).toEqual([]);
  });

  test("an address for Slack that is not https is refused", async () => {
    const receiver = await startReceiver();
    for (const value of ["http://127.0.0.1:1/services/x", "ftp://a/b", "hooks.slack.com/services/x"]) {
      const readSecret = readerOf({ "ops/slack": value });
      const outcome = await deliver(channelTo(receiver, "slack"), notice, deliverOptions(readSecret));
      expect(outcome).toMatchObject({ result: "failed", error: { code: "credential-invalid" } });
    }
  });

  test("an authority that is not there is said", async () => {
    const receiver = await startReceiver();
    const folder = mkdtempSync(join(tmpdir(), "keyturn-"));
    rmSync(folder, { recursive: true });
    const channel = channelTo(receiver, "webhook", { ca: join(folder, "ca.pem") });
    const outcome = await deliver(channel, notice, deliverOptions(readerOf(channelValues(receiver))));
    expect(outcome).toMatchObject({ result: "failed", error: { code: "config-invalid" } });
    expect(receiver.received).toEqual([]);
  });
});
