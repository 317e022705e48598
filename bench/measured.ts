/** What a bench found. */
export interface Measured {
  /** What, how much, what it should be, and whether it is. Where there is no aim it is undefined. */
  readonly rows: readonly (readonly [
    what: string,
    measured: string,
    aim: string | undefined,
    reached: boolean,
  ])[];
  /** The same for machines. */
  readonly numbers: Readonly<Record<string, unknown>>;
  /** What the numbers rest on, for people. */
  readonly notes?: readonly string[];
}

/** One line for each row. */
export function tableOf({ rows, notes = [] }: Measured): readonly string[] {
  const width = Math.max(54, ...rows.map(([what]) => what.length));
  const lines = rows.map(([what, measured, aim, reached]) => {
    const verdict = aim === undefined ? "" : reached ? "reached" : "MISSED";
    const aimed = aim === undefined ? "" : ` aim ${aim}`;
    return `${verdict.padEnd(7)}  ${what.padEnd(width)} ${measured.padEnd(34)}${aimed}`.trimEnd();
  });
  return [...lines, ...notes];
}

/** The line that ends a run with --json. */
export function jsonOf({ rows, numbers }: Measured): string {
  return JSON.stringify({ ...numbers, reached: rows.every(([, , , reached]) => reached) });
}
