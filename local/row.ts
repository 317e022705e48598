import type { SQLOutputValue } from "node:sqlite";
import { KeyturnError } from "../core/errors.ts";

/** A row of a table, whose columns have the types that they should have or are told as broken. */
export class Row {
  readonly #values: Readonly<Record<string, SQLOutputValue>>;
  readonly #path: string;

  constructor(values: Readonly<Record<string, SQLOutputValue>>, path: string) {
    this.#values = values;
    this.#path = path;
  }

  text(column: string): string {
    const value = this.#values[column];
    return typeof value === "string" ? value : this.#broken(column);
  }

  number(column: string): number {
    const value = this.#values[column];
    return typeof value === "number" ? value : this.#broken(column);
  }

  bytes(column: string): Uint8Array {
    const value = this.#values[column];
    return value instanceof Uint8Array ? value : this.#broken(column);
  }

  json(column: string): unknown {
    const text = this.text(column);
    try {
      return JSON.parse(text);
    } catch {
      return this.#broken(column);
    }
  }

  optionalText(column: string): string | undefined {
    return this.has(column) ? this.text(column) : undefined;
  }

  optionalNumber(column: string): number | undefined {
    return this.has(column) ? this.number(column) : undefined;
  }

  has(column: string): boolean {
    return this.#values[column] !== null && this.#values[column] !== undefined;
  }

  #broken(column: string): never {
    throw new KeyturnError("data-broken", `${this.#path} has a row whose ${column} cannot be read`);
  }
}
