import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { expect, test } from "vitest";
import { keyturnProgram } from "../cli/main.ts";
import type { RotationEvent } from "../core/events.ts";
import { newRecord } from "../core/record.ts";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import { loadManifest } from "../manifest/load.ts";
import { conditionsOf } from "./conditions.ts";
import { failureOf } from "./events.ts";
import { ConditionKind, Notice, topicOf } from "./notice.ts";
import { WebhookBody } from "./services.contract.ts";

const ref = "billing/db";
const managed = { tenant: undefined, policy: defaultTestPolicy };

/** One condition of each kind. */
function everyCondition() {
  const mark = { version: "v0", fingerprint: "f0" };
  const debt = { ...mark, reason: "leaked", since: 0, cutFirst: false, attempts: 99, notBefore: 0 } as const;
  const record = {
    ...newRecord(ref),
    state: { phase: "halted", from: "set", code: "superseded", reason: "why", at: 0 } as const,
    debts: [debt],
    compromised: [{ ...mark, reportedBy: "ann", at: 0 }],
  };
  const outcomes = ["undone", "halted", "delayed", "laggards"] as const;
  const said = outcomes.map((outcome) =>
    failureOf(
      {
        specversion: "1.0",
        id: `${ref}/1/${outcome}`,
        source: "keyturn/test",
        subject: ref,
        time: "2026-01-01T00:00:00.000Z",
        datacontenttype: "application/json",
        type: "dev.keyturn.rotation.failed.v1",
        data: { epoch: 1, outcome, code: "timeout", reason: "why" },
      } satisfies RotationEvent,
      managed,
    ),
  );
  return [...conditionsOf(record, managed, 1), ...said];
}

const program = await keyturnProgram();

test("every condition says what it is, what to do, and commands that there are", () => {
  const conditions = everyCondition();
  expect(new Set(conditions.map(({ kind }) => kind))).toEqual(new Set(ConditionKind.options));
  for (const { summary, detail, remedy, commands } of conditions) {
    expect(summary).toContain(ref);
    expect(detail.length).toBeGreaterThan(5);
    expect(remedy?.length).toBeGreaterThan(20);
    expect(commands.length).toBeGreaterThan(0);
    for (const line of commands) {
      const [name, verb, secret, ...flags] = line.split(" ");
      const command = program.commands.find((one) => one.name() === verb) ?? new Command("absent");
      expect({ line, name, verb: command.name(), secret }).toEqual({
        line,
        name: "keyturn",
        verb,
        secret: ref,
      });
      const known = command.options.map(({ long }) => long);
      for (const flag of flags) expect(known).toContain(flag);
    }
  }
});

const page = readFileSync(join(import.meta.dirname, "../docs/notifications.md"), "utf8");

test("the page's examples are a manifest and a message", () => {
  const [, yaml = ""] = /```yaml\n([^`]+)```/.exec(page) ?? [];
  const readText = () => `stores: { here: { local: { path: .keyturn } } }\n${yaml}`;
  const { notify } = loadManifest("keyturn.yaml", { readText });
  expect([...notify.values()].map(({ kind }) => kind)).toEqual(["pagerduty", "slack", "webhook"]);
  const [, json = ""] = /```json\n([^`]+)```/.exec(page) ?? [];
  expect(WebhookBody.safeParse(JSON.parse(json)).error).toBeUndefined();
});

test("the page of notifications names every kind, with the topic that asks for it", () => {
  for (const kind of Notice.shape.kind.options) {
    const topic = topicOf(kind) === "always" ? "always" : `\`${topicOf(kind)}\``;
    expect(page).toContain(`| \`${kind}\` | ${topic} |`);
  }
});
