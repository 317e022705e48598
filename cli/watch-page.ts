import { createLogUpdate } from "log-update";
import type { SecretStatus } from "./results/status.ts";
import { isAlarming, isAtRest, page, table } from "./status-page.ts";
import { oneLine, printable, short } from "./terminal.ts";
import type { Seen } from "./watch.ts";

interface LivePage {
  show(seen: readonly Seen[]): void;
  /** Leaves the last page where it is. */
  end(): void;
}

/** How many of the last changes are kept in sight. */
const changesMax = 8;

/** A page that is drawn anew in place when it has changed, and when the window has. */
export function openPage(title: string): LivePage {
  const draw = createLogUpdate(process.stdout);
  const changes: string[] = [];
  let last: readonly Seen[] = [];
  let drawn = "";
  const redraw = (): void => {
    const text = pageOf(title, last, changes, process.stdout.rows ?? 24, process.stdout.columns ?? 80);
    if (text !== drawn) draw(text);
    drawn = text;
  };
  const resized = (): void => {
    draw.clear();
    drawn = "";
    redraw();
  };
  process.stdout.on("resize", resized);
  return {
    show: (seen) => {
      last = seen;
      const lines = seen
        .flatMap((one) => one.changes)
        .toSorted((a, b) => a.at - b.at)
        .map(({ at, ref, action, version, detail }) =>
          oneLine(
            `${new Date(at).toISOString().slice(11, 19)}  ${ref}  ${action}  ${short(version)}  ${detail}`,
          ),
        );
      changes.push(...lines);
      changes.splice(0, Math.max(0, changes.length - changesMax));
      redraw();
    },
    end: () => {
      process.stdout.off("resize", resized);
      draw.done();
    },
  };
}

/** As much as fits: what needs a person first, then what is under way, then what rests. */
function pageOf(
  title: string,
  seen: readonly Seen[],
  changes: readonly string[],
  rows: number,
  columns: number,
): string {
  const known = seen.flatMap(({ status }) => status ?? []);
  const broken = seen.flatMap(({ ref, error }) =>
    error === undefined ? [] : [oneLine(`${ref}  ${error.code}: ${error.message}`)],
  );
  const head = [`${title}: ${summary(known)}   (Ctrl-C ends)`, ""];
  const tail = changes.length === 0 ? [] : ["", ...changes];
  const [only] = known;
  const room = Math.max(3, rows - 1 - head.length - broken.length - tail.length);
  const body =
    known.length === 1 && only !== undefined ? printable(page(only)).split("\n") : list(known, room, columns);
  return [...head, ...body, ...broken, ...tail].map((line) => cut(line, columns)).join("\n");
}

function list(secrets: readonly SecretStatus[], room: number, columns: number): readonly string[] {
  if (secrets.length === 0) return ["no secret can be read"];
  const byUrgency = secrets.toSorted((a, b) => urgency(a) - urgency(b));
  // The head of the table needs a line, and so does the word of what is left out.
  const shown = byUrgency.slice(0, byUrgency.length < room ? byUrgency.length : Math.max(1, room - 2));
  const left = byUrgency.length - shown.length;
  const lines = table(shown, columns).split("\n");
  return left === 0 ? lines : [...lines, `and ${left} more`];
}

function urgency(secret: SecretStatus): number {
  if (isAlarming(secret)) return 0;
  return isAtRest(secret) ? 2 : 1;
}

function summary(secrets: readonly SecretStatus[]): string {
  const counts = new Map<string, number>();
  const add = (word: string): void => void counts.set(word, (counts.get(word) ?? 0) + 1);
  for (const secret of secrets) {
    add(secret.phase);
    if (secret.paused !== undefined) add("paused");
    if (secret.debts.length > 0) add("owing");
  }
  return [...counts].map(([word, count]) => `${count} ${word}`).join(", ");
}

/** A line that is longer than the window would be two, and the page would no longer fit. Coloured lines were cut before. */
function cut(line: string, columns: number): string {
  return line.length > columns && !line.includes("\u001b") ? `${line.slice(0, columns - 1)}…` : line;
}
