import { describe, expect, it } from "vitest";
import * as z from "zod/mini";
import type { TypeFacts } from "./check-config.ts";
import { type LintFinding, lint, lintRules } from "./lint.ts";
import { readManifest } from "./read.ts";

const facts: ReadonlyMap<string, TypeFacts> = new Map([
  ["pair", { config: z.strictObject({}), needsAdmin: false, overlap: "both-live" as const }],
  ["single", { config: z.strictObject({}), needsAdmin: false, overlap: "cutover" as const }],
]);

const path = "/nowhere/keyturn.yaml";
const findings = (text: string): readonly LintFinding[] =>
  lint(readManifest(path, { facts, readText: () => text }), facts);

const stores = "stores: { here: { local: { path: .keyturn } } }\n";
const told = `notify: { oncall: { slack: { url: { secret: ops/hook } } } }\n`;
const hook = "  ops/hook: { store: here, type: held }\n";
/** A manifest about which there is nothing to say. */
const good = `${stores}${told}policies:
  - match: "acme/**"
    maxAge: 40d
    graceLimits: { atLeast: 1m, atMost: 24h }
    tenant: { oneOf: [acme], part: 1 }
    requires: [both-live, schedule, window, fleets, tenant, notify]
secrets:
${hook}  acme/db:
    store: here
    type: pair
    schedule: { every: 30d, window: "Sat 02:00-06:00 UTC" }
    grace: { atMost: 24h }
    fleets: [invoice-agents]
    tenant: acme
    notify: [oncall]
`;

/** What is changed in the good manifest, and the one finding that comes of it. */
const examples: readonly {
  readonly rule: string;
  readonly change: readonly [from: string | RegExp, to: string];
  readonly place: string;
  readonly message: string;
}[] = [
  {
    rule: "manifest/invalid",
    change: ["fleets: [", "fleet: ["],
    place: "16:5",
    message: 'secrets["acme/db"].fleet: unknown field; did you mean "fleets"?',
  },
  {
    rule: "policy/max-age",
    change: ["maxAge: 40d", "maxAge: 36d"],
    place: "14:5",
    message:
      'acme/db may go 36d 20h without a rotation, and no value may become older than 36d (policy "acme/**")',
  },
  {
    rule: "policy/max-age",
    change: [/ {4}schedule: .*\n([\s\S]*)$/, "$1"],
    place: "11:3",
    message: 'acme/db has no schedule, and no value may become older than 40d (policy "acme/**")',
  },
  {
    rule: "policy/grace",
    change: ["grace: { atMost: 24h }", "grace: { atMost: 25h }"],
    place: "15:22",
    message: 'acme/db grace.atMost is 1d 1h, and must be 1d or less (policy "acme/**")',
  },
  {
    rule: "policy/grace",
    change: ["atLeast: 1m", "atLeast: 2m"],
    place: "15:5",
    message: 'acme/db grace.atLeast is 1m, and must be 2m or more (policy "acme/**")',
  },
  {
    rule: "policy/tenant",
    change: ["oneOf: [acme]", "oneOf: [globex, initech]"],
    place: "17:13",
    message: 'acme/db is of the tenant acme, and must be of globex or initech (policy "acme/**")',
  },
  {
    rule: "policy/tenant",
    change: ["part: 1", "part: 2"],
    place: "17:13",
    message: 'acme/db is of the tenant acme, and its reference names db (policy "acme/**")',
  },
  {
    rule: "policy/requires-both-live",
    change: ["type: pair", "type: single"],
    place: "13:11",
    message: 'acme/db is of the type single, whose old value dies when the new one comes (policy "acme/**")',
  },
  {
    rule: "policy/requires-schedule",
    change: [/ {4}maxAge: .*\n([\s\S]*) {4}schedule: .*\n([\s\S]*)$/, "$1$2"],
    place: "10:3",
    message: 'acme/db has no schedule (policy "acme/**")',
  },
  {
    rule: "policy/requires-window",
    change: [', window: "Sat 02:00-06:00 UTC"', ""],
    place: "14:5",
    message: 'acme/db has no maintenance window (policy "acme/**")',
  },
  {
    rule: "policy/requires-fleets",
    change: ["fleets: [invoice-agents]", "fleets: []"],
    place: "16:5",
    message: 'acme/db names no fleet (policy "acme/**")',
  },
  {
    rule: "policy/requires-tenant",
    change: [/ {4}tenant: \{.*\n([\s\S]*) {4}tenant: acme\n/, "$1"],
    place: "10:3",
    message: 'acme/db has no tenant (policy "acme/**")',
  },
  {
    rule: "policy/requires-notify",
    change: ["notify: [oncall]", "notify: []"],
    place: "18:5",
    message: 'acme/db has no channel that is told of it (policy "acme/**")',
  },
  {
    rule: "advice/no-schedule",
    change: [/$/, "  globex/db: { store: here, type: pair, tenant: globex, fleets: [globex-agents] }\n"],
    place: "19:3",
    message: "globex/db: has no schedule",
  },
  {
    rule: "advice/no-tenant",
    change: [/$/, "  db: { store: here, type: pair, schedule: { every: 1d }, fleets: [a] }\n"],
    place: "19:3",
    message: "db: has no tenant, and others have one",
  },
  {
    rule: "advice/no-fleets",
    change: [/$/, "  globex/db: { store: here, type: pair, schedule: { every: 1d }, tenant: globex }\n"],
    place: "19:3",
    message: "globex/db: names no fleet: agents cannot read it",
  },
  {
    rule: "advice/grace-longer-than-schedule",
    change: [
      /$/,
      "  globex/db: { store: here, type: pair, tenant: globex, fleets: [b], schedule: { every: 1d, jitter: 1h } }\n",
    ],
    place: "19:3",
    message: "globex/db: grace may last 1d, and the next rotation is due after 23h",
  },
  {
    rule: "advice/admin-held",
    change: ["type: pair", "type: pair\n    admin: { secret: ops/hook }"],
    place: "10:3",
    message: "ops/hook administers acme/db, and is never rotated",
  },
  {
    rule: "advice/fleet-of-many-tenants",
    change: [
      /$/,
      "  globex/db: { store: here, type: pair, tenant: globex, fleets: [invoice-agents], schedule: { every: 2d } }\n",
    ],
    place: "19:57",
    message: "globex/db: is read by invoice-agents, which reads secrets of acme, globex",
  },
  {
    rule: "advice/policy-for-nothing",
    change: ["policies:\n", 'policies:\n  - { match: "acme/*/*", maxAge: 1d }\n'],
    place: "4:14",
    message: '"acme/*/*" matches no secret',
  },
  {
    rule: "advice/nobody-told",
    change: [/notify: \{.*\n([\s\S]*), notify\]([\s\S]*) {4}notify: .*\n/, "$1]$2"],
    place: "1:1",
    message: "nobody is told when a rotation is halted",
  },
];

describe("keyturn lint", () => {
  it("has nothing to say of a manifest that is as its policies ask", () => {
    expect(findings(good)).toEqual([]);
  });

  it.each(examples)("$rule: $message", ({ rule, change: [from, to], place, message }) => {
    const text = good.replace(from, to);
    expect(text).not.toBe(good);
    const found = findings(text).filter((finding) => finding.rule === rule);
    expect(found.map(({ line, column, message: said }) => [`${line}:${column}`, said])).toContainEqual([
      place,
      message,
    ]);
    const severity = rule.startsWith("advice/") ? "warning" : "error";
    expect(found.every((finding) => finding.severity === severity && finding.file === path)).toBe(true);
  });

  it("has an example for every rule, and every rule once", () => {
    const ids = lintRules.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(new Set(examples.map(({ rule }) => rule))).toEqual(new Set(ids));
  });
});

describe("policies", () => {
  it("may be introduced as warnings", () => {
    const text = good.replace("maxAge: 40d", "maxAge: 1d\n    severity: warning");
    expect(findings(text).map(({ rule, severity }) => [rule, severity])).toEqual([
      ["policy/max-age", "warning"],
    ]);
  });

  it("give way to the one before them, field by field", () => {
    const exception = 'policies:\n  - { match: "acme/db", maxAge: 400d }\n';
    const strict = good.replace("maxAge: 40d", "maxAge: 1d");
    expect(findings(strict.replace("policies:\n", exception))).toEqual([]);
  });

  it("do not stand in the way of what they say nothing of", () => {
    const text = good
      .replace("acme/**", "other/**")
      .replace("ops/hook: {", "other/x: {")
      .replace("secret: ops/hook", "secret: other/x");
    expect(findings(text).map(({ rule }) => rule)).toEqual(["advice/policy-for-nothing"]);
  });

  it("see the worst that a schedule allows", () => {
    const worst = (schedule: string, maxAge: string): number =>
      findings(
        good
          .replace(/schedule: .*/, `schedule: ${schedule}`)
          .replace("40d", maxAge)
          .replace("window, ", ""),
      ).filter(({ rule }) => rule === "policy/max-age").length;
    // Monthly on the 31st skips the short months.
    expect(worst('{ cron: "0 3 31 * *" }', "60d")).toBe(1);
    expect(worst('{ cron: "0 3 31 * *" }', "61d")).toBe(0);
    expect(worst("{ every: 30d, jitter: 1h }", "30d")).toBe(1);
    expect(worst("{ every: 30d }", "30d")).toBe(0);
    // Due when the window has just closed.
    expect(worst("{ every: 1d, window: 22:00-04:00 }", "41h")).toBe(1);
    expect(worst("{ every: 1d, window: 22:00-04:00 }", "42h")).toBe(0);
  });
});

it("looks at a manifest of many secrets with one schedule by asking once", () => {
  const many = Array.from(
    { length: 300 },
    (_, index) =>
      `  acme/s${index}: { store: here, type: pair, tenant: acme, fleets: [a], notify: [oncall], schedule: { cron: "*/5 * * * *", timeZone: Europe/Berlin, window: "Sat 02:00-06:00" }, grace: { atMost: 1m } }\n`,
  );
  const began = performance.now();
  expect(findings(`${good}${many.join("")}`)).toEqual([]);
  expect(performance.now() - began).toBeLessThan(20_000);
});
