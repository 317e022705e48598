import { asKeyturnError, type KeyturnError } from "../core/errors.ts";
import type { AuditLog } from "../core/ports.ts";
import type { LocalAuditRoots } from "./audit-roots.ts";
import type { LocalEventBus } from "./event-bus.ts";
import type { Tokens } from "./tokens.ts";
import type { Waker } from "./wake.ts";

/**
 * What stands in for a file that cannot be opened: every call says why, and nothing else is kept from working. Audit entries and
 * events wait in the records until the file is back.
 */
export function brokenAudit(thrown: unknown): AuditLog & Disposable {
  const say = because(thrown);
  return {
    append: async () => say(),
    read: () => ({ [Symbol.asyncIterator]: () => ({ next: async () => say() }) }),
    end: async () => say(),
    refs: async () => say(),
    [Symbol.dispose]: () => undefined,
  };
}

export function brokenRoots(thrown: unknown): LocalAuditRoots & Disposable {
  const say = because(thrown);
  return {
    append: async () => say(),
    read: () => ({ [Symbol.asyncIterator]: () => ({ next: async () => say() }) }),
    end: async () => say(),
    exclusively: async () => say(),
    [Symbol.dispose]: () => undefined,
  };
}

export function brokenBus(waker: Waker): (thrown: unknown) => LocalEventBus {
  return (thrown) => {
    const say = because(thrown);
    return {
      publish: async () => say(),
      readEvents: async () => say(),
      end: async () => say(),
      wake: () => waker.wake(),
      [Symbol.dispose]: () => undefined,
    };
  };
}

export function brokenTokens(thrown: unknown): Tokens & Disposable {
  const say = because(thrown);
  return {
    enrol: async () => say(),
    authenticate: async () => say(),
    revoke: async () => say(),
    list: async () => say(),
    [Symbol.dispose]: () => undefined,
  };
}

/** A newer file's schema is no damage: whoever does not understand it must not work beside it. */
function because(thrown: unknown): () => never {
  const error: KeyturnError = asKeyturnError(thrown);
  if (error.code === "schema-newer") throw error;
  return () => {
    throw error;
  };
}
