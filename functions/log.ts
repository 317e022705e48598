import type { Log } from "../core/ports.ts";

/** A line of JSON for each message, as CloudWatch reads it. Of an error it tells what names it: others' messages may quote a value. */
export const log: Log = (level, message, fields = {}) => {
  const told = Object.entries(fields).map(([name, value]) => [
    name,
    value instanceof Error ? value.name : value,
  ]);
  const line = { level, message, ...Object.fromEntries(told) };
  // Whatever a field is called, the line says what it is.
  console.log(JSON.stringify({ ...line, level, message }));
};
