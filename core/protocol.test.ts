import { expect, test } from "vitest";
import type * as z from "zod/mini";
import { ErrorReply, ReportReply, ReportRequest, SecretList, SecretReply } from "./protocol.ts";

const report = {
  ref: "app/db",
  agent: "host/a",
  fleet: "agents",
  sequence: 1,
  adopted: "v2",
  inUse: ["v1", "v2"],
  holds: [{ id: "h", version: "v1", since: 0 }],
};
const secret = { ref: "app/db", version: "v2", value: "{}", overlap: "both-live", cacheTtlMs: 5 };

const messages: readonly (readonly [string, z.ZodMiniType, Readonly<Record<string, unknown>>])[] = [
  ["a list of secrets", SecretList, { secrets: [{ ref: "app/db", type: "model" }] }],
  ["a secret", SecretReply, secret],
  ["a secret of a cutover type", SecretReply, { ...secret, overlap: "cutover" }],
  ["reports", ReportRequest, { reports: [report] }],
  ["what comes of reports", ReportReply, { refusedHolds: ["h"] }],
  ["an error", ErrorReply, { code: "not-found", message: "there is none" }],
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

test.each<readonly [string, z.ZodMiniType, unknown]>([
  ["a list that names no type", SecretList, { secrets: [{ ref: "app/db" }] }],
  ["an overlap that nobody knows", SecretReply, { ...secret, overlap: "" }],
  ["a report of nobody", ReportRequest, { reports: [{ ...report, agent: undefined }] }],
])("%s is none", (_, schema, message) => {
  expect(schema.safeParse(message).success).toBe(false);
});
