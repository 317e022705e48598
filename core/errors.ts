/**
 * What happens next:
 * - `retry`: the cause may pass by itself; try the same step again, later.
 * - `reject`: trying again will not help; before finish the rotation is undone, a command is refused.
 * - `halt`: nothing more is done until a person has looked.
 */
export type Disposition = "retry" | "reject" | "halt";

interface ErrorRow {
  readonly disposition: Disposition;
  /** What a person does about it. One sentence, in the imperative. */
  readonly remedy: string;
}

/** The closed set of codes. A new one only where someone will act differently because of it. */
const table = {
  // The network, the target and the stores, now and then.
  unreachable: { disposition: "retry", remedy: "Check the host, the port, the network path and the server." },
  timeout: {
    disposition: "retry",
    remedy:
      "Check the load and the network of the system named; `keyturn serve` or the next command goes on, and on AWS functions do.",
  },
  throttled: { disposition: "retry", remedy: "Wait, or raise the quota of the system named." },
  "target-busy": {
    disposition: "retry",
    remedy: "Find what holds the lock or the connection slots at the target.",
  },
  "store-unavailable": { disposition: "retry", remedy: "Check the secret store and the right to reach it." },
  "journal-unavailable": { disposition: "retry", remedy: "Check the journal and the right to reach it." },
  "bus-unavailable": {
    disposition: "retry",
    remedy: "Check the event bus; agents still read on their slow pulse.",
  },
  "audit-unavailable": { disposition: "retry", remedy: "Check the audit log's storage." },
  "not-proven": {
    disposition: "retry",
    remedy: "Look at the target: it accepts what it should refuse, or does not say.",
  },
  "role-lacks-rights": {
    disposition: "retry",
    remedy:
      "Grant the function's or your own role what the message names; a fresh grant takes seconds to hold.",
  },
  conflict: { disposition: "retry", remedy: "Another worker moved first; read again." },

  // What was asked for cannot be done as it stands.
  "tls-failed": {
    disposition: "reject",
    remedy: "Give the CA that signed the server's certificate, and the name it is for.",
  },
  "config-invalid": { disposition: "reject", remedy: "Correct the field named in the manifest." },
  "credential-invalid": { disposition: "reject", remedy: "Store a value that has the fields named." },
  "secret-missing": {
    disposition: "reject",
    remedy: "Store the secret named, for example by `keyturn init`.",
  },
  "admin-refused": {
    disposition: "reject",
    remedy: "Give the right administering login; `keyturn put` stores it.",
  },
  "admin-lacks-rights": {
    disposition: "reject",
    remedy: "Grant what the message names; `keyturn init` prints the SQL.",
  },
  "not-managed": {
    disposition: "reject",
    remedy: "Rename it, or hand it over explicitly; Keyturn takes over nothing by itself.",
  },
  "login-refused": { disposition: "reject", remedy: "Look who else changes this credential at the target." },
  "not-authenticated": {
    disposition: "reject",
    remedy: "Make the target ask for the password (no `trust`, SCRAM only).",
  },
  "access-differs": {
    disposition: "reject",
    remedy: "Give the new login what the old one has, as the message lists.",
  },
  "target-rejected": { disposition: "reject", remedy: "Read the target's answer in the message." },
  "request-refused": { disposition: "reject", remedy: "Read the reason in the message." },
  "input-invalid": { disposition: "reject", remedy: "Correct the argument or the input named." },
  "manifest-invalid": {
    disposition: "reject",
    remedy: "Correct what the message names; `keyturn init` makes a manifest where there is none.",
  },
  "access-denied": { disposition: "reject", remedy: "Use a token that is enrolled for this secret's fleet." },
  "key-missing": {
    disposition: "reject",
    remedy:
      "Give the store's key by its file or the environment; on AWS, restore the secret with the fingerprint keys.",
  },

  // A person has to look.
  superseded: {
    disposition: "halt",
    remedy: "Another installation, or a later epoch than the journal's, holds the target.",
  },
  "fence-conflict": {
    disposition: "halt",
    remedy: "Two rotations claim one epoch: look for a second installation on this target.",
  },
  "pending-lost": {
    disposition: "halt",
    remedy: "The pending value is gone from the store; cancel, then rotate.",
  },
  "current-broken": {
    disposition: "halt",
    remedy: "Neither the new nor the old credential is accepted; look at the target.",
  },
  "schema-newer": { disposition: "halt", remedy: "Upgrade Keyturn: a newer one has written this record." },
  "data-broken": {
    disposition: "halt",
    remedy: "Restore the file named from a backup.",
  },
  internal: {
    disposition: "halt",
    remedy: "This is a defect of Keyturn; report it with the message and the code.",
  },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof table;

export const errorCodes: readonly ErrorCode[] = Object.keys(table).filter((code) => isErrorCode(code));

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(table, code);
}

/** The one error of Keyturn. Adapters translate foreign errors into it at the edge. */
export class KeyturnError extends Error {
  override readonly name = "KeyturnError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  get disposition(): Disposition {
    return table[this.code].disposition;
  }

  get remedy(): string {
    return table[this.code].remedy;
  }
}

/** Whatever was thrown, as a KeyturnError: what no adapter translated is a defect, and called so. */
export function asKeyturnError(thrown: unknown): KeyturnError {
  if (thrown instanceof KeyturnError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new KeyturnError("internal", message, { cause: thrown });
}
