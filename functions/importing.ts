import * as z from "zod/mini";
import { adopt, adoptable } from "../core/adopt.ts";
import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import type { Ports } from "../core/ports.ts";
import { managedSecret } from "../core/reconcile.ts";
import { takenOver } from "../rotators/postgres/takeover.ts";
import type { WorkQueues } from "./work-queues.ts";

/** Asks the function of a credential type to bring what is there under Keyturn. There is no room in it for a value: that is in the store. */
export const ImportOrder = z.strictObject({
  import: z.strictObject({
    ref: z.string(),
    by: z.string(),
    /** Only looks, and changes nothing. */
    plan: z.boolean(),
  }),
});
export type ImportOrder = z.infer<typeof ImportOrder>;

const Finding = z.object({
  check: z.string(),
  ok: z.boolean(),
  message: z.string(),
  code: z.optional(z.string()),
});

/** What was found, or done, or why not: whoever called waits for it. It holds no value. */
export const ImportAnswer = z.union([
  z.object({ login: z.string(), findings: z.array(Finding) }),
  z.object({
    login: z.string(),
    imported: z.object({ answer: z.enum(["imported", "known"]), version: z.string(), findable: z.boolean() }),
  }),
  z.object({ error: z.object({ code: z.string(), message: z.string() }) }),
]);
export type ImportAnswer = z.infer<typeof ImportAnswer>;

interface Importing {
  readonly ports: Ports;
  readonly queues: WorkQueues;
  /** Nothing begins before. */
  readonly ready: () => Promise<void>;
}

export function isImport(event: unknown): boolean {
  return typeof event === "object" && event !== null && "import" in event;
}

/**
 * Imports what the store has as the secret's current value. Called twice, or again after it has died at any line, it is done once. It throws nothing:
 * what went wrong is told to whoever called, and no platform repeats what it has not heard fail.
 */
export async function importStored(
  { ports, queues, ready }: Importing,
  event: unknown,
): Promise<ImportAnswer> {
  try {
    const { ref, by, plan } = orderIn(event);
    const { type, config } = managedSecret(ports, ref);
    await ready();
    const rotator = await ports.rotators.load(type);
    const { value, login } = await takenOver(rotator, config, () => storedValue(ports, ref));
    if (plan) return { login, findings: [...(await adoptable(ref, ports, value))] };
    const { answer, version, findable } = await adopt(ref, ports, value, by);
    ports.log("info", "a credential that was there is under Keyturn", { ref, answer });
    // The audit is written, and its schedule found, by whoever looks at it next: at the latest the tick, a minute later.
    await queues.order(ref).catch(() => undefined);
    return { login, imported: { answer, version, findable } };
  } catch (thrown) {
    const { code, message } = asKeyturnError(thrown);
    ports.log("error", "a credential that is there was not imported", { code, reason: message });
    return { error: { code, message } };
  }
}

function orderIn(event: unknown): ImportOrder["import"] {
  const read = ImportOrder.safeParse(event);
  if (read.success) return read.data.import;
  // The parser's own message may quote what somebody has sent, and that may have been a value.
  throw new KeyturnError(
    "input-invalid",
    "an import names a secret, who asks, and whether it is only a plan",
  );
}

async function storedValue({ store }: Ports, ref: string) {
  const stored = await store.read(ref, "current");
  if (stored !== undefined) return stored.value;
  throw new KeyturnError(
    "secret-missing",
    `${ref} has no value in Secrets Manager: put the one that works there, as ${ref}`,
  );
}
