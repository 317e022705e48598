import type { SQSRecord } from "aws-lambda";
import { expect, test } from "vitest";
import { KeyturnError } from "../core/errors.ts";
import { request } from "../core/operate.ts";
import { reconcile } from "../core/reconcile.ts";
import { every } from "../core/schedule.ts";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { takeWork } from "./working.ts";

const ref = "app/db";

function record(messageId: string, body: string): SQSRecord {
  const times = { SentTimestamp: "0", ApproximateFirstReceiveTimestamp: "0" };
  const attributes = { ApproximateReceiveCount: "1", SenderId: "", ...times };
  const from = { eventSource: "aws:sqs", eventSourceARN: "arn", awsRegion: "eu-west-1", md5OfBody: "" };
  return { messageId, body, receiptHandle: messageId, attributes, messageAttributes: {}, ...from };
}

/** A function and its queue, with a secret that was never rotated. */
function installed(leftMs = 60_000) {
  const target = modelTarget();
  const memory = memoryPorts(target.bothLive);
  const ordered: [ref: string, afterMs: number | undefined][] = [];
  const queues = { order: async (name: string, afterMs?: number) => void ordered.push([name, afterMs]) };
  const begun: string[] = [];
  const elsewhere = { is: false };
  const begin = async (name: string) => {
    if (elsewhere.is) begun.push(name);
    return elsewhere.is;
  };
  const invocation = { awsRequestId: "r1", getRemainingTimeInMillis: () => leftMs };
  const take = async (...bodies: readonly string[]) => {
    const Records = bodies.map((body, index) => record(`m${index}`, body));
    const { batchItemFailures } = await takeWork(
      { ports: memory.ports, queues, begin, ready: async () => undefined },
      { Records },
      invocation,
    );
    return batchItemFailures.map(({ itemIdentifier }) => itemIdentifier);
  };
  const phase = async () => (await memory.ports.journal.load(ref))?.record.state.phase;
  const ask = (kind: "rotate") => request(ref, memory.ports, { kind, by: "test" });
  return { ...memory, target, ordered, take, phase, ask, begun, elsewhere };
}

const message = JSON.stringify({ ref });

test("a secret is brought as far as it goes, and is ordered again for when it goes on", async () => {
  const { take, ordered, phase, ask, clock } = installed();
  await ask("rotate");
  expect(await take(message)).toEqual([]);
  // The first one has nothing to grace: the second has.
  expect(await phase()).toBe("idle");
  expect(ordered).toEqual([]);
  await ask("rotate");
  await take(message);
  expect(await phase()).toBe("grace");
  expect(ordered).toEqual([[ref, expect.any(Number)]]);
  const [[, afterMs = 0] = []] = ordered;
  expect(afterMs).toBeGreaterThan(0);
  expect(afterMs).toBeLessThan(60_000);
  clock.advance(afterMs);
  await take(message);
  clock.advance(60_000);
  await take(message);
  clock.advance(60_000);
  await take(message);
  expect(await phase()).toBe("idle");
});

test("no step begins that the time left does not suffice for, and it is ordered again at once", async () => {
  const { take, ordered, phase, ask } = installed(8_000);
  await ask("rotate");
  await take(message);
  expect(await phase()).toBe("create");
  expect(ordered).toEqual([[ref, 0]]);
});

test("what another worker has in hand is left to it", async () => {
  const { take, ordered, ask, ports } = installed();
  await ask("rotate");
  let meanwhile: Promise<readonly string[]> | undefined;
  await reconcile(ref, ports, {
    worker: "another",
    trace: async (_, carryOut) => {
      meanwhile ??= take(message);
      await meanwhile;
      return carryOut();
    },
  });
  expect(await meanwhile).toEqual([]);
  expect(ordered).toEqual([]);
});

test("what is due by its schedule is begun by whoever begins rotations there, and here where nobody does", async () => {
  const { take, ask, begun, elsewhere, phase, clock, managed } = installed();
  await ask("rotate");
  await take(message);
  Object.assign(managed.policy, { schedule: every(1_000) });
  clock.advance(2_000);
  elsewhere.is = true;
  await take(message);
  expect([begun, await phase()]).toEqual([[ref], "idle"]);
  elsewhere.is = false;
  clock.advance(600_000);
  await take(message);
  expect([begun, await phase()]).toEqual([[ref], "grace"]);
});

test("what fails comes again alone, and what names no secret of ours says so", async () => {
  const { take, lines, ask, phase } = installed();
  await ask("rotate");
  expect(await take("canary", JSON.stringify({ ref: "no/such" }), message, "{}")).toEqual(["m0", "m1", "m3"]);
  expect(await phase()).toBe("idle");
  expect(lines.join("\n")).toContain("the manifest has no secret no/such");
  expect(lines.join("\n")).not.toContain("canary");
});

test("a journal that is away fails the message, which comes again", async () => {
  const { take, ports } = installed();
  Object.assign(ports.journal, {
    load: async () => {
      throw new KeyturnError("journal-unavailable", "no answer");
    },
  });
  expect(await take(message)).toEqual(["m0"]);
});
