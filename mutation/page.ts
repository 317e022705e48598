import { percentOf, type Score } from "./score.ts";

/** Where the scores are read by people. */
export const pagePath = "docs/mutation.md";

const begin = "<!-- scores -->\n";
const end = "<!-- end of scores -->";

/** The page with the row of one file as it was just measured; the rows of the others stay as they are. */
export function withScore(page: string, score: Score, leastPercent: number): string {
  const from = page.indexOf(begin) + begin.length;
  const to = page.indexOf(end);
  if (from < begin.length || to < from)
    throw new Error(`${pagePath} has no place for the scores: ${begin}${end}`);
  const [, , ...rows] = page.slice(from, to).trim().split("\n");
  const others = rows.filter((row) => !row.startsWith(`| \`${score.source}\` |`));
  const sorted = [...others, rowOf(score, leastPercent)].toSorted();
  return `${page.slice(0, from)}\n${[...head, ...sorted].join("\n")}\n\n${page.slice(to)}`;
}

const head = [
  "| file | mutants | noticed | score | aim | equivalent, not counted |",
  "|---|---|---|---|---|---|",
];

function rowOf(score: Score, leastPercent: number): string {
  const { source, mutants, noticed, equivalent } = score;
  return `| \`${source}\` | ${mutants} | ${noticed} | ${percentOf(score)} % | ${leastPercent} % | ${equivalent} |`;
}
