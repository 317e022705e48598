import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Template } from "aws-cdk-lib/assertions";
import { beforeAll, describe, expect, it } from "vitest";
import { matches } from "./event-pattern.contract.ts";
import { stackOf } from "./sample-plan.contract.ts";

const folder = join(import.meta.dirname, "../integration/events/aws");

/** Of each golden event the rules that give it to the queue of incidents. */
const golden = {
  "cancel-rotate-secret.json": ["Calls"],
  "guardduty-access-key-anomalous.json": ["GuardDuty"],
  "guardduty-instance.json": [],
  "guardduty-root-usage.json": ["GuardDuty"],
  "guardduty-session-exfiltration.json": ["GuardDuty"],
  "health-credentials-exposed.json": ["Health"],
  "rotation-abandoned-service-event-details.json": ["Rotations"],
  "rotation-abandoned.json": ["Rotations"],
  "rotation-failed-service-event-details.json": ["Rotations"],
  "rotation-failed.json": ["Rotations"],
  "rotation-started-service-event-details.json": ["Rotations"],
  "rotation-started.json": ["Rotations"],
  "rotation-succeeded-service-event-details.json": ["Rotations"],
  "rotation-succeeded.json": ["Rotations"],
  "secret-label-updated.json": ["LabelUpdated"],
  "test-rotation-failed.json": ["Rotations"],
  "test-rotation-started.json": ["Rotations"],
  "test-rotation-succeeded.json": ["Rotations"],
} as const;

interface Rule {
  readonly name: string;
  readonly bus: unknown;
  readonly pattern: unknown;
  readonly targets: readonly { readonly Arn: unknown; readonly DeadLetterConfig?: unknown }[];
}

let template: Template;
let rules: readonly Rule[];

beforeAll(() => {
  template = Template.fromStack(stackOf().stack);
  rules = Object.entries(template.findResources("AWS::Events::Rule")).map(([id, { Properties }]) => ({
    name: /^KeyturnIncidents(?<name>\w+)[0-9A-F]{8}$/.exec(id)?.groups?.name ?? id,
    bus: Properties.EventBusName,
    pattern: Properties.EventPattern,
    targets: Properties.Targets,
  }));
}, 120_000);

function read(file: string): object {
  return Object(JSON.parse(readFileSync(join(folder, file), "utf8")));
}

/** The rules of a bus that take an event: by default of the account's own. */
function takenBy(event: object, bus?: unknown): readonly string[] {
  const there = rules.filter((rule) => (bus === undefined ? rule.bus === undefined : rule.bus !== undefined));
  return there.filter(({ pattern }) => matches(pattern, event)).map(({ name }) => name);
}

describe("what happens in the account", () => {
  it("is known by all the golden events that there are", () => {
    expect(readdirSync(folder).toSorted()).toEqual(Object.keys(golden));
  });

  it.each(Object.entries(golden))("%s is delivered by %j", (file, expected) => {
    expect(takenBy(read(file))).toEqual(expected);
  });

  it("goes to the one queue of incidents, by rules that are all there for one of the golden events", () => {
    const ours = rules.filter(({ bus }) => bus === undefined);
    const used = new Set<string>(Object.values(golden).flat());
    expect(ours.map(({ name }) => name).toSorted()).toEqual([...used].toSorted());
    const [queue = ""] = Object.keys(
      template.findResources("AWS::SQS::Queue", { Properties: { QueueName: "keyturn-prod-incidents" } }),
    );
    for (const { targets } of ours) {
      expect(targets).toMatchObject([
        { Arn: { "Fn::GetAtt": [queue, "Arn"] }, DeadLetterConfig: { Arn: expect.anything() } },
      ]);
    }
  });

  it("lets those rules, and nobody else, put messages into the queue", () => {
    const policies = Object.values(template.findResources("AWS::SQS::QueuePolicy")).filter(({ Properties }) =>
      JSON.stringify(Properties.Queues).includes("KeyturnIncidents"),
    );
    const allowed = policies
      .flatMap(({ Properties }) => Properties.PolicyDocument.Statement)
      .filter(({ Effect }) => Effect === "Allow");
    expect(allowed).toMatchObject([
      {
        Principal: { Service: "events.amazonaws.com" },
        Action: "sqs:SendMessage",
        Condition: { StringEquals: { "aws:SourceAccount": "111122223333" } },
      },
    ]);
  });

  const called = (eventName: string) => {
    const event = read("cancel-rotate-secret.json");
    return { ...event, detail: { ...Object(Object(event).detail), eventName } };
  };
  const told = (eventName: string) => {
    const event = read("rotation-failed.json");
    return { ...event, detail: { ...Object(Object(event).detail), eventName } };
  };

  it.each([
    ["Keyturn's own calls", called("PutSecretValue")],
    ["a rotation that Keyturn asks for", called("RotateSecret")],
    ["the deletion of a version", told("StartSecretVersionDelete")],
    ["a call in the place of a rotation's event", called("RotationFailed")],
    ["a word that only has it inside", told("NoRotation")],
    ["another source that says the same", { ...read("rotation-failed.json"), source: "com.example" }],
    [
      "what else Health tells",
      { ...read("health-credentials-exposed.json"), detail: { eventTypeCode: "AWS_EC2_OPERATIONAL_ISSUE" } },
    ],
    ["a finding that names no resource", { ...read("guardduty-root-usage.json"), detail: {} }],
    ["an event of Keyturn's on the account's own bus", { source: "dev.keyturn", detail: {} }],
  ])("is left alone where it is %s", (_, event) => {
    expect(takenBy(event)).toEqual([]);
  });

  it("is not looked for on Keyturn's own bus, whatever is put there", () => {
    for (const file of Object.keys(golden)) expect(takenBy(read(file), "Keyturn's")).toEqual([]);
  });
});

describe("what Keyturn tells on its own bus", () => {
  const rotated = (subject: string) => ({ source: "dev.keyturn", detail: { subject } });

  it("goes to the log, and to the topics of the fleets that read the secret", () => {
    const by = (subject: string) => takenBy(rotated(subject), "Keyturn's").map((name) => shortOf(name));
    expect(by("billing/db")).toEqual(["FanOutRuleinvoiceagents1", "TellingRule"]);
    expect(by("legacy/app")).toEqual(["FanOutRulereportagents1", "TellingRule"]);
    expect(by("billing/reports")).toEqual([
      "FanOutRuleinvoiceagents1",
      "FanOutRulereportagents1",
      "TellingRule",
    ]);
    expect(by("somebody/else")).toEqual(["TellingRule"]);
  });

  it("and what a host says goes to the queue of reports alone", () => {
    const said = { source: "dev.keyturn.host.invoice-agents.AROA:i-1", detail: { subject: "billing/db" } };
    expect(takenBy(said, "Keyturn's").map((name) => shortOf(name))).toEqual(["FanOutReportsRule"]);
  });

  function shortOf(name: string): string {
    return name.replace(/^Keyturn/, "").replace(/[0-9A-F]{8}$/, "");
  }
});
