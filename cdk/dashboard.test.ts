import { Template } from "aws-cdk-lib/assertions";
import { beforeAll, describe, expect, it } from "vitest";
import type { EventType } from "../core/events.ts";
import { stackOf } from "./sample-plan.contract.ts";

interface Widget {
  readonly type: string;
  readonly properties: {
    readonly title: string;
    readonly region: string;
    readonly query?: string;
    readonly metrics?: readonly (readonly unknown[])[];
  };
}

let widgets: ReadonlyMap<string, Widget>;
let template: Template;

beforeAll(() => {
  template = Template.fromStack(stackOf().stack);
  const [dashboard, ...more] = Object.values(template.findResources("AWS::CloudWatch::Dashboard"));
  expect([dashboard?.Properties.DashboardName, more]).toEqual(["keyturn-prod", []]);
  const body = JSON.parse(joined(dashboard?.Properties.DashboardBody));
  widgets = new Map(body.widgets.map((widget: Widget) => [widget.properties.title, widget]));
}, 120_000);

/** What the dashboard says, with the logical ids of what it names. */
function joined(body: unknown): string {
  const { "Fn::Join": [, parts = []] = [] } = Object(body);
  return [parts]
    .flat()
    .map((part: unknown) => {
      const { Ref, "Fn::GetAtt": [id] = [] } = Object(part);
      return typeof part === "string" ? part : (Ref ?? id);
    })
    .join("");
}

function widget(title: RegExp): Widget {
  const found = [...widgets].filter(([name]) => title.test(name));
  expect(found.map(([name]) => name)).toHaveLength(1);
  const [[, only] = []] = found;
  if (only === undefined) throw new Error(`there is no widget ${title}`);
  return only;
}

/** What a query makes of the log of events. */
function query(title: RegExp): readonly string[] {
  const { type, properties } = widget(title);
  expect(type).toBe("log");
  const [source, ...rest] = (properties.query ?? "").split(/\s+\| /);
  const [log = ""] = Object.keys(
    template.findResources("AWS::Logs::LogGroup", { Properties: { LogGroupName: "/keyturn/prod/events" } }),
  );
  expect(source).toBe(`SOURCE '${log}'`);
  return rest;
}

/** Namespace, name and whose, of each metric that is drawn. */
function drawn(title: RegExp): readonly string[] {
  const { type, properties } = widget(title);
  expect(type).toBe("metric");
  const names = template.toJSON().Resources;
  const nameOf = (id: unknown) => {
    const { FunctionName, QueueName, TableName } = Object(names[String(id)]?.Properties);
    return FunctionName ?? QueueName ?? TableName ?? id;
  };
  return (properties.metrics ?? []).map((metric) => {
    const [namespace, name, , id] = metric;
    if (typeof namespace !== "string") return JSON.stringify(namespace);
    return [namespace, name, ...(typeof id === "object" || id === undefined ? [] : [nameOf(id)])].join(" ");
  });
}

const functions = [
  "aws-iam-access-key",
  "postgres-alternating",
  "postgres-password",
  "schedule",
  "revoke",
  "enrol",
];
const rotated: EventType = "dev.keyturn.secret.rotated.v1";
const adopted: EventType = "dev.keyturn.secret.adopted.v1";

describe("the dashboard", () => {
  it("has a part for age, adoption, lag, failures, debts and cost, and for what rotates", () => {
    expect([...widgets.keys()]).toEqual([
      "Rotations",
      "Failures",
      "Age: the oldest first, of those that were rotated in the time shown",
      "Adoption: seconds from a new version to the last live agent",
      "Lag: the oldest message that waits",
      "Functions: time taken, and failures",
      "Debts: credentials that should be refused and are not proven to be",
      "Cost an hour (and 1.60 USD a month for 4 secrets)",
    ]);
    for (const { properties } of widgets.values()) expect(properties.region).toBe("AWS::Region");
  });

  it("counts what was done, and what was not", () => {
    const own = (names: readonly string[]) => names.map((name) => `Keyturn/prod ${name}`);
    expect(drawn(/^Rotations/)).toEqual(own(["Rotated", "Adopted", "Retired", "Revoked"]));
    expect(drawn(/^Failures/)).toEqual(own(["Undone", "Halted", "Delayed", "Laggards"]));
  });

  it("asks the log of events when each secret was rotated last", () => {
    expect(query(/^Age/)).toEqual([
      `filter detail.type = "${rotated}"`,
      "stats latest(time) as rotatedAt by detail.subject as secret",
      "sort rotatedAt asc",
    ]);
  });

  it("asks it how long every version took from its event until the last live agent had adopted it", () => {
    expect(query(/^Adoption/)).toEqual([
      `filter detail.type in ["${rotated}", "${adopted}"]`,
      expect.stringMatching(
        /^stats \(max\(toMillis\(@timestamp\)\) - min\(toMillis\(@timestamp\)\)\) \/ 1000 as seconds, count\(\*\) as told by detail.subject as secret, detail.data.version as version$/,
      ),
      // Of a version that only one of the two tells of, nothing is known.
      "filter told > 1",
      "sort seconds desc",
    ]);
  });

  it("asks it for the debts that are late, and why", () => {
    expect(query(/^Debts/)).toEqual([
      'filter detail.data.outcome = "delayed"',
      "stats latest(time) as told, latest(detail.data.reason) as reason by detail.subject as secret",
      "sort told desc",
    ]);
  });

  it("draws how long messages wait in each queue, and how long functions take and how often they fail", () => {
    const waiting = [
      "aws-iam-access-key-work",
      "postgres-alternating-work",
      "postgres-password-work",
      "incidents",
      "reports",
    ];
    expect(drawn(/^Lag/)).toEqual(
      waiting.map((name) => `AWS/SQS ApproximateAgeOfOldestMessage keyturn-prod-${name}`),
    );
    const of = (metric: string) => functions.map((name) => `AWS/Lambda ${metric} keyturn-prod-${name}`);
    expect(drawn(/^Functions/)).toEqual([...of("Duration"), ...of("Errors")]);
  });

  it("draws what functions and the journal cost, by the price list", () => {
    const [lambda = "", ...more] = drawn(/^Cost/);
    expect(lambda).toContain(
      "(FILL(d0,0)+FILL(d1,0)+FILL(d2,0)+FILL(d3,0)+FILL(d4,0)+FILL(d5,0))/1000*0.5*0.000013333400+(FILL(i0,0)",
    );
    expect(lambda).toContain("*0.000000200000");
    expect(more.filter((one) => one.includes("expression"))).toEqual([
      expect.stringContaining("r*0.000000125000+w*0.000000625000"),
    ]);
    expect(more.filter((one) => !one.includes("expression")).toSorted()).toEqual(
      [
        ...functions.flatMap((name) =>
          ["Duration", "Invocations"].map((metric) => `AWS/Lambda ${metric} keyturn-prod-${name}`),
        ),
        ...["Read", "Write"].map((kind) => `AWS/DynamoDB Consumed${kind}CapacityUnits keyturn-prod-journal`),
      ].toSorted(),
    );
  });
});
