import type { SQSBatchResponse, SQSEvent } from "aws-lambda";
import * as z from "zod/mini";
import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import type { Ports } from "../core/ports.ts";
import { managedSecret, reconcile } from "../core/reconcile.ts";
import { Work, type WorkQueues } from "./work-queues.ts";

export interface Working {
  readonly ports: Ports;
  readonly queues: WorkQueues;
  /** Asks whoever begins rotations here to begin one; false: nobody else does. */
  readonly begin: (ref: string) => Promise<boolean>;
  /** Nothing begins before. */
  readonly ready: () => Promise<void>;
}

/** What runs a function says of this one run of it. */
export interface Invocation {
  readonly awsRequestId: string;
  getRemainingTimeInMillis(): number;
}

/** What comes sooner is waited for by a message of its own; what comes later is found by the tick, every minute. */
const tickMs = 60_000;
/** Between two steps there is something to write down. */
const recordingMs = 5_000;

/** Works on the secrets that a batch of a type's queue names. What fails comes again, alone. */
export async function takeWork(
  working: Working,
  { Records }: SQSEvent,
  invocation: Invocation,
): Promise<SQSBatchResponse> {
  const failed: string[] = [];
  for (const { messageId, body } of Records) {
    try {
      await workOn(refIn(body), working, invocation);
    } catch (thrown) {
      const { code, message: reason } = asKeyturnError(thrown);
      working.ports.log("error", "work on a secret failed, and is taken up again", {
        code,
        reason,
        messageId,
      });
      failed.push(messageId);
    }
  }
  return { batchItemFailures: failed.map((itemIdentifier) => ({ itemIdentifier })) };
}

/** Brings a secret as far as it goes in the time that is left, and says where it is then. */
export async function workOn(
  ref: string,
  { ports, queues, begin, ready }: Working,
  { awsRequestId, getRemainingTimeInMillis }: Invocation,
): Promise<string> {
  const { stepDeadlineMs } = managedSecret(ports, ref).policy;
  await ready();
  const leftMs = getRemainingTimeInMillis() - stepDeadlineMs - recordingMs;
  const until = ports.clock.now() + Math.max(0, leftMs);
  const worked = await reconcile(ref, ports, {
    worker: `lambda ${awsRequestId}`,
    until,
    begin: () => begin(ref),
  });
  const { phase } = worked.record.state;
  // Who is at it sees to what comes next; should it be gone, the tick finds it when its lease has ended.
  if (worked.result === "busy" || worked.until === undefined) return phase;
  const waitMs = Math.max(0, worked.until - ports.clock.now());
  if (waitMs < tickMs) await queues.order(ref, waitMs);
  return phase;
}

function refIn(body: string): string {
  try {
    return z.parse(Work, JSON.parse(body)).ref;
  } catch {
    throw new KeyturnError("input-invalid", "a message of the work queue names no secret");
  }
}
