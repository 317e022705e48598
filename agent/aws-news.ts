import type { AgentReport } from "../core/fleet.ts";

/** Tells which reports say something else than the ones before: beats do not, and a rotation waits for what does. */
export class News {
  readonly #said = new Map<string, string>();

  /** References of which these reports say something new. */
  in(reports: readonly AgentReport[]): string[] {
    const news = reports.filter((report) => this.#said.get(keyOf(report)) !== textOf(report));
    return [...new Set(news.map(({ ref }) => ref))];
  }

  /** They are said, and no news from now on. */
  said(reports: readonly AgentReport[]): void {
    for (const report of reports) {
      if (report.leaving) this.#said.delete(keyOf(report));
      else this.#said.set(keyOf(report), textOf(report));
    }
  }
}

function keyOf({ agent, ref }: AgentReport): string {
  return `${ref} ${agent}`;
}

function textOf({ sequence: _, ...report }: AgentReport): string {
  return JSON.stringify(report);
}
