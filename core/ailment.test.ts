import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ailments } from "./ailment.ts";

test("each ailment has its row in the doctor's page, and the page has no other", () => {
  const page = readFileSync(new URL("../docs/doctor.md", import.meta.url), "utf8");
  const table = page.split("## Damaged files")[0] ?? "";
  const rows = [...table.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, name]) => name);
  expect(rows).toEqual([...ailments]);
});
