import { readFileSync, writeFileSync } from "node:fs";
import { parseDocument } from "yaml";

/** Shortens a secret's times in its manifest: agents that keep a value for a minute are too slow for a test or a demo. */
export function quicken(
  manifestPath: string,
  ref: string,
  times: { readonly cacheTtl: string; readonly atLeast: string; readonly atMost: string },
): void {
  const document = parseDocument(readFileSync(manifestPath, "utf8"));
  const { cacheTtl, ...grace } = times;
  document.setIn(["secrets", ref, "cacheTtl"], cacheTtl);
  document.setIn(["secrets", ref, "grace"], grace);
  writeFileSync(manifestPath, document.toString());
}
