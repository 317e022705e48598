import type { SQSRecord } from "aws-lambda";
import { describe, expect, test } from "vitest";
import { KeyturnError } from "../core/errors.ts";
import type { AgentReport } from "../core/fleet.ts";
import { type HostMessage, hostEvents, hostSource } from "../core/host-messages.ts";
import type { ManagedSecret } from "../core/ports.ts";
import { newRecord } from "../core/record.ts";
import { memoryJournal, steppedClock } from "../local/memory.ts";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import { takeHostEvents } from "./host-reports.ts";
import type { Host } from "./host-speaker.ts";

const principal = "AROAEXAMPLE:i-1";
const speaker = { fleet: "web", principal };
const ref = "app/db";

function managed(name: string, fleets: readonly string[], type = "model"): ManagedSecret {
  const policy = { ...defaultTestPolicy, cacheTtlMs: 60_000 };
  return { ref: name, type, config: {}, admin: undefined, policy, fleets, tenant: undefined };
}
const manifest = [
  managed(ref, ["web", "jobs"]),
  managed("app/key", ["web"], "cut"),
  managed("other/db", ["jobs"]),
];

function setUp() {
  const journal = memoryJournal();
  const sent: [host: string, message: HostMessage][] = [];
  const made: [host: Host, at: number][] = [];
  const left: [host: Host, at: number][] = [];
  const woken: string[] = [];
  const aside: [body: string, code: string, reason: string][] = [];
  const down = { journal: false, queues: false, wakes: false, deadLetters: false };
  const unless = (part: keyof typeof down) => {
    if (down[part]) throw new KeyturnError("throttled", `${part} is down`);
  };
  const ports = {
    journal: {
      ...journal,
      report: async (reports: readonly AgentReport[], now: number) => {
        unless("journal");
        await journal.report(reports, now);
      },
    },
    clock: steppedClock(5_000),
    secrets: {
      get: (name: string) => manifest.find((one) => one.ref === name),
      refs: () => manifest.map((one) => one.ref),
    },
    log: () => undefined,
    overlapOf: async (type: string) => (type === "cut" ? ("cutover" as const) : ("both-live" as const)),
    queues: {
      make: async (host: Host, at: number) => {
        unless("queues");
        made.push([host, at]);
      },
      left: async (host: Host, at: number) => void left.push([host, at]),
      send: async (host: Host, message: HostMessage) => {
        sent.push([host.host, message]);
        return true;
      },
    },
    wakes: {
      wake: async (name: string) => {
        unless("wakes");
        woken.push(name);
      },
    },
    deadLetters: {
      put: async (body: string, { code, message }: KeyturnError) => {
        unless("deadLetters");
        aside.push([body, code, message]);
      },
    },
  };
  const take = async (...bodies: readonly string[]) => {
    const Records = bodies.map((body, index): SQSRecord => record(`m${index}`, body));
    const { batchItemFailures } = await takeHostEvents(ports, { Records });
    return batchItemFailures.map(({ itemIdentifier }) => itemIdentifier);
  };
  return { journal, sent, made, left, woken, aside, down, take };
}

function record(messageId: string, body: string): SQSRecord {
  return {
    messageId,
    body,
    receiptHandle: messageId,
    attributes: {
      ApproximateReceiveCount: "1",
      SentTimestamp: "0",
      SenderId: "",
      ApproximateFirstReceiveTimestamp: "0",
    },
    messageAttributes: {},
    md5OfBody: "",
    eventSource: "aws:sqs",
    eventSourceARN: "",
    awsRegion: "",
  };
}

const time = "2026-01-02T03:04:05Z";
const at = Date.parse(time);

function event(type: string, detail: unknown, source = hostSource("web", principal)): string {
  return JSON.stringify({ version: "0", id: "e", source, "detail-type": type, time, detail });
}

function report(changes: Partial<AgentReport> = {}): AgentReport {
  return { ref, agent: principal, fleet: "web", sequence: 1, inUse: ["v1"], holds: [], ...changes };
}

function reported(reports: readonly AgentReport[], more: Readonly<Record<string, unknown>> = {}): string {
  return event(hostEvents.reported, { host: principal, reports, news: [], ...more });
}

const welcome = {
  say: "welcome",
  secrets: [
    { ref, type: "model", overlap: "both-live", cacheTtlMs: 60_000 },
    { ref: "app/key", type: "cut", overlap: "cutover", cacheTtlMs: 60_000 },
  ],
};

test("a host that enrols gets its queue, and is told what its fleet may read and how", async () => {
  const { take, made, sent } = setUp();
  expect(await take(event(hostEvents.enrolled, { host: `${principal}/a` }))).toEqual([]);
  expect(made).toEqual([[{ ...speaker, host: `${principal}/a` }, at]]);
  expect(sent).toEqual([[`${principal}/a`, welcome]]);
});

test("a host that ends is noted so, at the time of the bus", async () => {
  const { take, left } = setUp();
  await take(event(hostEvents.left, { host: principal }));
  expect(left).toEqual([[{ ...speaker, host: principal }, at]]);
});

describe("reports", () => {
  test("are in the journal, of all agents of the principal", async () => {
    const { take, journal } = setUp();
    await take(reported([report({ adopted: "v2" }), report({ agent: `${principal}/worker-7` })]));
    const agents = await journal.agents(ref);
    expect(agents.map(({ agent, adopted, seenAt }) => [agent, adopted, seenAt])).toEqual([
      [principal, "v2", 5_000],
      [`${principal}/worker-7`, undefined, 5_000],
    ]);
  });

  test("that come twice, late or all at once leave the newest word", async () => {
    const { take, journal, aside } = setUp();
    const words = [3, 1, 3, 2].map((sequence) => reported([report({ sequence, inUse: [`v${sequence}`] })]));
    expect(await take(...words)).toEqual([]);
    for (const word of words) expect(await take(word)).toEqual([]);
    expect(await journal.agents(ref)).toMatchObject([{ sequence: 3, inUse: ["v3"] }]);
    expect(aside).toEqual([]);
  });

  test("are answered where the host asks: which holds are not granted", async () => {
    const { take, journal, sent } = setUp();
    await journal.save(
      { ...newRecord(ref), compromised: [{ version: "v1", reportedBy: "ann", at: 0 }] },
      undefined,
    );
    const holds = ["v1", "v2"].map((version) => ({ id: `on ${version}`, version, since: 0 }));
    await take(reported([report({ holds })]));
    expect(sent).toEqual([]);
    await take(reported([report({ holds, sequence: 2 })], { answer: "a-1" }));
    expect(sent).toEqual([[principal, { say: "heard", answer: "a-1", refusedHolds: ["on v1"] }]]);
  });

  test("on a secret that is not the fleet's are not taken, the others are, and the host is told anew what is", async () => {
    const { take, journal, sent, aside } = setUp();
    const holds = [{ id: "foreign", version: "v1", since: 0 }];
    await take(
      reported([report({ ref: "other/db", holds }), report(), report({ ref: "no/such" })], { answer: "a" }),
    );
    expect(await journal.agents("other/db")).toEqual([]);
    expect(await journal.agents("no/such")).toEqual([]);
    expect(await journal.agents(ref)).toHaveLength(1);
    expect(sent).toEqual([
      [principal, welcome],
      [principal, { say: "heard", answer: "a", refusedHolds: ["foreign"] }],
    ]);
    expect(aside).toEqual([]);
  });

  test("with news have the secret looked at, once for each, and only if it is the fleet's", async () => {
    const { take, woken } = setUp();
    await take(
      reported([report(), report({ agent: `${principal}/a` })], { news: [ref, "other/db", "app/key"] }),
    );
    await take(reported([report({ sequence: 2 })]));
    expect(woken).toEqual([ref]);
  });

  test("are taken although nobody can be woken", async () => {
    const { take, down, journal, aside } = setUp();
    down.wakes = true;
    expect(await take(reported([report()], { news: [ref] }))).toEqual([]);
    expect([(await journal.agents(ref)).length, aside]).toEqual([1, []]);
  });
});

const stranger = "AROASTRANGER:i-1";
const forged: readonly (readonly [string, string, string, string])[] = [
  [
    "another principal's report",
    reported([report(), report({ agent: stranger })]),
    "access-denied",
    stranger,
  ],
  [
    "a report of one whose name begins alike",
    reported([report({ agent: `${principal}0` })]),
    "access-denied",
    "i-10",
  ],
  ["a report for another fleet", reported([report({ fleet: "jobs" })]), "access-denied", "jobs"],
  ["reports for another host", reported([], { host: stranger }), "access-denied", stranger],
  [
    "an enrolment of another host",
    event(hostEvents.enrolled, { host: `${stranger}/a` }),
    "access-denied",
    stranger,
  ],
  [
    "a host with a strange name",
    event(hostEvents.enrolled, { host: `${principal}/a b` }),
    "input-invalid",
    "a b",
  ],
  ["a farewell of another host", event(hostEvents.left, { host: stranger }), "access-denied", stranger],
  [
    "an enrolment for a fleet that nobody knows",
    event(hostEvents.enrolled, { host: principal }, hostSource("none", principal)),
    "access-denied",
    "none",
  ],
  [
    "a source that is no host's",
    event(hostEvents.enrolled, { host: principal }, "dev.keyturn"),
    "input-invalid",
    "dev.keyturn",
  ],
  [
    "a source without a principal",
    event(hostEvents.enrolled, { host: "" }, "dev.keyturn.host.web"),
    "input-invalid",
    "web",
  ],
  [
    "a source that could be read in two ways",
    event(hostEvents.enrolled, { host: principal }, hostSource("we.b", principal)),
    "input-invalid",
    "we.b",
  ],
  ["a type that nobody knows", event("dev.keyturn.host.obeyed.v1", {}), "input-invalid", "detail-type"],
  [
    "a report without a version",
    reported([{ ...report(), inUse: [JSON.parse("null")] }]),
    "input-invalid",
    "reports.0.inUse.0",
  ],
  ["reports that are none", event(hostEvents.reported, "hello"), "input-invalid", "reports"],
  ["no event at all", "[]", "input-invalid", "an event of the bus"],
  ["what is no JSON", "{", "input-invalid", "an event of the bus"],
];

describe("what is forged or malformed", () => {
  test.each(forged)(
    "%s is put aside with its reason, and nothing of it is taken",
    async (_, body, code, reason) => {
      const { take, aside, journal, made, left, sent } = setUp();
      expect(await take(body)).toEqual([]);
      expect(aside).toEqual([[body, code, expect.stringContaining(reason)]]);
      expect([await journal.agents(ref), made, left, sent]).toEqual([[], [], [], []]);
    },
  );

  test("keeps up none of the others", async () => {
    const { take, aside, journal } = setUp();
    const good = reported([report()]);
    expect(await take(...forged.map(([, body]) => body), good)).toEqual([]);
    expect([aside.length, (await journal.agents(ref)).length]).toEqual([forged.length, 1]);
  });

  test("comes again while it cannot be put aside", async () => {
    const { take, down } = setUp();
    down.deadLetters = true;
    expect(await take("{", reported([report()]))).toEqual(["m0"]);
  });
});

test("what fails for now comes again, alone", async () => {
  const { take, down, aside, journal } = setUp();
  const [enrolled, said] = [event(hostEvents.enrolled, { host: principal }), reported([report()])];
  down.queues = true;
  expect(await take(enrolled, said)).toEqual(["m0"]);
  expect(await journal.agents(ref)).toHaveLength(1);
  down.queues = false;
  down.journal = true;
  expect(await take(enrolled, said)).toEqual(["m1"]);
  expect(aside).toEqual([]);
});
