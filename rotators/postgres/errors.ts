import { type ErrorCode, KeyturnError } from "../../core/errors.ts";

/** Who was speaking with the server when it failed. */
export type Speaker = "administrator" | "credential";

/** What PostgreSQL's states mean to us; by the whole state first, then by its class. */
const bySqlState: Readonly<Record<string, ErrorCode>> = {
  // Raised by the fence itself.
  KT001: "superseded",
  KT002: "fence-conflict",
  KT003: "not-managed",
  KT004: "config-invalid",
  KT005: "target-busy",
  KT006: "credential-invalid",
  KT007: "not-proven",
  // What a pooler says to settings that it does not know: the administering login has to go past it.
  "08P01": "target-rejected",
  "08": "unreachable",
  "25006": "unreachable",
  "3D000": "config-invalid",
  "40": "target-busy",
  "53": "target-busy",
  "55P03": "target-busy",
  "55006": "target-busy",
  "57014": "timeout",
  "57P": "unreachable",
  // Two changes of one role that met; PostgreSQL has no state of its own for it.
  XX000: "target-busy",
};

const bySpeaker: Readonly<Record<Speaker, Readonly<Record<string, ErrorCode>>>> = {
  administrator: { "28P01": "admin-refused", "28000": "admin-refused", "42501": "admin-lacks-rights" },
  credential: { "28P01": "login-refused", "28000": "login-refused", "42501": "access-differs" },
};

const silence = /ETIMEDOUT|timeout/i;

/**
 * What Node and the driver say when the server itself says nothing. Silence is a matter of the way to the server: a statement that takes too long the server
 * ends, and says so.
 */
const byWords: readonly (readonly [RegExp, ErrorCode])[] = [
  [/^(ECONN\w*|ENOTFOUND|EAI_\w+|EHOST\w+|ENET\w+|EPIPE)\b|Connection terminated/, "unreachable"],
  [silence, "unreachable"],
  [/^SASL/, "not-authenticated"],
  [/CERT|SSL|TLS|SIGNATURE|EPROTO|ISSUER|altnames/, "tls-failed"],
];

/** A failure of the driver, the network or the server as a KeyturnError, whose message quotes no statement and no value. */
export function translate(
  thrown: unknown,
  at: { readonly speaker: Speaker; readonly where: string; readonly signal: AbortSignal },
): KeyturnError {
  if (at.signal.aborted) return new KeyturnError("timeout", `${at.where}: the step's time ran out`);
  if (thrown instanceof KeyturnError) return thrown;
  const { code, message, detail } = read(thrown);
  const state = sqlState(code);
  if (state !== undefined) {
    const meaning = bySpeaker[at.speaker][state] ?? byState(state) ?? "target-rejected";
    // Of a missing right the detail says which one; other details may quote values.
    const right = state === "42501" && detail !== "" ? ` (${detail})` : "";
    const suffix = meaning === "target-rejected" || state === "XX000" ? ` (SQLSTATE ${state})` : right;
    // Only the state goes along: the driver's error quotes the statement, and so the verifier in it.
    return new KeyturnError(meaning, `${at.where}: ${withoutVerifier(message)}${suffix}`, {
      cause: { sqlState: state },
    });
  }
  const words = `${code} ${message}`.trim();
  const found = byWords.find(([pattern]) => pattern.test(words));
  if (found !== undefined) {
    return new KeyturnError(
      found[1],
      `${at.where}: ${silence.test(words) ? "no answer in time: " : ""}${words}`,
    );
  }
  return new KeyturnError("target-rejected", `${at.where}: ${withoutVerifier(words)}`);
}

/** The server's own state behind an error, if it was the server that spoke. */
export function sqlStateOf(error: unknown): string | undefined {
  if (!(error instanceof KeyturnError) || typeof error.cause !== "object" || error.cause === null)
    return undefined;
  const state: unknown = Reflect.get(error.cause, "sqlState");
  return typeof state === "string" ? state : undefined;
}

function read(thrown: unknown): { code: string; message: string; detail: string } {
  if (!(thrown instanceof Error)) return { code: "", message: String(thrown), detail: "" };
  const text = (field: string): string => {
    const value: unknown = Reflect.get(thrown, field);
    return typeof value === "string" ? value : "";
  };
  return { code: text("code"), message: thrown.message, detail: text("detail") };
}

/** Node's codes are words (`EPIPE` is five letters too), the server's have a digit in them. */
function sqlState(code: string): string | undefined {
  return /^(?=.*\d)[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

function byState(state: string): ErrorCode | undefined {
  return bySqlState[state] ?? bySqlState[state.slice(0, 3)] ?? bySqlState[state.slice(0, 2)];
}

function withoutVerifier(message: string): string {
  return message.replaceAll(/SCRAM-SHA-256\$[^\s'"]*/g, "[verifier]");
}
