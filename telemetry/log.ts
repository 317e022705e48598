import { pino } from "pino";
import type { Log } from "../core/ports.ts";
import { exportLine } from "./log-export.ts";
import { readable } from "./readable.ts";
import { secretFieldPaths } from "./secret-fields.ts";
import { traceFields } from "./trace-fields.ts";

const levels = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof levels)[number];

export interface LogOptions {
  /** JSON for a collector; otherwise for a person. */
  readonly json: boolean;
  /** What is less than that is not written. */
  readonly least: LogLevel;
  readonly write: (text: string) => void;
}

/**
 * One line for each message. Values never come here: core takes them out. What has the name of a secret field is taken out once more,
 * whoever wrote it.
 */
export function lineLog({ json, least, write }: LogOptions): Log {
  const stream = {
    write: (line: string): void => {
      write(json ? line : readable(line));
      exportLine(line);
    },
  };
  const logger = pino(
    {
      base: null,
      level: least,
      messageKey: "message",
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
      redact: { paths: [...secretFieldPaths], censor: "[redacted]" },
    },
    stream,
  );
  return (level, message, fields = {}) => logger[level]({ ...traceFields(), ...plain(fields) }, message);
}

/** The level that LOG_LEVEL names; undefined for any other word, which may be another program's. */
export function levelNamed(name: string | undefined): LogLevel | undefined {
  return levels.find((level) => level === name?.trim().toLowerCase());
}

/** The line's own names. A reason goes by another one, so that both are read. */
const taken: Readonly<Record<string, string>> = { message: "reason", level: "level_", time: "time_" };

function plain(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields)
      .filter(([, value]) => value !== undefined && value !== null)
      .map(([name, value]) => [
        taken[name] ?? name,
        value instanceof Error ? `${value.name}: ${value.message}` : value,
      ]),
  );
}
