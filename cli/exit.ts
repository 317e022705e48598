import type { ErrorCode } from "../core/errors.ts";

/** The exit codes of every command, by kind of outcome. */
export const exitCodes = {
  done: 0,
  /** A defect of Keyturn. */
  internal: 1,
  /** The command, its input or the manifest is wrong; nothing has changed. */
  usage: 2,
  /** Understood, and refused: the message says what to do instead. */
  refused: 3,
  /** What was named is not there. */
  missing: 4,
  /** Something is out of reach for now; what had begun goes on by itself or by the next command. */
  unavailable: 5,
  /** A check has failed: an audit chain is broken, a leaked value belongs to nothing. */
  failed: 6,
  /** A person has to look: a rotation is halted. */
  halted: 7,
  interrupted: 130,
} as const;

export function exitCodeOf(code: ErrorCode): number {
  switch (code) {
    case "internal":
      return exitCodes.internal;
    case "input-invalid":
    case "manifest-invalid":
    case "config-invalid":
    case "credential-invalid":
      return exitCodes.usage;
    case "secret-missing":
    case "key-missing":
      return exitCodes.missing;
    case "unreachable":
    case "timeout":
    case "throttled":
    case "target-busy":
    case "store-unavailable":
    case "journal-unavailable":
    case "bus-unavailable":
    case "audit-unavailable":
    case "not-proven":
    case "conflict":
      return exitCodes.unavailable;
    case "superseded":
    case "fence-conflict":
    case "pending-lost":
    case "current-broken":
    case "schema-newer":
    case "data-broken":
      return exitCodes.halted;
    case "tls-failed":
    case "admin-refused":
    case "admin-lacks-rights":
    case "role-lacks-rights":
    case "not-managed":
    case "login-refused":
    case "not-authenticated":
    case "access-differs":
    case "target-rejected":
    case "request-refused":
    case "access-denied":
      return exitCodes.refused;
  }
}
