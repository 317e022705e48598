import type { Log } from "../core/ports.ts";

const levels = ["debug", "info", "warn", "error"] as const;

/** One line each to standard error: for a person, or as JSON for a collector. */
export function lineLog(json: boolean, least: (typeof levels)[number]): Log {
  return (level, message, fields = {}) => {
    if (levels.indexOf(level) < levels.indexOf(least)) return;
    const time = new Date().toISOString();
    const line = json
      ? JSON.stringify({ time, level, message, ...fields })
      : `${time} ${level.padEnd(5)} ${message}${words(fields)}`;
    process.stderr.write(`${line}\n`);
  };
}

function words(fields: Readonly<Record<string, unknown>>): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined && value !== null)
    .map(([name, value]) => `  ${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join("");
}
