import { asKeyturnError, KeyturnError } from "./errors.ts";
import type { Ports } from "./ports.ts";
import { managedSecret } from "./reconcile.ts";
import { newRecord, type RotationRecord } from "./record.ts";
import { Redactor, redactingLog } from "./redact.ts";
import { Session } from "./session.ts";
import type { Stand } from "./stand.ts";

/**
 * Lets somebody ask the target about a secret as a step would, without being one: the record stays as it is, connections end with the
 * work, and the time is that of one step.
 */
export async function inquire<Result>(
  ref: string,
  ports: Ports,
  known: RotationRecord | undefined,
  work: (stand: Stand) => Promise<Result>,
): Promise<Result> {
  const managed = managedSecret(ports, ref);
  const rotator = await ports.rotators.load(managed.type);
  const redactor = new Redactor();
  const session = new Session();
  const stand: Stand = {
    ports: { ...ports, log: redactingLog(ports.log, redactor) },
    managed,
    rotator,
    record: known ?? newRecord(ref),
    session,
    redactor,
  };
  try {
    return await session.within(ports.clock, managed.policy.stepDeadlineMs, "asking the target", () =>
      work(stand),
    );
  } catch (thrown) {
    await session.close(thrown);
    const { code, message } = asKeyturnError(thrown);
    throw new KeyturnError(code, redactor.redact(message));
  } finally {
    await session.close();
  }
}
