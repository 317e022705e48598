import { expect, test } from "vitest";
import type * as z from "zod/mini";
import {
  fleetTopicName,
  HostMessage,
  HostNotice,
  HostReport,
  hostId,
  hostMessageMark,
  hostQueueName,
  hostSource,
  hostSourcePrefix,
} from "./host-messages.ts";

const report = { ref: "app/db", agent: "host/a", fleet: "agents", sequence: 1, inUse: ["v1"], holds: [] };
const secret = { ref: "app/db", type: "model", overlap: "cutover", cacheTtlMs: 5 };

const messages: readonly (readonly [string, z.ZodMiniType, Readonly<Record<string, unknown>>])[] = [
  ["that a host listens", HostNotice, { host: "AROA:i-1/a" }],
  ["what agents report", HostReport, { host: "AROA:i-1", reports: [report], news: ["app/db"] }],
  ["a welcome", HostMessage, { say: "welcome", secrets: [secret, { ...secret, overlap: "both-live" }] }],
  ["that reports were heard", HostMessage, { say: "heard", answer: "a-1", refusedHolds: ["h"] }],
];

test.each(messages)(
  "%s is read as it was written, all of it, and with no field missing",
  (_, schema, message) => {
    expect(schema.parse(message)).toEqual(message);
    for (const field of Object.keys(message)) {
      expect(schema.safeParse({ ...message, [field]: undefined }).success, field).toBe(false);
    }
  },
);

test("reports may ask for an answer", () => {
  const asking = { host: "AROA:i-1", reports: [], news: [], answer: "a-1" };
  expect(HostReport.parse(asking)).toEqual(asking);
});

test.each<readonly [string, z.ZodMiniType, unknown]>([
  ["a message that says something else", HostMessage, { say: "obey", secrets: [] }],
  [
    "a welcome to a secret without a time to live",
    HostMessage,
    { say: "welcome", secrets: [{ ...secret, cacheTtlMs: null }] },
  ],
  [
    "a welcome to a secret of an overlap that nobody knows",
    HostMessage,
    { say: "welcome", secrets: [{ ...secret, overlap: "" }] },
  ],
  ["a report of nobody", HostReport, { host: "h", news: [], reports: [{ ...report, agent: undefined }] }],
])("%s is none", (_, schema, message) => {
  expect(schema.safeParse(message).success).toBe(false);
});

test("a source tells who speaks for which fleet", () => {
  expect(hostSource("web", "AROA:i-1")).toBe("dev.keyturn.host.web.AROA:i-1");
  expect(hostSource("web", "AROA:i-1").startsWith(hostSourcePrefix)).toBe(true);
});

test("a host is its principal, or one of several processes of it", () => {
  expect([hostId("AROA:i-1"), hostId("AROA:i-1", "w.7_@:+-")]).toEqual(["AROA:i-1", "AROA:i-1/w.7_@:+-"]);
  expect(hostId("a", "n".repeat(128))).toHaveLength(130);
  for (const name of ["", "a/b", "a b", " a", "a\n", "n".repeat(129)]) {
    expect(() => hostId("AROA:i-1", name)).toThrow(expect.objectContaining({ code: "input-invalid" }));
    expect(() => hostId("AROA:i-1", name)).toThrow(JSON.stringify(name));
  }
  expect(() => hostId("a", "/".repeat(300))).toThrow(/^"\/{200}" is no name of a host/);
});

test("a message to a host has a mark that SQS takes as an attribute's name", () => {
  expect(hostMessageMark).toMatch(/^[A-Za-z0-9_-]{1,256}$/);
});

test("a host's queue has the name of its fleet's topic, and a hash that tells it from every other", () => {
  expect(fleetTopicName("prod", "web")).toBe("keyturn-prod-web");
  const name = hostQueueName("prod", "web", "AROA:i-1");
  expect(name).toBe("keyturn-prod-web-a5b76dc35b7cbbe8");
  expect(hostQueueName("prod", "web", "AROA:i-2")).not.toBe(name);
  expect(hostQueueName("a-b", "c", "h")).not.toBe(hostQueueName("a", "b-c", "h"));
  expect(hostQueueName("a", "b", "ch")).not.toBe(hostQueueName("a", "bc", "h"));
});

test("a name that has no room for the hash, or a character that no topic takes, is refused by name", () => {
  const longest = "f".repeat(63 - "keyturn-prod-".length);
  expect(hostQueueName("prod", longest, "h")).toHaveLength(80);
  for (const fleet of [`${longest}f`, "web.eu", "web eu"]) {
    expect(() => hostQueueName("prod", fleet, "h")).toThrow(`keyturn-prod-${fleet} cannot name a topic`);
  }
  expect(() => fleetTopicName("prod", "web.eu")).toThrow(expect.objectContaining({ code: "config-invalid" }));
});
