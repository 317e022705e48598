import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { SQSRecord } from "aws-lambda";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { KeyturnError } from "../core/errors.ts";
import { request } from "../core/operate.ts";
import type { Ports } from "../core/ports.ts";
import { reconcile } from "../core/reconcile.ts";
import { Secret } from "../core/secret.ts";
import { type StrictIam, startStrictIam } from "../integration/aws/strict-iam.ts";
import { iamWorld } from "../integration/iam-world.ts";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { foundMessage } from "./decode.ts";
import { takeIncidents } from "./incidents.ts";

const folder = join(import.meta.dirname, "../integration/events");
const ref = "app/db";

function golden(name: string): string {
  return readFileSync(join(folder, `${name}.json`), "utf8");
}

function record(messageId: string, body: string, sentAt: number): SQSRecord {
  const attributes = {
    ApproximateReceiveCount: "1",
    SentTimestamp: String(sentAt),
    SenderId: "",
    ApproximateFirstReceiveTimestamp: "0",
  };
  const from = { eventSource: "aws:sqs", eventSourceARN: "arn", awsRegion: "eu-west-1", md5OfBody: "" };
  return { messageId, body, receiptHandle: messageId, attributes, messageAttributes: {}, ...from };
}

/** Everything around the incidents, and what they came to. */
function incidentsOf(ports: Ports, leaked = "") {
  const worked: string[] = [];
  const ended: string[] = [];
  const aside: string[] = [];
  const down = { journal: false, github: false };
  const journal: Ports["journal"] = {
    ...ports.journal,
    identify: async (prints) => {
      if (down.journal) throw new KeyturnError("throttled", "the journal is down");
      return ports.journal.identify(prints);
    },
  };
  const to = {
    ports: { ...ports, journal },
    work: async (name: string) => void worked.push(name),
    sessions: { end: async (role: string) => void ended.push(role) },
    github: {
      read: async () => {
        if (down.github) throw new KeyturnError("unreachable", "GitHub is away");
        return leaked === "" ? undefined : new Secret(leaked);
      },
    },
    deadLetters: {
      put: async (_: string, { code, message }: KeyturnError) => void aside.push(`${code}: ${message}`),
    },
  };
  const take = (...bodies: readonly string[]) => takeSentAt(ports.clock.now(), ...bodies);
  const takeSentAt = async (sentAt: number, ...bodies: readonly string[]) => {
    const Records = bodies.map((body, index) => record(`m${index}`, body, sentAt));
    const { batchItemFailures } = await takeIncidents(to, { Records });
    return batchItemFailures.map(({ itemIdentifier }) => itemIdentifier);
  };
  return { worked, ended, aside, down, take, takeSentAt };
}

/** A secret that was rotated once, of a type in memory. */
async function rotated() {
  const target = modelTarget();
  const { ports, clock, lines } = memoryPorts(target.bothLive, {
    policy: { graceAtMostMs: 3_000, onLaggards: "retire" },
  });
  const work = async () => {
    for (let turn = 0; turn < 50; turn += 1) {
      const { until, record: now } = await reconcile(ref, ports, { worker: "w" });
      if (until === undefined || now.state.phase === "idle") return now;
      clock.advance(Math.max(1, until - ports.clock.now()));
    }
    throw new Error("it never comes to rest");
  };
  await request(ref, ports, { kind: "rotate", by: "test" });
  await work();
  const current = await ports.store.read(ref, "current");
  if (current === undefined) throw new Error("nothing is current");
  return { ports, lines, work, current, clock };
}

describe("an access key that AWS Health says is exposed", () => {
  let model: StrictIam;
  beforeAll(async () => {
    model = await startStrictIam();
  });
  afterAll(async () => {
    delete process.env.AWS_ENDPOINT_URL;
    await model.close();
  });

  test("is followed by another, made inactive, and known by its id when the event comes again", async () => {
    const world = iamWorld(model);
    await world.ask("rotate");
    await world.until("idle");
    const leaked = await world.current();
    const { take, worked, aside } = incidentsOf(world.ports);
    const event = golden("aws/health-credentials-exposed").replaceAll("AKIAIOSFODNN7EXAMPLE", leaked);
    expect(await take(event)).toEqual([]);
    expect(worked).toEqual([ref]);
    await world.until("idle");
    const successor = await world.current();
    expect(successor).not.toBe(leaked);
    expect(world.keys()).toEqual({ [leaked]: "Inactive", [successor]: "Active" });
    // Late, and twice: the successor is not what leaked.
    await take(event, event);
    await world.until("idle");
    expect(await world.current()).toBe(successor);
    expect(aside).toEqual([]);
  });

  test("is a person's when no secret has it", async () => {
    const { ports } = await rotated();
    const { take, worked, aside } = incidentsOf(ports);
    expect(await take(golden("aws/health-credentials-exposed"))).toEqual([]);
    expect(aside).toEqual([
      expect.stringMatching(/^request-refused: a person has to look: .*no secret here has/),
    ]);
    expect(worked).toEqual([]);
  });
});

describe("a value that GitHub has found", () => {
  const message = foundMessage({ repository: "acme/shop", alert: 1, installation: 7, because: "GitHub" });

  test("is cut off when it is ours, in whatever it stands, and its successor is published", async () => {
    const { ports, work, current, lines } = await rotated();
    const { password } = JSON.parse(current.value.reveal());
    const { take, worked, aside } = incidentsOf(ports, `DATABASE_URL=postgres://app:${password}@db/app`);
    expect(await take(message)).toEqual([]);
    expect([worked, aside]).toEqual([[ref], []]);
    const record = await work();
    expect(record.current?.version).not.toBe(current.version);
    expect(record.compromised).toMatchObject([{ version: current.version, reportedBy: "GitHub" }]);
    await take(message);
    expect((await work()).current?.version).toBe(record.current?.version);
    expect(lines.join()).not.toContain(password);
  });

  test("is nobody's, or gone: nothing is done", async () => {
    const { ports } = await rotated();
    const strange = incidentsOf(ports, "a-value-of-somebody-else-0123456789");
    expect(await strange.take(message)).toEqual([]);
    const gone = incidentsOf(ports);
    expect(await gone.take(message)).toEqual([]);
    expect([strange.worked, strange.aside, gone.worked, gone.aside]).toEqual([[], [], [], []]);
  });

  test("comes again while GitHub is away", async () => {
    const { ports } = await rotated();
    const { take, down, aside } = incidentsOf(ports, "any");
    down.github = true;
    expect(await take(message)).toEqual(["m0"]);
    expect(aside).toEqual([]);
  });
});

describe("an order", () => {
  const order = (more: Readonly<Record<string, unknown>>) => JSON.stringify({ ref, by: "alice", ...more });

  test("to revoke what is current is obeyed once, however often it comes", async () => {
    const { ports, work, current } = await rotated();
    const { take, aside } = incidentsOf(ports);
    const revoke = order({ order: "revoke", version: current.version });
    await take(revoke, revoke);
    const record = await work();
    expect(record.compromised).toHaveLength(1);
    expect(record.current?.version).not.toBe(current.version);
    await take(revoke);
    expect((await work()).current?.version).toBe(record.current?.version);
    expect(aside).toEqual([]);
  });

  describe("that is delivered again when it was obeyed long ago", () => {
    test("revokes no successor, though it names a stage", async () => {
      const { ports, work, current, clock } = await rotated();
      const { takeSentAt, aside } = incidentsOf(ports);
      const revoke = order({ order: "revoke", version: "current" });
      const sentAt = ports.clock.now();
      clock.advance(50);
      await takeSentAt(sentAt, revoke);
      await takeSentAt(sentAt, revoke);
      const once = await work();
      expect(once.compromised.map(({ version }) => version)).toEqual([current.version]);
      await takeSentAt(sentAt, revoke);
      const again = await work();
      expect(again.current?.version).toBe(once.current?.version);
      expect(again.compromised).toHaveLength(1);
      expect(aside).toEqual([]);
    });

    test("rotates, rolls back and cancels nothing else", async () => {
      const { ports, work, clock } = await rotated();
      const { takeSentAt, aside } = incidentsOf(ports);
      const sentAt = ports.clock.now();
      clock.advance(50);
      await takeSentAt(sentAt, order({ order: "rotate" }));
      const { current } = await work();
      await takeSentAt(sentAt, order({ order: "rotate" }));
      expect((await work()).current).toEqual(current);
      await request(ref, ports, { kind: "rotate", by: "bob" });
      await takeSentAt(sentAt, order({ order: "cancel" }));
      expect((await ports.journal.load(ref))?.record.state.phase).toBe("create");
      await reconcile(ref, ports, { worker: "w" });
      const newer = (await ports.journal.load(ref))?.record;
      expect(newer?.state.phase).toBe("grace");
      await takeSentAt(sentAt, order({ order: "rollback" }));
      expect((await ports.journal.load(ref))?.record.current).toEqual(newer?.current);
      expect(aside).toEqual([]);
    });

    test("resumes no later halt and no later pause", async () => {
      const { ports, clock } = await rotated();
      const { takeSentAt } = incidentsOf(ports);
      const sentAt = ports.clock.now();
      clock.advance(50);
      await request(ref, ports, { kind: "pause", by: "bob", reason: "an audit" });
      await takeSentAt(sentAt, order({ order: "resume" }));
      expect((await ports.journal.load(ref))?.record.paused).toMatchObject({ by: "bob" });
    });
  });

  test("to revoke a stage that has changed since it was sent is a person's: it may have meant another version", async () => {
    const { ports, work, clock } = await rotated();
    const { takeSentAt, aside, worked } = incidentsOf(ports);
    const sentAt = ports.clock.now();
    clock.advance(50);
    await request(ref, ports, { kind: "rotate", by: "bob" });
    const { current } = await work();
    await takeSentAt(sentAt, order({ order: "revoke", version: "current" }));
    expect(aside).toEqual([expect.stringMatching(/^request-refused: revoke of app\/db: .*name the version/)]);
    expect(worked).toEqual([]);
    expect((await work()).current).toEqual(current);
  });

  test("to rotate begins a rotation, and to cancel it takes it back", async () => {
    const { ports, work, current } = await rotated();
    const { take, worked } = incidentsOf(ports);
    await take(order({ order: "rotate" }));
    expect((await ports.journal.load(ref))?.record.state.phase).toBe("create");
    await take(order({ order: "cancel" }));
    expect((await work()).current?.version).toBe(current.version);
    expect(worked).toEqual([ref, ref]);
  });

  test("to rotate reads no administering login, which the function may not: whoever rotates finds what is wrong with it", async () => {
    const { ports } = await rotated();
    const managed = ports.secrets.get(ref);
    if (managed === undefined) throw new Error(`${ref} is not managed`);
    const read: Ports["store"]["read"] = async (name, which) => {
      if (name !== ref) throw new KeyturnError("role-lacks-rights", `reading ${name}: AccessDenied`);
      return ports.store.read(name, which);
    };
    const { take, worked, aside } = incidentsOf({
      ...ports,
      store: { ...ports.store, read },
      secrets: { ...ports.secrets, get: () => ({ ...managed, admin: "ops/admin" }) },
    });
    expect(await take(order({ order: "rotate" }))).toEqual([]);
    expect((await ports.journal.load(ref))?.record.state.phase).toBe("create");
    expect([worked, aside]).toEqual([[ref], []]);
  });

  test.each([
    [{ order: "rollback" }, /^request-refused: rollback of app\/db: the old credential is retired/],
    [{ order: "rotate", ref: "no/such" }, /^input-invalid: the manifest has no secret no\/such/],
    [{ order: "revoke", version: "no-such" }, /^secret-missing: app\/db has no version no-such/],
  ])("that cannot be obeyed is put aside with its reason: %j", async (more, reason) => {
    const { ports } = await rotated();
    const { take, aside, worked } = incidentsOf(ports);
    expect(await take(order(more))).toEqual([]);
    expect(aside).toEqual([expect.stringMatching(reason)]);
    expect(worked).toEqual([]);
  });
});

test("sessions end, secrets of others are left alone, and what is ours is looked at", async () => {
  const { ports } = await rotated();
  const { take, ended, worked, aside } = incidentsOf(ports);
  const ours = golden("aws/rotation-failed").replaceAll("billing/db", ref);
  expect(
    await take(golden("aws/guardduty-session-exfiltration"), golden("aws/rotation-failed"), ours),
  ).toEqual([]);
  expect([ended, worked, aside]).toEqual([["agent-role"], [ref], []]);
});

test("of a batch, what is broken keeps up nothing, and only what failed for now comes again", async () => {
  const { ports } = await rotated();
  const { take, worked, aside, down } = incidentsOf(ports);
  down.journal = true;
  const look = golden("aws/secret-label-updated").replaceAll("billing/db", ref);
  expect(await take("{", look, golden("aws/health-credentials-exposed"), "[]")).toEqual(["m2"]);
  expect(worked).toEqual([ref]);
  expect(aside).toEqual([
    "input-invalid: not what it should be: event",
    "input-invalid: not what it should be: event",
  ]);
});
