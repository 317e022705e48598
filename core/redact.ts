import type { Log } from "./ports.ts";
import type { Secret } from "./secret.ts";

const shown = "[redacted]";
/** Shorter texts would be found by chance in harmless words. */
const lengthMin = 4;

/** Takes the live values out of every text that leaves: messages, causes, log fields. */
export class Redactor {
  readonly #texts = new Set<string>();

  /** From now on this value, in the spellings in which systems repeat it, is taken out. */
  add(secret: Secret): void {
    const value = secret.reveal();
    if (value.length < lengthMin) return;
    const spellings = [
      value,
      encodeURIComponent(value.toWellFormed()),
      JSON.stringify(value).slice(1, -1),
      Buffer.from(value).toString("base64"),
    ];
    for (const spelling of spellings) this.#texts.add(spelling);
  }

  redact(text: string): string {
    const longestFirst = [...this.#texts].sort((one, other) => other.length - one.length);
    return longestFirst.reduce((clean, value) => clean.replaceAll(value, shown), text);
  }

  /** The same for a value of any shape, through the text that a log would make of it. */
  redactFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
    return Object.fromEntries(
      Object.entries(fields).map(([name, field]) => [name, this.#redactField(field)]),
    );
  }

  #redactField(field: unknown): unknown {
    if (field instanceof Error) return this.redact(describeError(field));
    if (typeof field === "string") return this.redact(field);
    if (typeof field !== "object" || field === null) return field;
    if (Array.isArray(field)) return field.map((item) => this.#redactField(item));
    return this.redactFields({ ...field });
  }
}

/** A log that cannot print what the redactor knows. */
export function redactingLog(log: Log, redactor: Redactor): Log {
  return (level, message, fields) =>
    log(level, redactor.redact(message), fields && redactor.redactFields(fields));
}

/** Message and causes, without stacks: what a person needs, in one line. */
function describeError(error: Error): string {
  const cause = error.cause instanceof Error ? `; caused by ${describeError(error.cause)}` : "";
  return `${error.name}: ${error.message}${cause}`;
}
