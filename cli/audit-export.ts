import { Command, InvalidArgumentError, Option } from "commander";
import type { AuditEntry } from "../core/audit.ts";
import { KeyturnError } from "../core/errors.ts";
import type { Ports } from "../core/ports.ts";
import { action, type CommandContext } from "./command.ts";
import { exitCodes } from "./exit.ts";
import { openManifest } from "./open.ts";
import type { Terminal } from "./terminal.ts";

interface ExportOptions {
  readonly format: "jsonl" | "csv";
  /** Milliseconds since 1970 UTC. */
  readonly since?: number;
}

/** In the order in which they are hashed, the hash itself last. */
const columns = [
  "ref",
  "sequence",
  "at",
  "actor",
  "action",
  "epoch",
  "version",
  "detail",
  "previousHash",
  "hash",
] as const satisfies readonly (keyof AuditEntry)[];

export function auditExportCommand(): Command {
  const command = new Command("export")
    .description(
      "every entry with its hashes, to standard output, so that a third party can verify and keep them",
    )
    .argument("[secret]", "one secret; without it, all that have an audit")
    .addOption(
      new Option("--format <format>", "one JSON object a line, or CSV")
        .choices(["jsonl", "csv"])
        .default("jsonl"),
    )
    .option(
      "--since <time>",
      "entries from that time on, such as 2026-01-01 or 2026-01-01T12:00:00Z",
      isoTime,
    )
    .addHelpText(
      "after",
      `
\`hash\` is the SHA-256, in hex, of the JSON array of all other fields in the order of the export, null for what is absent;
\`previousHash\` is the hash of the secret's entry before, empty for the first. In CSV a cell that a spreadsheet
would take for a formula begins with an apostrophe, which is no part of it.

Example:
  $ keyturn audit export > audit.jsonl
  $ keyturn audit export billing/db --format csv --since 2026-01-01 > audit.csv`,
    );
  return command.action(action(command, exportAll));
}

async function exportAll(
  { manifestPath, terminal, signal }: CommandContext,
  ref: string | undefined,
  { format, since = 0 }: ExportOptions,
): Promise<number> {
  await using opened = await openManifest(manifestPath);
  if (format === "csv" && !(await terminal.line(columns.join(",")))) return exitCodes.done;
  let known = false;
  for (const { ports } of await opened.stores()) {
    for (const chain of await chainsOf(ports, ref)) {
      known = true;
      const lines = linesOf(wholeChain(chain, ports), format, since);
      if (!(await printAll(lines, terminal, signal))) return exitCodes.done;
    }
  }
  if (ref !== undefined && !known) {
    throw new KeyturnError("input-invalid", `no store of ${opened.manifest.path} has an audit of ${ref}`);
  }
  return exitCodes.done;
}

/** False: nobody reads any more. */
async function printAll(
  lines: AsyncIterable<string>,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<boolean> {
  for await (const line of lines) {
    signal.throwIfAborted();
    if (!(await terminal.line(line))) return false;
  }
  return true;
}

/** With what still waits in the outbox: it has its place in the chain already. */
async function* wholeChain(
  ref: string,
  { audit, journal }: Pick<Ports, "audit" | "journal">,
): AsyncIterable<AuditEntry> {
  // Before the chain: what leaves the outbox meanwhile is read there.
  const unsent = (await journal.load(ref))?.record.outbox.entries ?? [];
  let last = 0;
  for await (const entry of audit.read(ref)) {
    yield entry;
    last = entry.sequence;
  }
  yield* unsent.filter(({ sequence }) => sequence > last);
}

async function* linesOf(
  entries: AsyncIterable<AuditEntry>,
  format: ExportOptions["format"],
  since: number,
): AsyncIterable<string> {
  for await (const entry of entries) {
    if (entry.at >= since) yield format === "csv" ? csvLine(entry) : jsonLine(entry);
  }
}

/** Also of secrets that left the manifest: what happened stays. */
async function chainsOf(
  { audit, journal }: Pick<Ports, "audit" | "journal">,
  ref: string | undefined,
): Promise<readonly string[]> {
  const refs = [...new Set([...(await audit.refs()), ...(await journal.refs())])];
  return ref === undefined ? refs.toSorted() : refs.filter((known) => known === ref);
}

function jsonLine(entry: AuditEntry): string {
  return JSON.stringify(entry, [...columns]);
}

function csvLine(entry: AuditEntry): string {
  return columns.map((name) => csvCell(entry[name])).join(",");
}

function csvCell(value: string | number | undefined): string {
  if (typeof value === "number") return String(value);
  const text = value ?? "";
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

function isoTime(text: string): number {
  const time = /^\d{4}-\d{2}-\d{2}([T ].*)?$/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(time)) return time;
  throw new InvalidArgumentError("It must be a day or a time, such as 2026-01-01 or 2026-01-01T12:00:00Z.");
}
