import { readFileSync } from "node:fs";
import { join } from "node:path";
import { CfnQueue } from "aws-cdk-lib/aws-sqs";
import { expect, it, vi } from "vitest";
import { appOf, stackOf } from "./sample-plan.contract.ts";

/** A synthesis takes seconds, and more where others are at work. */
vi.setConfig({ testTimeout: 120_000 });

/** What CDK's own look at the template finds against the rules of CloudFormation: a file beside it. */
function report(change: (made: ReturnType<typeof stackOf>) => void): string {
  const made = stackOf({}, appOf({}, true));
  change(made);
  const { pluginReports } = JSON.parse(
    readFileSync(join(made.app.synth().directory, "validation-report.json"), "utf8"),
  );
  return JSON.stringify(pluginReports);
}

it("the template keeps the rules of CloudFormation", () => {
  expect(report(() => undefined)).toBe("[]");
});

it("and one that does not would be found", () => {
  const said = report(({ stack }) => new CfnQueue(stack, "Slow", { visibilityTimeout: 1_000_000 }));
  expect(said).toContain("Slow");
});
