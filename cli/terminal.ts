import { styleText } from "node:util";

/** Where a command writes: results to standard output, everything else to standard error, so that a pipe gets results only. */
export interface Terminal {
  readonly json: boolean;
  /** Progress and hints; nothing in JSON mode. */
  say(line: string): void;
  /** The result for a person; nothing in JSON mode. */
  show(text: string): void;
  /** The result for a machine: one line of JSON; nothing otherwise. */
  result(value: unknown): void;
  warn(line: string): void;
}

export function terminal(json: boolean): Terminal {
  // Whoever read has gone, or the disk is full: there is nobody left to tell, and what is under way goes on to its end.
  for (const stream of [process.stdout, process.stderr]) {
    if (stream.listenerCount("error") === 0) stream.on("error", () => undefined);
  }
  const colour = (style: "dim" | "yellow", text: string): string =>
    styleText(style, text, { stream: process.stderr });
  return {
    json,
    say: (line) => void (json || process.stderr.write(`${colour("dim", line)}\n`)),
    show: (text) => void (json || process.stdout.write(`${text}\n`)),
    result: (value) => void (json && process.stdout.write(`${JSON.stringify(value)}\n`)),
    warn: (line) => void process.stderr.write(`${colour("yellow", line)}\n`),
  };
}

/** Milliseconds in the words of a person: 850 ms, 12.4 s, 3 min, 5 h, 12 d. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000)} d`;
}

/** The first eight characters of a version: enough to tell versions apart on a screen. */
export function short(version: string | undefined): string {
  return version?.slice(0, 8) ?? "none";
}
