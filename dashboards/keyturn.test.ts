import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { SyntaxNode } from "@lezer/common";
import { parser } from "@prometheus-io/lezer-promql";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { keyturnProgram } from "../cli/main.ts";
import { type MetricRow, metricTable } from "../telemetry/metrics.ts";
import { alertRows } from "./alerts.ts";
import { generatedFiles } from "./generate.ts";
import { keyturnDashboard } from "./keyturn.ts";
import { prometheusLabel, prometheusNames } from "./prometheus-names.ts";

const rows: readonly MetricRow[] = Object.values(metricTable);
const known = new Map(rows.flatMap((row) => prometheusNames(row).map((name) => [name, row])));

/** What Grafana puts in before it asks. */
const filledIn = (expr: string): string =>
  expr.replaceAll("$__rate_interval", "5m").replaceAll("$secret", ".*");

interface Asked {
  readonly metrics: readonly string[];
  /** What is wrong with the expression; nothing if it can be asked. */
  readonly faults: readonly string[];
}

/** Reads an expression with Prometheus' own grammar. */
function asked(text: string): Asked {
  const expr = filledIn(text);
  const faults: string[] = [];
  const metrics: string[] = [];
  const grouped: string[] = [];
  const of = (node: SyntaxNode): string => expr.slice(node.from, node.to);
  parser.parse(expr).iterate({
    enter: ({ node, type }) => {
      if (type.isError) faults.push(`cannot be read at ${node.from}`);
      if (type.name === "GroupingLabels") grouped.push(...node.getChildren("LabelName").map(of));
      if (type.name !== "VectorSelector") return;
      const name = node.getChild("Identifier");
      if (name === null) return;
      metrics.push(of(name));
      const labels = known.get(of(name))?.attributes.map(prometheusLabel) ?? [];
      const matchers = node.getChild("LabelMatchers")?.getChildren("UnquotedLabelMatcher") ?? [];
      for (const label of matchers.flatMap((matcher) => matcher.getChildren("LabelName").map(of))) {
        if (!labels.some((each) => each === label)) faults.push(`${of(name)} has no ${label}`);
      }
    },
  });
  const shared = new Set(metrics.flatMap((name) => known.get(name)?.attributes.map(prometheusLabel) ?? []));
  for (const name of metrics) if (!known.has(name)) faults.push(`there is no ${name}`);
  for (const label of grouped) if (!shared.has(label) && label !== "le") faults.push(`nothing has ${label}`);
  return { metrics, faults };
}

interface Panel {
  readonly title?: string;
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
  readonly datasource?: { readonly uid: string };
}
const panels: readonly Panel[] = JSON.parse(JSON.stringify(keyturnDashboard())).panels.filter(
  ({ type }: { readonly type: string }) => type !== "row",
);
const queries = panels.flatMap((panel) => panel.targets ?? []);

it("the files in the repository are what the code makes", () => {
  for (const [name, text] of Object.entries(generatedFiles())) {
    expect(readFileSync(join(import.meta.dirname, name), "utf8")).toBe(text);
  }
});

describe("the dashboard", () => {
  it("asks only for what there is, in expressions that Prometheus can read", () => {
    expect(queries.length).toBeGreaterThan(15);
    for (const { expr } of queries) expect({ expr, ...asked(expr) }).toMatchObject({ faults: [] });
  });

  it("shows every metric", () => {
    const used = new Set(queries.flatMap(({ expr }) => asked(expr).metrics));
    const unseen = rows.filter((row) => !prometheusNames(row).some((name) => used.has(name)));
    expect(unseen.map(({ name }) => name)).toEqual([]);
  });

  it("takes the chosen source of data, and names in a legend only what the query leaves", () => {
    for (const { title, datasource, targets = [] } of panels) {
      expect({ title, uid: datasource?.uid }).toEqual({ title, uid: "$datasource" });
      for (const { expr, legendFormat } of targets) {
        const labels = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label);
        for (const label of labels) expect(expr).toMatch(new RegExp(`by \\([^)]*\\b${label}\\b`));
      }
    }
  });
});

describe("the alerts", () => {
  it("ask only for what there is, and are what Prometheus reads", () => {
    expect(alertRows.length).toBeGreaterThan(5);
    for (const { alert, expr } of alertRows) expect({ alert, ...asked(expr) }).toMatchObject({ faults: [] });
    const { groups } = parse(generatedFiles()["alerts.yaml"] ?? "");
    expect(groups[0].rules).toHaveLength(alertRows.length);
    for (const rule of groups[0].rules) expect(rule.for).toMatch(/^\d+[smhd]$/);
  });

  it("name only labels that their expressions leave", () => {
    for (const { alert, expr, summary, description } of alertRows) {
      const labels = [...`${summary}${description}`.matchAll(/\$labels\.(\w+)/g)].map(([, label]) => label);
      for (const label of labels) {
        expect({ alert, expr }).toMatchObject({ expr: expect.stringMatching(`by \\([^)]*\\b${label}\\b`) });
      }
    }
  });

  it("name only commands that there are", async () => {
    const { commands: known } = await keyturnProgram();
    const commands = known.map((command) => command.name());
    const named = alertRows.flatMap(({ description }) => [...description.matchAll(/`keyturn (\w+)/g)]);
    expect(named.length).toBeGreaterThan(5);
    for (const [, command] of named) expect(commands).toContain(command);
  });

  it("bear each a name of its own", () => {
    expect(new Set(alertRows.map(({ alert }) => alert)).size).toBe(alertRows.length);
  });
});

it.each([
  ["sum(keyturn_rotation_total)", "there is no keyturn_rotation_total"],
  ['keyturn_debts{secret="a"}', "keyturn_debts has no secret"],
  ["sum by (secret) (keyturn_debts)", "nothing has secret"],
  ["sum(keyturn_debts", "cannot be read"],
])("the check is seen to fail for %s", (expr, fault) => {
  expect(asked(expr).faults).toEqual(expect.arrayContaining([expect.stringContaining(fault)]));
});

it("a metric is called in Prometheus as its own translation has it", () => {
  const names = (name: string) =>
    prometheusNames(rows.find((row) => row.name === name) ?? metricTable.secrets);
  expect(names("keyturn.credential.max_age")).toEqual(["keyturn_credential_max_age_seconds"]);
  expect(names("keyturn.rotations")).toEqual(["keyturn_rotations_total"]);
  expect(names("keyturn.secret.halted")).toEqual(["keyturn_secret_halted"]);
  expect(names("keyturn.notification.lag")).toContain("keyturn_notification_lag_seconds_bucket");
});
