import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { decode, decodeGithub, foundMessage } from "./decode.ts";

const folder = join(import.meta.dirname, "../integration/events");

function golden(name: string): unknown {
  return JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"));
}

const ref = "billing/db";
const saying = (eventName: string) => ({ kind: "look", ref, because: `Secrets Manager says ${eventName}` });

/** Every golden event, and what it means. */
const aws: Readonly<Record<string, readonly unknown[]>> = {
  "cancel-rotate-secret": [{ kind: "look", ref, because: "somebody has called CancelRotateSecret" }],
  "guardduty-access-key-anomalous": [
    {
      kind: "key-leaked",
      accessKeyId: "AKIAIOSFODNN7EXAMPLE",
      because: "GuardDuty says CredentialAccess:IAMUser/AnomalousBehavior, severity 8",
    },
  ],
  "guardduty-instance": [{ kind: "nothing", because: "GuardDuty says Recon:EC2/Portscan, severity 8" }],
  "guardduty-root-usage": [
    {
      kind: "person",
      because:
        "GuardDuty says Policy:IAMUser/RootCredentialUsage, severity 2: not certain enough to cut a key off",
    },
  ],
  "guardduty-session-exfiltration": [
    {
      kind: "sessions-leaked",
      role: "agent-role",
      at: Date.UTC(2026, 10, 21, 4),
      because:
        "GuardDuty says UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS, severity 8",
    },
  ],
  "health-credentials-exposed": [
    {
      kind: "key-leaked",
      accessKeyId: "AKIAIOSFODNN7EXAMPLE",
      because: "AWS Health says AWS_RISK_CREDENTIALS_EXPOSED",
    },
  ],
  "rotation-abandoned": [saying("RotationAbandoned")],
  "rotation-abandoned-service-event-details": [saying("RotationAbandoned")],
  "rotation-failed": [saying("RotationFailed")],
  "rotation-failed-service-event-details": [saying("RotationFailed")],
  "rotation-started": [saying("RotationStarted")],
  "rotation-started-service-event-details": [saying("RotationStarted")],
  "rotation-succeeded": [saying("RotationSucceeded")],
  "rotation-succeeded-service-event-details": [saying("RotationSucceeded")],
  "secret-label-updated": [
    { kind: "look", ref, because: "the label AWSCURRENT moved to 01234567-90ab-4def-8edc-ba9876543210" },
  ],
  "test-rotation-failed": [saying("TestRotationFailed")],
  "test-rotation-started": [saying("TestRotationStarted")],
  "test-rotation-succeeded": [saying("TestRotationSucceeded")],
};

const found = { repository: "acme/shop", alert: 42, installation: 7 };
const because = (action: string) => `secret scanning alert 42 of acme/shop, ${action}`;
const github: Readonly<Record<string, unknown>> = {
  ping: { kind: "nothing", because: "GitHub says that the webhook is there" },
  "secret-scanning-alert-created": { kind: "value-found", ...found, because: because("created") },
  "secret-scanning-alert-publicly-leaked": {
    kind: "value-found",
    ...found,
    because: because("publicly_leaked"),
  },
  "secret-scanning-alert-reopened": { kind: "value-found", ...found, because: because("reopened") },
  "secret-scanning-alert-resolved": { kind: "nothing", because: because("resolved") },
  "secret-scanning-alert-without-app": {
    kind: "value-found",
    ...found,
    installation: undefined,
    because: because("created"),
  },
};

test.each([
  ["aws", aws],
  ["github", github],
])("every golden event of %s has a meaning here", (place, meanings) => {
  const names = readdirSync(join(folder, place)).map((name) => name.replace(/\.json$/, ""));
  expect(names.toSorted()).toEqual(Object.keys(meanings).toSorted());
});

test.each(Object.entries(aws))("AWS's %s", (name, meaning) => {
  expect(decode(golden(`aws/${name}`))).toEqual(meaning);
});

test.each(Object.entries(github))("GitHub's %s", (name, meaning) => {
  const event = name === "ping" ? "ping" : "secret_scanning_alert";
  expect(decodeGithub(event, golden(`github/${name}`))).toEqual(meaning);
});

test("an alert goes over the queue as it is", () => {
  const message = foundMessage({ ...found, because: "x" });
  expect(decode(JSON.parse(message))).toEqual([{ kind: "value-found", ...found, because: "x" }]);
  const lone = foundMessage({ ...found, installation: undefined, because: "x" });
  expect(decode(JSON.parse(lone))).toEqual([
    { kind: "value-found", ...found, installation: undefined, because: "x" },
  ]);
});

/** A golden event with a field changed; `undefined` takes it away. */
function changed(name: string, path: string, value: unknown): unknown {
  const event: unknown = golden(name);
  const steps = path.split(".");
  const last = steps.pop() ?? "";
  const inner: Record<string, unknown> = steps.reduce((at, step) => Object(at)[step], Object(event));
  inner[last] = value;
  return JSON.parse(JSON.stringify(event));
}

describe("what is malformed, or nobody has said what it means, is refused and named by its field", () => {
  test.each([
    ["aws/secret-label-updated", "source", undefined, "event.source"],
    ["aws/secret-label-updated", "source", "aws.canary", "the source aws.canary"],
    ["aws/secret-label-updated", "detail-type", "Something", "Secrets Manager's Something"],
    ["aws/secret-label-updated", "detail.name", undefined, "detail.name"],
    ["aws/secret-label-updated", "time", "yesterday", "event.time"],
    ["aws/rotation-failed", "detail.additionalEventData", undefined, "names no secret"],
    [
      "aws/rotation-failed",
      "detail.additionalEventData.SecretId",
      "billing/db",
      "detail.additionalEventData.SecretId",
    ],
    ["aws/rotation-failed", "detail.eventName", "RotationMelted", "RotationMelted"],
    ["aws/health-credentials-exposed", "detail.affectedEntities", "AKIA", "detail.affectedEntities"],
    ["aws/guardduty-access-key-anomalous", "detail.severity", "high", "detail.severity"],
    ["aws/guardduty-access-key-anomalous", "detail", null, "detail"],
  ])("%s with %s = %j", (name, path, value, message) => {
    expect(() => decode(changed(name, path, value))).toThrow(
      expect.objectContaining({ code: "input-invalid" }),
    );
    expect(() => decode(changed(name, path, value))).toThrow(message);
  });

  test.each([undefined, null, 7, "text", [], {}])("%j", (json) => {
    expect(() => decode(json)).toThrow(expect.objectContaining({ code: "input-invalid" }));
  });

  test("an alert of GitHub's", () => {
    const decoded = (path: string, value: unknown) => () =>
      decodeGithub("secret_scanning_alert", changed("github/secret-scanning-alert-created", path, value));
    expect(decoded("alert.number", "42")).toThrow("alert.alert.number");
    expect(decoded("repository.full_name", "../../etc")).toThrow("alert.repository.full_name");
    expect(() => decodeGithub("push", {})).toThrow("GitHub's event push");
  });

  test("an order", () => {
    const order = { order: "revoke", ref, version: "current", by: "alice" };
    expect(decode(order)).toEqual([{ kind: "order", order: { ...order, cutFirst: false } }]);
    expect(() => decode({ ...order, by: undefined })).toThrow("order.by");
    expect(() => decode({ ...order, order: "delete" })).toThrow("order.order");
    expect(() => decode({ ...order, value: "canary" })).toThrow(/not what it should be: order$/);
  });
});

test("what calls a person", () => {
  const meaningOf = (name: string, path: string, value: unknown) => decode(changed(name, path, value))[0];
  expect(meaningOf("aws/health-credentials-exposed", "detail.affectedEntities", [])).toMatchObject({
    kind: "person",
  });
  expect(
    meaningOf("aws/health-credentials-exposed", "detail.affectedEntities", [{ entityValue: "arn:x" }]),
  ).toMatchObject({ kind: "person" });
  const user = "detail.resource.accessKeyDetails.userType";
  expect(meaningOf("aws/guardduty-access-key-anomalous", user, "Root")).toMatchObject({ kind: "person" });
  // A session of a user has no key here that could be cut off.
  const key = "detail.resource.accessKeyDetails.accessKeyId";
  expect(meaningOf("aws/guardduty-access-key-anomalous", key, "ASIAIOSFODNN7EXAMPLE")).toMatchObject({
    kind: "person",
  });
});

test("other events of Health, and calls that did nothing to a secret, are nothing", () => {
  const other = changed(
    "aws/health-credentials-exposed",
    "detail.eventTypeCode",
    "AWS_EC2_OPERATIONAL_ISSUE",
  );
  expect(decode(other)).toMatchObject([{ kind: "nothing" }]);
  expect(decode(changed("aws/cancel-rotate-secret", "detail.responseElements", null))).toMatchObject([
    { kind: "nothing" },
  ]);
});
