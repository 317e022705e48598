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
  /** One of many lines of a result, for person and machine alike. False: nobody reads any more. Waits for a reader that is slow. */
  line(text: string): Promise<boolean>;
}

export function terminal(json: boolean): Terminal {
  outliveReaders();
  const colour = (style: "dim" | "yellow", text: string): string =>
    styleText(style, printable(text), { stream: process.stderr });
  return {
    json,
    say: (line) => void (json || process.stderr.write(`${colour("dim", line)}\n`)),
    show: (text) => void (json || process.stdout.write(`${printable(text)}\n`)),
    result: (value) => void (json && process.stdout.write(`${JSON.stringify(value)}\n`)),
    warn: (line) => void process.stderr.write(`${colour("yellow", line)}\n`),
    line: (text) => write(`${text}\n`),
  };
}

/** Whoever read has gone, or the disk is full: there is nobody left to tell, and what is under way goes on to its end. */
export function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) {
    if (stream.listenerCount("error") === 0) stream.on("error", () => undefined);
  }
}

function write(text: string): Promise<boolean> {
  return new Promise((resolve) => {
    process.stdout.write(text, (failure) => resolve(failure === undefined || failure === null));
  });
}

/** What servers and agents call themselves is shown to a person: it must not steer the terminal. The colours that we use may pass. */
export function printable(text: string): string {
  return text.replaceAll(
    /(\u001b\[(?:2|22|31|33|39)m)|[^\P{Cc}\n\t]|[\u202a-\u202e\u2066-\u2069]/gu,
    (_, colour: string | undefined) => colour ?? "\u{fffd}",
  );
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

/** A table's look: columns, and nothing between them. */
export const borderless = {
  chars: {
    top: "",
    "top-mid": "",
    "top-left": "",
    "top-right": "",
    bottom: "",
    "bottom-mid": "",
    "bottom-left": "",
    "bottom-right": "",
    left: "",
    "left-mid": "",
    mid: "",
    "mid-mid": "",
    right: "",
    "right-mid": "",
    middle: "",
  },
  style: { head: [], border: [], "padding-left": 0, "padding-right": 2 },
};

const cellMax = 100;

/** The text of a cell: one line, and not an endless one. */
export function oneLine(text: string): string {
  const line = printable(text).replaceAll(/\s+/g, " ");
  return line.length > cellMax ? `${line.slice(0, cellMax - 1)}…` : line;
}
