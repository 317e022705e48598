import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { metricTable } from "./metrics.ts";

const page = readFileSync(join(import.meta.dirname, "../docs/telemetry.md"), "utf8");
const rows = Object.values(metricTable);

/** The cells of the page's tables whose first one is code. */
const cells = page
  .split("\n")
  .filter((line) => line.startsWith("| `"))
  .map((line) => line.slice(2, -2).split(" | "));

it("the page has a line for every metric, word for word, and for no other", () => {
  const told = cells.filter((line) => line.length === 5);
  const code = rows.map(({ name, kind, unit, attributes, description }) => {
    const list = attributes.length === 0 ? "none" : attributes.map((each) => `\`${each}\``).join(" ");
    return [`\`${name}\``, kind, `\`${unit}\``, list, description];
  });
  expect(told).toEqual(code);
});

it("the page explains every attribute, and no other", () => {
  const explained = cells.filter(([first]) => /^`(keyturn|error)\./.test(first ?? ""));
  const names = explained.filter((line) => line.length === 2).map(([first]) => first?.replaceAll("`", ""));
  const used = new Set(rows.flatMap(({ attributes }): readonly string[] => attributes));
  expect([...names].sort()).toEqual([...used].sort());
});

it("names the version of the package that everything is tested with", () => {
  const { devDependencies } = JSON.parse(readFileSync(join(import.meta.dirname, "../package.json"), "utf8"));
  const tested = devDependencies["@opentelemetry/sdk-node"];
  expect(page).toContain(`npm install @opentelemetry/sdk-node@${tested}`);
  const start = readFileSync(join(import.meta.dirname, "start.ts"), "utf8");
  expect(start).toContain(`npm install @opentelemetry/sdk-node@${tested}`);
});

it("has names as OpenTelemetry wants them: ours, lower case, without their unit, each once", () => {
  for (const { name, kind } of rows) {
    expect(name).toMatch(/^keyturn(\.[a-z_]+)+$/);
    expect(name).not.toMatch(/(seconds|total|count|_s)$/);
    if (kind === "histogram") expect(name).toMatch(/(duration|lag)$/);
  }
  expect(new Set(rows.map(({ name }) => name)).size).toBe(rows.length);
});
