import { randomInt } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KnownRuns } from "./known.ts";
import { Lane } from "./lane.ts";
import { emptyCounts, picture, type Row, shortcomings, summary } from "./matrix.ts";
import { type Options, parseOptions, usage, writingCommand } from "./options.ts";
import { stale, writePages, written } from "./pages.ts";
import { loadPlace } from "./places.ts";
import { nameOf, plan } from "./plan.ts";
import { startServer } from "./postgres.ts";
import { run } from "./run.ts";
import { subjectsOn } from "./subjects.ts";

/**
 * `npm run faults`: a worker process on a real PostgreSQL and a place for its ports meets every fault at its boundaries, and then what the cases say; a
 * reader looks on. Prints the matrix; its last line is the sum.
 */
const options = parseOptions(process.argv.slice(2));
if (typeof options === "string") {
  process.stderr.write(`${options}\n\n${usage}\n`);
  process.exit(2);
}
if (options.help) {
  process.stdout.write(`${usage}\n`);
  process.exit(0);
}
const lanesCount = 4;
const progressMs = 60_000;
// One for every worker that is killed, for as long as it lives.
process.setMaxListeners(100);
const say = (line: string) => void process.stderr.write(`${line}\n`);
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

const began = performance.now();
const seed = options.seed ?? randomInt(1_000_000);
const place = await loadPlace(options.place);
const rows = await matrix(options);
say(`seed ${seed}, ${Math.round((performance.now() - began) / 1_000)} s`);
if (options.write) writePages(options.place, rows);
if (options.json) process.stdout.write(`${JSON.stringify({ seed, rows, summary: summary(rows) })}\n`);
else process.stdout.write(`${picture(rows)}\n${summary(rows)}\n`);
const old = stale(rows, written("docs/faults.md", options.place));
const wrong = [...shortcomings(rows), ...old];
if (old.length > 0) wrong.push(`write docs/faults.md anew: ${writingCommand(options.place)}`);
for (const line of wrong) say(line);
process.exit(wrong.length === 0 ? 0 : 1);

async function matrix(asked: Options): Promise<readonly Row[]> {
  const directory = mkdtempSync(join(tmpdir(), "keyturn-faults-"));
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  const [server, started] = await Promise.all([startServer(), place.start()]);
  const rooms = Array.from({ length: lanesCount }, (_, index) => join(directory, `lane${index}`));
  const lanes = await Promise.all(rooms.map((folder) => Lane.open({ place: asked.place, started, folder })));
  try {
    const planned = await plan(
      subjectsOn(server),
      lanes,
      { ...asked, share: asked.share ?? place.share },
      seed,
    );
    const found = planned.map((row) => ({ ...row, ended: emptyCounts(), tried: 0 }));
    const jobs = found.flatMap((row) => row.chosen.map((number) => ({ row, number }))).values();
    const total = planned.reduce((sum, { chosen }) => sum + chosen.length, 0);
    const known = asked.again ? KnownRuns.of(join(import.meta.dirname, ".."), place.sources) : undefined;
    say(
      `${total} runs on ${place.title}, seed ${seed}${known === undefined ? "" : `, ${known.count} of this code known`}`,
    );
    const progress = setInterval(() => {
      const done = found.reduce((sum, { tried }) => sum + tried, 0);
      say(`${done} of ${total}, ${Math.round((performance.now() - began) / 60_000)} min`);
    }, progressMs).unref();
    const work = async (lane: Lane): Promise<void> => {
      for (const { row, number } of jobs) {
        const { subject, one } = row;
        const name = nameOf(subject, one);
        const before = known?.get(name, number);
        const came = before ?? (await run(one, number, { subject, lane }));
        const where = `${name} at ${number}`;
        if (came === undefined) {
          say(`${where}: ended before the fault`);
          continue;
        }
        if (before === undefined) known?.keep(name, number, came);
        row.tried += 1;
        row.ended[came.ending] += 1;
        if (!one.mayEnd.includes(came.ending)) say(`${where}, ${came.what}: ${came.ending}: ${came.why}`);
      }
    };
    await Promise.all(lanes.map(work));
    clearInterval(progress);
    return found.map(({ subject, one, boundaries, chosen, tried, ended }) => ({
      subject: subject.name,
      case: one,
      boundaries,
      chosen: chosen.length,
      tried,
      ended,
    }));
  } finally {
    for (const lane of lanes) await lane[Symbol.asyncDispose]();
    await started[Symbol.asyncDispose]();
    await server.stop();
  }
}
