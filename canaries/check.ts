import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { type RunFolder, runFolder } from "./run-folder.ts";
import { Search } from "./search.ts";

/** Where values could be found, and what tells a file of it by its path. The first that fits counts. */
const places = [
  ["printed by processes", /^printed\//],
  ["process lists", /(^|\/)processes(\/|$)/],
  ["emulators' logs", /\/emulator\.log$/],
  ["log groups", /\/keyturn-left-[^/]+\/log-groups\//],
  ["tables, buckets and queues", /\/keyturn-left-[^/]+\/(tables|objects|queues)\//],
  ["database logs", /\/server\.log$/],
  ["journals", /\/journal\.db[^/]*$/],
  ["events", /\/events\.db[^/]*$/],
  ["audit", /\/audit\/|\/audit-[^/]*\.jsonl$/],
  ["stores", /\/secrets\.db[^/]*$/],
  ["traces, metrics and logs sent", /\/telemetry\.otlp$/],
  ["reports", /^report\//],
  ["other temporary files", /./],
] as const;
export type Place = (typeof places)[number][0];

/** Files that are there to hold a value, and are their owner's alone. An emulator of AWS has none: what it holds it holds in memory. */
const homes = [
  /\.key(\.next)?$/, // the store's key, and the key that signs the audit
  /\.token$/, // an agent's
  /\.(login|password)$/, // what a person pipes into a command
  /\/leaked\.txt$/, // what a person has found, and reports
  /\/(approval|request)\.json$/, // what two persons give each other to agree: read like a secret, and none
  // The project itself, where a test works with a copy of it: its sources, what is built of them, and the values that its tests use.
  /\.ts$|\/node_modules\/|\/keyturn\/dist\/|\/fixtures\/nasty-values\.json$|\/integration\/events\//,
];

/** Text that holds a value by right, and is blotted out where it is searched. */
const rights: readonly (readonly [Place, RegExp])[] = [
  // A token goes to whoever enrols, and what the second person has to agree to is not secret, though it is read as if it were.
  ["printed by processes", /^keyturn-agent-[\w-]+$|(?<="token":")keyturn-agent-[\w-]+(?=")/gm],
  ["printed by processes", /\{"kind":"keyturn-(?:revoke-request|approval)".*$/gm],
  // Keys that come by the environment, and what is planted there: a shell that starts ends each name by a zero for a moment. A database server
  // that tells the most tells its environment, too.
  [
    "process lists",
    /(?<=\0|^)(?:KEYTURN_KEY|KEYTURN_CANARIES_PLANTED|OTEL_EXPORTER_OTLP_HEADERS)[=\0][^\0\n]*/gm,
  ],
  ["database logs", /(?<=^\s*)KEYTURN_CANARIES_PLANTED=.*$/gm],
];

export interface Checked {
  /** How many values of each suite were looked for. */
  readonly values: ReadonlyMap<string, number>;
  readonly places: readonly { readonly place: Place; readonly files: number; readonly bytes: number }[];
  /** What was found, as `place: file: at byte`; never the value. */
  readonly found: readonly string[];
}

export interface Expected {
  /** Each has planted values. */
  readonly suites: readonly string[];
  /** In each there is something to be searched. */
  readonly places: readonly Place[];
}

/** Looks for every value of a run everywhere in what it left behind, and in the reports. */
export function check(folder: string, reports: readonly string[] = []): Checked {
  const run = runFolder(folder);
  const suites = readLedgers(run);
  const search = new Search([...suites.values()].flatMap((values) => [...values]));
  const counts = new Map(places.map(([place]) => [place, { place, files: 0, bytes: 0 }]));
  const found: string[] = [];
  const files = [
    ...filesBelow(folder, "kept"),
    ...filesBelow(folder, "t"),
    ...filesBelow(folder, "printed"),
    ...filesBelow(folder, "processes"),
    ...reports.map((path) => ({ name: `report/${basename(path)}`, path })),
  ];
  for (const { name, path } of files) {
    const [place] = places.find(([, pattern]) => pattern.test(name)) ?? places[places.length - 1] ?? [];
    const count = place && counts.get(place);
    if (count === undefined || homes.some((home) => home.test(name))) continue;
    const bytes = whileThere(path, () => readFileSync(path));
    if (bytes === undefined) continue;
    count.files += 1;
    count.bytes += bytes.length;
    const at = search.in(blotted(place, bytes));
    if (at !== undefined) found.push(`${place}: ${name}: at byte ${at}`);
  }
  return {
    values: new Map([...suites].map(([suite, values]) => [suite, values.size])),
    places: [...counts.values()],
    found,
  };
}

/** What is wrong with a check: something was found, or something that should have been searched was not there. */
export function complaintsOf(checked: Checked, expected: Expected): readonly string[] {
  const empty = checked.places.filter(({ place, bytes }) => bytes === 0 && expected.places.includes(place));
  const silent = expected.suites.filter((suite) => (checked.values.get(suite) ?? 0) === 0);
  return [
    ...checked.found.map((where) => `a secret value is in ${where}`),
    ...empty.map(({ place }) => `nothing was there to be searched: ${place}`),
    ...silent.map((suite) => `no secret value was planted by the suite ${suite}`),
  ];
}

export function summaryOf({ values, places: searched }: Checked): string {
  const suites = [...values].map(([suite, count]) => `${suite} ${count}`).toSorted();
  const where = searched
    .filter(({ files }) => files > 0)
    .map(({ place, files, bytes }) => `${place}: ${files} files, ${(bytes / 1e6).toFixed(1)} MB`);
  return [`canaries: values of ${suites.join(", ")}`, ...where].join("\n  ");
}

function readLedgers({ ledgers }: RunFolder): ReadonlyMap<string, ReadonlySet<string>> {
  const suites = new Map<string, Set<string>>();
  for (const name of readdirSync(ledgers)) {
    for (const line of readFileSync(join(ledgers, name), "utf8").split("\n")) {
      const [suite = "", encoded = ""] = line.split("\t");
      // A process that was killed may have left half a line.
      if (encoded === "") continue;
      const known = suites.get(suite) ?? new Set();
      suites.set(suite, known.add(Buffer.from(encoded, "base64").toString()));
    }
  }
  return suites;
}

function filesBelow(
  folder: string,
  part: string,
): readonly { readonly name: string; readonly path: string }[] {
  return [...walk(join(folder, part))]
    .filter((path) => (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0)
    .map((path) => ({ name: path.slice(folder.length + 1), path }));
}

/** All files, but of the pages of databases; of a folder that goes meanwhile, what was seen of it. */
function* walk(folder: string): Generator<string> {
  if (isOfDatabase(folder)) return;
  for (const entry of whileThere(folder, () => readdirSync(folder, { withFileTypes: true })) ?? []) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* walk(path);
    else if (entry.isFile()) yield path;
  }
}

function blotted(place: Place | undefined, bytes: Buffer): Buffer {
  const patterns = rights.filter(([where]) => where === place).map(([, pattern]) => pattern);
  if (patterns.length === 0) return bytes;
  const text = patterns.reduce(
    (rest, pattern) => rest.replaceAll(pattern, (held) => "#".repeat(held.length)),
    bytes.toString("latin1"),
  );
  return Buffer.from(text, "latin1");
}

/** Undefined: it is gone meanwhile, for what is still running tidies up. */
function whileThere<Result>(path: string, read: () => Result): Result | undefined {
  try {
    return read();
  } catch (thrown) {
    if (!existsSync(path)) return undefined;
    throw thrown;
  }
}

function isOfDatabase(folder: string): boolean {
  return /\/keyturn-postgres-[^/]+\/data(\/|$)/.test(folder);
}
