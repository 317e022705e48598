import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ProcessWatch } from "./process-watch.ts";

const tries = 20;

/** No Node starts these, so that each has to be seen while it lives. */
test("processes that live for 40 ms are seen, by their arguments and by their environments", async () => {
  const folder = mkdtempSync(join(tmpdir(), "keyturn-looked-"));
  const file = join(folder, "processes");
  await using watch = new ProcessWatch(file);
  await watch.isLooking;
  const script = `for n in $(seq ${tries}); do sh -c 'sleep 0.04; :' argued-$n-; ENVIRONED=environed-$n- sleep 0.04; done`;
  expect(spawnSync("sh", ["-c", script]).status).toBe(0);
  const seen = readFileSync(file, "latin1");
  rmSync(folder, { recursive: true });
  const times = Array.from({ length: tries }, (_, index) => index + 1);
  for (const how of ["argued", "environed"]) {
    const missed = times.filter((time) => !seen.includes(`${how}-${time}-`));
    // Where no core is free for 40 ms, one is missed; a look every 500 ms would miss nearly all.
    expect(missed.length).toBeLessThanOrEqual(2);
  }
});
