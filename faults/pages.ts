import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { extent, pageTable, type Row, storyTable, summary } from "./matrix.ts";
import type { PlaceName } from "./places.ts";

type Page = "docs/faults.md" | "README.md";

/** What a page says of a run between its marks. */
const texts: Readonly<Record<Page, (rows: readonly Row[]) => string>> = {
  "docs/faults.md": (rows) => `${pageTable(rows)}\n\`${summary(rows)}\`\n\n${extent(rows)}\n`,
  "README.md": (rows) => `${storyTable(rows)}\n${extent(rows)}\n`,
};

/** The pages that hold what the last written run in a place has found. */
function pagesOf(place: PlaceName): readonly Page[] {
  return place === "local" ? ["docs/faults.md", "README.md"] : ["docs/faults.md"];
}

/** Between which lines it stands there. */
function marksOf(place: PlaceName): Readonly<Record<"begin" | "end", string>> {
  const name = place === "local" ? "faults" : `faults on ${place}`;
  return { begin: `<!-- ${name} -->\n`, end: `<!-- end of ${name} -->` };
}

export function writePages(place: PlaceName, rows: readonly Row[]): void {
  for (const page of pagesOf(place)) {
    const { before, after } = parted(page, place);
    writeFileSync(fileOf(page), `${before}\n${texts[page](rows)}\n${after}`);
  }
}

/** What a page says of a place between its marks. */
export function written(page: Page, place: PlaceName): string {
  return parted(page, place).between.trim();
}

/** Rows whose boundaries are others than docs/faults.md has: since it was written what a rotation calls has changed. */
export function stale(rows: readonly Row[], page: string): readonly string[] {
  return rows.flatMap(({ subject, case: { story }, boundaries }) =>
    page.includes(`| ${subject} | ${story} | ${boundaries} |`)
      ? []
      : [`${subject}: ${story}: docs/faults.md does not have its ${boundaries} boundaries`],
  );
}

function parted(path: Page, place: PlaceName): Readonly<Record<"before" | "between" | "after", string>> {
  const page = readFileSync(fileOf(path), "utf8");
  const { begin, end } = marksOf(place);
  const [from, to] = [page.indexOf(begin) + begin.length, page.indexOf(end)];
  if (from < begin.length || to < from) {
    throw new Error(`${path} has no place for the matrix: ${begin}${end}`);
  }
  return { before: page.slice(0, from), between: page.slice(from, to), after: page.slice(to) };
}

function fileOf(path: Page): string {
  return join(import.meta.dirname, "..", path);
}
