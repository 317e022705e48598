import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { extent, pageTable, type Row, storyTable, summary } from "./matrix.ts";

/** The pages that hold what the last written run has found, and what each of them says between its marks. */
const pages: Readonly<Record<string, (rows: readonly Row[]) => string>> = {
  "docs/faults.md": (rows) => `${pageTable(rows)}\n\`${summary(rows)}\`\n\n${extent(rows)}\n`,
  "README.md": (rows) => `${storyTable(rows)}\n${extent(rows)}\n`,
};

const [begin, end] = ["<!-- faults -->\n", "<!-- end of faults -->"];

export function writePages(rows: readonly Row[]): void {
  for (const [path, text] of Object.entries(pages)) {
    const { before, after } = parted(path);
    writeFileSync(fileOf(path), `${before}\n${text(rows)}\n${after}`);
  }
}

/** What a page says between its marks. */
export function written(path: string): string {
  return parted(path).between.trim();
}

/** Rows whose boundaries are others than docs/faults.md has: since it was written what a rotation calls has changed. */
export function stale(rows: readonly Row[], page = written("docs/faults.md")): readonly string[] {
  return rows.flatMap(({ subject, case: { story }, boundaries }) =>
    page.includes(`| ${subject} | ${story} | ${boundaries} |`)
      ? []
      : [`${subject}: ${story}: docs/faults.md does not have its ${boundaries} boundaries`],
  );
}

function parted(path: string): Readonly<Record<"before" | "between" | "after", string>> {
  const page = readFileSync(fileOf(path), "utf8");
  const [from, to] = [page.indexOf(begin) + begin.length, page.indexOf(end)];
  if (from < begin.length || to < from) {
    throw new Error(`${path} has no place for the matrix: ${begin}${end}`);
  }
  return { before: page.slice(0, from), between: page.slice(from, to), after: page.slice(to) };
}

function fileOf(path: string): string {
  return join(import.meta.dirname, "..", path);
}
