/** What a service asks for one unit of something. */
export interface Price {
  /** US dollars for `per` units, beyond any free tier, at the first step of the price list. */
  readonly dollars: number;
  readonly per: number;
  readonly unit: string;
  /** Where the figure was read. */
  readonly source: string;
  /** As of when that page has it; undefined: it does not say. */
  readonly asOf: string | undefined;
}

/** Every price is of this region. */
export const region = "us-east-1";

export const prices = {
  secret: {
    dollars: 0.4,
    per: 1,
    unit: "secret and month",
    source: "https://hivebook.wiki/wiki/aws-secrets-manager-rotated-secrets-dynamic-db-credentials-kms",
    asOf: undefined,
  },
  storeCall: {
    dollars: 0.05,
    per: 10_000,
    unit: "call of Secrets Manager",
    source: "https://hivebook.wiki/wiki/aws-secrets-manager-rotated-secrets-dynamic-db-credentials-kms",
    asOf: undefined,
  },
  invocation: {
    dollars: 0.2,
    per: 1_000_000,
    unit: "invocation of Lambda",
    source: "https://cloudchipr.com/blog/aws-lambda-pricing",
    asOf: "2024",
  },
  gigabyteSecond: {
    dollars: 0.0000133334,
    per: 1,
    unit: "gigabyte-second of Lambda on arm64",
    source: "https://cloudchipr.com/blog/aws-lambda-pricing",
    asOf: "2024",
  },
  write: {
    dollars: 0.625,
    per: 1_000_000,
    unit: "write request unit of DynamoDB on demand",
    source: "https://airbyte.com/data-engineering-resources/dynamodb-pricing",
    asOf: undefined,
  },
  read: {
    dollars: 0.125,
    per: 1_000_000,
    unit: "read request unit of DynamoDB on demand",
    source: "https://airbyte.com/data-engineering-resources/dynamodb-pricing",
    asOf: undefined,
  },
  event: {
    dollars: 1,
    per: 1_000_000,
    unit: "custom event of EventBridge",
    source: "https://cloudburn.io/blog/amazon-eventbridge-pricing",
    asOf: "2026-03",
  },
  tick: {
    dollars: 1,
    per: 1_000_000,
    unit: "invocation by EventBridge Scheduler",
    source: "https://cloudburn.io/blog/amazon-eventbridge-pricing",
    asOf: "2026-03",
  },
  publish: {
    dollars: 0.5,
    per: 1_000_000,
    unit: "publication of SNS; what goes on to queues of SQS is free",
    source: "https://www.cloudedventures.com/tools/eventbridge-vs-sqs-sns",
    asOf: undefined,
  },
  queueRequest: {
    dollars: 0.4,
    per: 1_000_000,
    unit: "request of SQS, standard queues",
    source: "https://cloudburn.io/blog/amazon-sqs-pricing",
    asOf: "2026-03",
  },
  objectWrite: {
    dollars: 0.005,
    per: 1_000,
    unit: "PUT or LIST of S3 Standard",
    source: "https://c3x.dev/blog/s3-request-fees-explained",
    asOf: undefined,
  },
  objectRead: {
    dollars: 0.0004,
    per: 1_000,
    unit: "GET of S3 Standard",
    source: "https://c3x.dev/blog/s3-request-fees-explained",
    asOf: undefined,
  },
  key: {
    dollars: 1,
    per: 1,
    unit: "key of KMS and month",
    source: "https://aws.amazon.com/kms/pricing/",
    asOf: undefined,
  },
  keyRequest: {
    dollars: 0.03,
    per: 10_000,
    unit: "request of KMS, symmetric keys",
    source: "https://www.wring.co/blog/aws-kms-pricing-guide",
    asOf: "2026-03",
  },
  signature: {
    dollars: 0.15,
    per: 10_000,
    unit: "request of KMS, asymmetric keys",
    source: "https://www.factualminds.com/blog/aws-kms-pricing-keys-requests-multi-region/",
    asOf: "2026-06",
  },
  logGigabyte: {
    dollars: 0.5,
    per: 1,
    unit: "gigabyte that CloudWatch Logs takes in",
    source: "https://c3x.dev/blog/cloudwatch-logs-cost-optimization",
    asOf: "2026-06",
  },
} as const satisfies Readonly<Record<string, Price>>;

export type Priced = keyof typeof prices;
