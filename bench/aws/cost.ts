import { type Counted, total } from "./calls.ts";
import { type Priced, prices, region } from "./prices.ts";

/** How much of what costs something. */
export type Usage = Readonly<Partial<Record<Priced, number>>>;

/** What a rotation did, from its first step until nothing was owed. */
export interface RotationCount {
  readonly calls: Counted;
  /** Of the function of its type. */
  readonly invocations: number;
  readonly gigabyteSeconds: number;
  readonly logBytes: number;
}

export interface CostLine {
  readonly what: string;
  readonly dollars: number;
}

const writes = ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"];
const reads = ["GetItem", "Query", "BatchGetItem"];
/** Secrets Manager, not a queue, asks for these. */
const nativeSteps = 4;
/** A record, or a report, with its place in the index. */
const unitsAWrite = 2;
/** A message is sent, received and deleted. */
const requestsAMessage = 3;

const days = 30;
const secrets = 1_000;
const agents = 10_000;
/** docs/aws-agents.md, for one agent with one secret whose cacheTtl is five minutes. */
const agentDay = { polls: 4_320, beats: 1_600, reads: 384, enrolments: 96 } as const;
const enrolmentRequests = 4;
/** Messages of hosts that are taken at once, and what that takes. */
const reportsAtOnce = 10;
const reportGigabyteSeconds = 0.05;
/** Of a type each, of incidents and of reports; Lambda asks each of them all the time, by five long polls of twenty seconds. */
const queues = 5;
const idlePolls = (queues * 5 * 60 * 60 * 24 * days) / 20;
const ticks = 60 * 24 * days;
const signings = 24 * days;
const keys = 3;

/** What the dollars rest on, for whoever reads them. */
export const assumptions: readonly string[] = [
  `Prices of ${region} without free tiers, the sources of which are in bench/aws/prices.ts. Not in it: networks, alarms, the dashboard, storage.`,
  `A rotation: the calls and invocations of this run; ${unitsAWrite} units a write, one a read, a request of KMS for each value and each line of the audit.`,
  `A month: ${days} days, each secret rotated once; each agent reads one secret with a cacheTtl of five minutes (docs/aws-agents.md has what it does in a day).`,
];

/** US dollars. */
export function costOf(usage: Usage): number {
  const kinds = Object.entries(prices).map(([kind, price]) => ({ kind, ...price }));
  return kinds.reduce((sum, { kind, dollars, per }) => sum + (amountOf(usage, kind) * dollars) / per, 0);
}

/** What one rotation uses. Throws for a call to the journal that has no price here. */
export function rotationUsage({ calls, invocations, gigabyteSeconds, logBytes }: RotationCount): Usage {
  const strange = Object.keys(calls.journal).find((name) => ![...writes, ...reads].includes(name));
  if (strange !== undefined) throw new Error(`${strange} has no price here`);
  const journal = (names: readonly string[]) =>
    names.reduce((sum, name) => sum + (calls.journal[name] ?? 0), 0);
  const events = total(calls.bus);
  return {
    storeCall: total(calls.store),
    write: journal(writes) * unitsAWrite,
    read: journal(reads),
    // The wire does not tell a GET from a LIST, which costs as much as a PUT.
    objectWrite: total(calls.audit),
    event: events,
    publish: events,
    invocation: invocations,
    gigabyteSecond: gigabyteSeconds,
    queueRequest: Math.max(0, invocations - nativeSteps) * requestsAMessage,
    keyRequest: total(calls.store) + total(calls.audit),
    logGigabyte: logBytes / 1e9,
  };
}

/** A month of 1,000 secrets and 10,000 agents, by what costs it. */
export function monthOf(rotation: Usage): readonly CostLine[] {
  const agentDays = agents * days;
  const beats = agentDay.beats * agentDays;
  const enrolments = agentDay.enrolments * agentDays;
  const line = (what: string, usage: Usage): CostLine => ({ what, dollars: costOf(usage) });
  return [
    line("secrets, with Keyturn or without", { secret: secrets }),
    line("rotations", { ...scaled(rotation, secrets) }),
    line("reads", { storeCall: agentDay.reads * agentDays }),
    line("long polls of the agents' queues", { queueRequest: agentDay.polls * agentDays }),
    line("beats: events", { event: beats }),
    line("beats: by way of a queue", { queueRequest: beats + (2 * beats) / reportsAtOnce }),
    line("beats: into the journal", { write: beats }),
    line("beats: by a function", {
      invocation: beats / reportsAtOnce,
      gigabyteSecond: (beats / reportsAtOnce) * reportGigabyteSeconds,
    }),
    line("enrolments", { event: enrolments, queueRequest: enrolments * enrolmentRequests }),
    line("the tick, signing the audit, idle queues", {
      tick: ticks,
      invocation: ticks,
      gigabyteSecond: ticks * reportGigabyteSeconds,
      signature: signings,
      objectWrite: signings * secrets,
      queueRequest: idlePolls,
    }),
    line("keys", { key: keys }),
  ];
}

export function dollarsOf(lines: readonly CostLine[]): number {
  return lines.reduce((sum, { dollars }) => sum + dollars, 0);
}

function scaled(usage: Usage, times: number): Usage {
  return Object.fromEntries(Object.keys(prices).map((kind) => [kind, amountOf(usage, kind) * times]));
}

function amountOf(usage: Usage, kind: string): number {
  return new Map(Object.entries(usage)).get(kind) ?? 0;
}
