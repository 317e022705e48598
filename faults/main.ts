import { randomInt } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type PostgresServer, startPostgres } from "../integration/postgres-server.ts";
import { seededRandom } from "../local/memory.ts";
import { applies, type Case, cases, spread } from "./cases.ts";
import { Lane } from "./lane.ts";
import { emptyCounts, isWell, picture, type Row, summary } from "./matrix.ts";
import { writePages } from "./pages.ts";
import { dryPass, run } from "./run.ts";
import { type Subject, subjects } from "./subjects.ts";

/**
 * `npm run faults`: a worker process on a real PostgreSQL and a real local store meets every fault at its boundaries, and then what the cases say; a
 * reader looks on. Prints the matrix; its last line is the sum. `--full` tries every boundary of every case, otherwise each case takes
 * its share of them, from a seed that is printed. `--only TEXT` takes the cases that have it in their name, `--at N` one boundary,
 * `--write` puts the matrix into the docs.
 */
const { values } = parseArgs({
  options: {
    full: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
    seed: { type: "string" },
    only: { type: "string", default: "" },
    at: { type: "string" },
  },
});
if (values.write && (values.only !== "" || values.at !== undefined)) {
  throw new Error("--write needs the whole matrix: leave --only and --at out");
}
const seed = Number(values.seed ?? randomInt(1_000_000));
const lanesCount = 4;
const triedOfEach = 8;
// One for every worker that is killed, for as long as it lives.
process.setMaxListeners(100);
const say = (line: string) => void process.stderr.write(`${line}\n`);
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

interface Planned {
  readonly subject: Subject;
  readonly one: Case;
  readonly boundaries: number;
  /** The numbers of the boundaries at which it is tried. */
  readonly tried: readonly number[];
}

const began = performance.now();
const rows = await matrix();
say(`seed ${seed}, ${Math.round((performance.now() - began) / 1_000)} s`);
if (values.write) writePages(rows);
if (values.json) process.stdout.write(`${JSON.stringify({ seed, rows, summary: summary(rows) })}\n`);
else process.stdout.write(`${picture(rows)}\n${summary(rows)}\n`);
process.exit(isWell(rows) ? 0 : 1);

async function matrix(): Promise<readonly Row[]> {
  const directory = mkdtempSync(join(tmpdir(), "keyturn-faults-"));
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  const server = await startPostgres({ maxConnections: 300 });
  const lanes = await Promise.all(
    Array.from({ length: lanesCount }, (_, index) => Lane.open(join(directory, `lane${index}`))),
  );
  try {
    const plan = await planned(lanes, server);
    const found = plan.map((planned) => ({ planned, ended: emptyCounts(), tried: 0 }));
    const jobs = found.flatMap((row) => row.planned.tried.map((number) => ({ row, number }))).values();
    say(`${plan.reduce((total, { tried }) => total + tried.length, 0)} runs, seed ${seed}`);
    const work = async (lane: Lane): Promise<void> => {
      for (const { row, number } of jobs) {
        const { subject, one } = row.planned;
        const came = await run(one, number, { subject, lane, server });
        const where = `${nameOf(subject, one)} at ${number}`;
        if (came === undefined) {
          say(`${where}: ended before the fault`);
          continue;
        }
        row.tried += 1;
        row.ended[came.ending] += 1;
        if (!one.mayEnd.includes(came.ending)) say(`${where}, ${came.what}: ${came.ending}: ${came.why}`);
      }
    };
    await Promise.all(lanes.map(work));
    return found.map(({ planned: { subject, one, boundaries }, tried, ended }) => ({
      subject: subject.name,
      case: one,
      boundaries,
      tried,
      ended,
    }));
  } finally {
    for (const lane of lanes) await lane[Symbol.asyncDispose]();
    await server.stop();
  }
}

/** Which boundaries there are shows a rotation that nothing happens to. */
async function planned(lanes: readonly Lane[], server: PostgresServer): Promise<readonly Planned[]> {
  const random = seededRandom(seed);
  const chance = () => (random.bytes(1)[0] ?? 0) / 256;
  const passes = await Promise.all(
    subjects.map(async (subject, index) => {
      const lane = lanes[index % lanes.length];
      if (lane === undefined) throw new Error("there are no lanes");
      return { subject, boundaries: await dryPass(subject, lane, server) };
    }),
  );
  return passes.flatMap(({ subject, boundaries }) =>
    cases.flatMap((one) => {
      const numbers = boundaries.flatMap((boundary, index) => (applies(one, boundary) ? [index + 1] : []));
      const share = spread(numbers, values.full ? numbers.length : triedOfEach, chance());
      const tried = values.at === undefined ? share : values.at.split(",").map(Number);
      return nameOf(subject, one).includes(values.only)
        ? [{ subject, one, boundaries: numbers.length, tried }]
        : [];
    }),
  );
}

function nameOf(subject: Subject, { fault, followUp }: Case): string {
  return `${subject.name}, ${fault}, ${followUp}`;
}
