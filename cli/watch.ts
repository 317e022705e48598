import { setTimeout as sleep } from "node:timers/promises";
import { Command, Option } from "commander";
import type { AuditEntry } from "../core/audit.ts";
import { KeyturnError } from "../core/errors.ts";
import type { RotationRecord } from "../core/record.ts";
import { seconds } from "./ask.ts";
import { action, type CommandContext } from "./command.ts";
import { eachSecret } from "./each-secret.ts";
import { entriesAfter } from "./entries-after.ts";
import { exitCodes } from "./exit.ts";
import { type OpenManifest, type OpenSecret, openManifest } from "./open.ts";
import type { SecretStatus } from "./results/status.ts";
import type { WatchResult } from "./results/watch.ts";
import { describeSecret } from "./secret-status.ts";
import { duration, short, type Terminal } from "./terminal.ts";

const phases = ["create", "set", "test", "finish", "announce", "grace", "retire", "undo", "halted"] as const;
const goals = ["idle", "retired", ...phases] as const;
type Goal = (typeof goals)[number];

interface WatchOptions {
  readonly until?: Goal;
  /** Seconds. */
  readonly timeout?: number;
}

/** A few secrets are looked at more often than many. */
const few = 50;
const lookMs = { few: 250, many: 1_000 } as const;

export function watchCommand(): Command {
  const command = new Command("watch")
    .description("what happens, as it happens: a live page in a terminal, a line for each change in a pipe")
    .argument("[secret]", "one secret; without it, all of them")
    .addOption(
      new Option("--until <goal>", "end when every secret is there, or was there since").choices([...goals]),
    )
    .option("--timeout <seconds>", "end with exit code 5 if it is not there by then", seconds)
    .addHelpText(
      "after",
      `
\`retired\` is idle, and nothing is owed any more. Where a rotation is halted the watch for a goal ends with exit code 7.
Ctrl-C ends it and leaves the last page; exit code 0, or 130 where a goal was not reached.

Example:
  $ keyturn watch
  $ keyturn watch billing/db --until retired --timeout 600`,
    );
  return command.action(action(command, watch));
}

async function watch(
  { manifestPath, terminal, signal }: CommandContext,
  ref: string | undefined,
  options: WatchOptions,
): Promise<number> {
  await using opened = await openManifest(manifestPath);
  if (ref !== undefined) await opened.secret(ref);
  const refs = ref === undefined ? opened.manifest.secrets.refs() : [ref];
  const live = process.stdout.isTTY && !terminal.json;
  if (!live) terminal.say(`watching ${refs.length === 1 ? refs[0] : `${refs.length} secrets`}`);
  const show = live ? await showPage(ref, refs.length) : showLines(terminal);
  try {
    return await untilReached(new Watched(opened, refs, live), show, options, signal);
  } catch (thrown) {
    if (!signal.aborted) throw thrown;
    return options.until === undefined ? exitCodes.done : exitCodes.interrupted;
  } finally {
    show.end();
  }
}

async function untilReached(
  watched: Watched,
  show: Show,
  { until, timeout }: WatchOptions,
  signal: AbortSignal,
): Promise<number> {
  const deadline = timeout === undefined ? Number.POSITIVE_INFINITY : Date.now() + timeout * 1_000;
  for (;;) {
    const seen = await watched.look();
    if (!(await show.show(seen))) return exitCodes.done;
    const code = until === undefined ? undefined : codeOf(until, watched, seen);
    if (code !== undefined) return code;
    if (Date.now() >= deadline) {
      throw new KeyturnError("timeout", `not ${until ?? "ended"} after ${duration((timeout ?? 0) * 1_000)}`);
    }
    const pause = Math.min(watched.count > few ? lookMs.many : lookMs.few, deadline - Date.now());
    await sleep(Math.max(0, pause), undefined, { signal });
  }
}

/** The exit code, once the goal is reached, or cannot be reached any more without a person. */
function codeOf(until: Goal, watched: Watched, seen: readonly Seen[]): number | undefined {
  if (watched.isReached(until)) return exitCodes.done;
  const isHalted = seen.some(({ record }) => record?.state.phase === "halted");
  if (isHalted && until !== "halted") return exitCodes.halted;
  const [unseen] = seen;
  // Nobody waits for a goal in a store that could never be read from here.
  if (!watched.hasSeen && unseen?.error !== undefined) throw unseen.error;
  return undefined;
}

/** One look at one secret. */
export interface Seen {
  readonly ref: string;
  readonly record: RotationRecord | undefined;
  /** For a page only. */
  readonly status: SecretStatus | undefined;
  /** What has happened since the look before; nothing at the first. */
  readonly changes: readonly AuditEntry[];
  readonly error: KeyturnError | undefined;
}

class Watched {
  readonly #opened: OpenManifest;
  readonly #refs: readonly string[];
  readonly #withStatus: boolean;
  readonly #sequences = new Map<string, number>();
  readonly #records = new Map<string, RotationRecord | undefined>();
  /** What each secret went through since the watch began: a phase may pass between two looks. */
  readonly #passed = new Map<string, Set<string>>();

  constructor(opened: OpenManifest, refs: readonly string[], withStatus: boolean) {
    this.#opened = opened;
    this.#refs = refs;
    this.#withStatus = withStatus;
  }

  get count(): number {
    return this.#refs.length;
  }

  async look(): Promise<readonly Seen[]> {
    const each = await eachSecret(this.#opened, this.#refs, (secret) => this.#lookAt(secret));
    return each.map((one) => {
      if ("result" in one) return one.result;
      return { ref: one.ref, record: undefined, status: undefined, changes: [], error: one.error };
    });
  }

  /** Whether anything could be read at any look. */
  get hasSeen(): boolean {
    return this.#records.size > 0;
  }

  isReached(goal: Goal): boolean {
    return this.#refs.every((ref) => {
      // What could never be read is nowhere yet.
      if (!this.#records.has(ref)) return false;
      const record = this.#records.get(ref);
      return isAt(goal, record) || this.#passed.get(ref)?.has(goal) === true;
    });
  }

  async #lookAt(secret: OpenSecret): Promise<Seen> {
    const { ports, managed } = secret;
    const { ref } = managed;
    const record = (await ports.journal.load(ref))?.record;
    const before = this.#sequences.get(ref);
    const isFirst = !this.#records.has(ref);
    const changes = record === undefined || isFirst ? [] : await entriesAfter(before ?? 0, record, ports);
    this.#sequences.set(ref, record?.audit.sequence ?? 0);
    this.#records.set(ref, record);
    const passed = this.#passed.get(ref) ?? new Set();
    this.#passed.set(ref, passed);
    for (const { action: what } of changes) passed.add(what.split(".")[0] ?? "");
    const status = this.#withStatus ? await describeSecret(secret) : undefined;
    return { ref, record, status, changes, error: undefined };
  }
}

function isAt(goal: Goal, record: RotationRecord | undefined): boolean {
  const rests = record === undefined || (record.state.phase === "idle" && record.wish === undefined);
  if (goal === "idle") return rests;
  if (goal === "retired") return rests && (record?.debts ?? []).length === 0;
  return record?.state.phase === goal;
}

interface Show {
  /** False: nobody reads any more. */
  show(seen: readonly Seen[]): Promise<boolean>;
  end(): void;
}

/** What draws is only loaded where something is drawn: the other commands start sooner without it. */
async function showPage(ref: string | undefined, count: number): Promise<Show> {
  const { openPage } = await import("./watch-page.ts");
  const live = openPage(ref ?? `${count} secrets`);
  return {
    show: async (seen) => {
      live.show(seen);
      return true;
    },
    end: () => live.end(),
  };
}

function showLines(terminal: Terminal): Show {
  const told = new Set<string>();
  const warnOnce = (line: string): void => {
    if (!told.has(line)) terminal.warn(line);
    told.add(line);
  };
  return {
    show: async (seen) => {
      for (const { ref, error } of seen) {
        if (error !== undefined) warnOnce(`${ref}  ${error.code}: ${error.message}`);
      }
      const lines = seen
        .flatMap(changesOf)
        .toSorted((a, b) => a.at.localeCompare(b.at))
        .map((change) => (terminal.json ? JSON.stringify(change) : lineOf(change)));
      return lines.length === 0 || terminal.line(lines.join("\n"));
    },
    end: () => undefined,
  };
}

function changesOf({ record, changes }: Seen): readonly WatchResult[] {
  return changes.map(({ ref, at, sequence, action: what, actor, epoch, version, detail }) => ({
    ref,
    at: new Date(at).toISOString(),
    sequence,
    action: what,
    actor,
    epoch,
    version,
    detail,
    phase: record?.state.phase ?? "not begun",
  }));
}

function lineOf({ at, ref, action: what, version, detail }: WatchResult): string {
  return `${at}  ${ref}  ${what.padEnd(20)} ${short(version)}  ${detail}`.trimEnd();
}
