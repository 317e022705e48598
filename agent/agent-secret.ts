import { KeyturnError } from "../core/errors.ts";
import type { SecretReply } from "../core/protocol.ts";
import { Secret } from "../core/secret.ts";

/** One version of a secret as an agent reads it. However it is printed, its value reads `[secret]`. */
export class AgentSecret {
  readonly ref: string;
  readonly version: string;
  readonly overlap: SecretReply["overlap"];
  /** The JSON text of the credential. */
  readonly value: Secret;

  constructor(reply: SecretReply) {
    this.ref = reply.ref;
    this.version = reply.version;
    this.overlap = reply.overlap;
    this.value = new Secret(reply.value);
  }

  /** The credential, parsed anew at every call: what is kept is only the `Secret`. */
  json(): Readonly<Record<string, unknown>> {
    const parsed = parse(this.value.reveal());
    if (isRecord(parsed)) return parsed;
    throw this.#unusable("is not a JSON object");
  }

  /** One field as text; numbers are written out. Throws `credential-invalid` that names the field when there is none. */
  field(name: string): string {
    const field = this.json()[name];
    if (typeof field === "string" && field !== "") return field;
    if (typeof field === "number") return String(field);
    throw this.#unusable(`has no field ${name}`);
  }

  #unusable(problem: string): KeyturnError {
    return new KeyturnError("credential-invalid", `version ${this.version} of ${this.ref} ${problem}`);
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, which is the secret.
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
