import { Match, Template } from "aws-cdk-lib/assertions";
import { beforeAll, expect, test } from "vitest";
import { didNotBegin } from "../core/reconcile.ts";
import { stackOf } from "./sample-plan.contract.ts";

let template: Template;

beforeAll(() => {
  template = Template.fromStack(stackOf().stack);
}, 120_000);

test("whoever is on call hears of rotations that are taken back again and again", () => {
  const undone = Match.objectLike({ MetricName: "Undone" });
  template.hasResourceProperties("AWS::CloudWatch::Alarm", {
    Threshold: 3,
    EvaluationPeriods: 1,
    Metrics: [Match.objectLike({ MetricStat: Match.objectLike({ Metric: undone, Period: 3_600 }) })],
  });
});

test("and of those that never begin, for each credential type, by what its function logs", () => {
  const filters = template.findResources("AWS::Logs::MetricFilter", {
    Properties: { FilterPattern: `{ $.message = "*${didNotBegin}" }` },
  });
  const counted = Object.values(filters).map(
    ({ Properties }) => Properties.MetricTransformations[0].MetricName,
  );
  expect(counted).toHaveLength(3);
  for (const MetricName of counted) {
    const alarm = { MetricName, Threshold: 1, Period: 300, EvaluationPeriods: 3 };
    template.hasResourceProperties("AWS::CloudWatch::Alarm", alarm);
  }
});
