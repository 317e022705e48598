import { expect, test } from "vitest";
import type { NotifyChannel } from "../manifest/manifest.ts";
import { channelTo } from "./channels.contract.ts";
import type { NoticeKind } from "./notice.ts";
import { recipients } from "./recipients.ts";

const nowhere = { url: "https://127.0.0.1:1", ca: "ca.pem" };
const channels = new Map<string, NotifyChannel>([
  ["oncall", channelTo(nowhere, "pagerduty", { name: "oncall" })],
  ["chat", channelTo(nowhere, "slack", { name: "chat", on: ["rotated"] })],
  ["quiet", channelTo(nowhere, "webhook", { name: "quiet", on: [] })],
]);

test.each<[NoticeKind, readonly string[], readonly string[], readonly string[]]>([
  // What it is, the channels that the secret names, those that are gone, and who is told.
  ["halted", [], [], ["oncall", "chat", "quiet"]],
  ["debt", ["quiet"], [], ["quiet"]],
  ["halted", ["quiet"], ["quiet"], ["oncall", "chat"]],
  ["halted", ["nobody-has-this"], [], ["oncall", "chat", "quiet"]],
  ["undone", [], [], ["oncall"]],
  ["laggards", ["chat", "oncall"], [], ["oncall"]],
  ["revoked", ["chat"], [], []],
  ["rotated", [], [], ["chat"]],
  ["rotated", ["oncall"], [], []],
  ["revoked", ["oncall"], ["oncall"], []],
])("%s of a secret that names %j while %j are gone: %j", (kind, names, gone, told) => {
  expect(recipients(kind, names, channels, new Set(gone))).toEqual(told);
});
