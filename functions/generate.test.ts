import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { findOverlaps, renderOverlaps } from "./generate.ts";

test("what is known of the credential types is what they say of themselves", async () => {
  const written = readFileSync(join(import.meta.dirname, "overlaps.ts"), "utf8");
  expect(written).toBe(renderOverlaps(await findOverlaps()));
  expect(written).toContain('["postgres-alternating", "both-live"],');
});
