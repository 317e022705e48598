import { Alarm, ComparisonOperator, type IMetric, TreatMissingData } from "aws-cdk-lib/aws-cloudwatch";
import { SnsAction } from "aws-cdk-lib/aws-cloudwatch-actions";
import type { IKey } from "aws-cdk-lib/aws-kms";
import { type ITopic, Topic } from "aws-cdk-lib/aws-sns";
import { Construct } from "constructs";
import { publishesAlarms } from "./deliver.ts";

interface Watch {
  readonly metric: IMetric;
  readonly threshold: number;
  /** What happened, and what to do about it. */
  readonly description: string;
  /** How many of the last minutes (or other periods) have to be so. */
  readonly periods?: number;
  /** In how many of these it has to be so, if not in all. */
  readonly breaching?: number;
  /** Alarms where the metric is below it, and where there is none. */
  readonly below?: boolean;
}

/** All that a person is told of by CloudWatch, by way of one topic. */
export class Alarms extends Construct {
  readonly topic: ITopic;
  readonly #prefix: string;

  constructor(scope: Construct, id: string, props: { readonly prefix: string; readonly key: IKey }) {
    super(scope, id);
    this.#prefix = props.prefix;
    this.topic = new Topic(this, "Topic", {
      // No fleet's topic can be called so.
      topicName: `${props.prefix}_alarms`,
      masterKey: props.key,
      enforceSSL: true,
    });
    publishesAlarms(this.topic);
  }

  add(
    scope: Construct,
    id: string,
    { metric, threshold, description, periods = 1, breaching = periods, below = false }: Watch,
  ): Alarm {
    const alarm = new Alarm(scope, id, {
      metric,
      threshold,
      alarmDescription: `${this.#prefix}: ${description}.`,
      evaluationPeriods: periods,
      datapointsToAlarm: breaching,
      comparisonOperator: below
        ? ComparisonOperator.LESS_THAN_THRESHOLD
        : ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: below ? TreatMissingData.BREACHING : TreatMissingData.NOT_BREACHING,
    });
    alarm.addAlarmAction(new SnsAction(this.topic));
    return alarm;
  }
}
