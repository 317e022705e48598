import type { Call } from "../../integration/aws/installation/operation.ts";

/** How often each operation was asked for. */
export type Operations = Readonly<Record<string, number>>;

/** What was asked of each part of an installation. */
export type Counted = Readonly<Record<Part, Operations>>;

type Part = keyof typeof services;

/** The parts, by the service that plays them. */
const services = {
  store: "secretsmanager",
  journal: "dynamodb",
  audit: "s3",
  bus: "events",
  queues: "sqs",
} as const;

/** Every call is counted once; one to a service that is none of these throws, for then something would be left out. */
export function countCalls(calls: readonly Pick<Call, "service" | "operation">[]): Counted {
  const known: readonly string[] = Object.values(services);
  const strange = calls.find(({ service }) => !known.includes(service));
  if (strange !== undefined)
    throw new Error(`nobody knows what a call of ${strange.operation} to ${strange.service} is for`);
  const of = (part: Part) => operationsOf(calls.filter(({ service }) => service === services[part]));
  return {
    store: of("store"),
    journal: of("journal"),
    audit: of("audit"),
    bus: of("bus"),
    queues: of("queues"),
  };
}

export function total(operations: Operations): number {
  return Object.values(operations).reduce((sum, count) => sum + count, 0);
}

/** `9: 2 DescribeSecret, …` */
export function told(operations: Operations): string {
  const each = Object.entries(operations).map(([operation, count]) => `${count} ${operation}`);
  return each.length === 0 ? "0" : `${total(operations)}: ${each.join(", ")}`;
}

function operationsOf(calls: readonly Pick<Call, "operation">[]): Operations {
  const counts = new Map<string, number>();
  for (const { operation } of calls) counts.set(operation, (counts.get(operation) ?? 0) + 1);
  return Object.fromEntries([...counts].toSorted(([one], [other]) => one.localeCompare(other)));
}
