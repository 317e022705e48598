import { expect, it } from "vitest";
import { exportComplaints } from "./export-complaints.ts";

it("tells of a collector that is down now and then, in short, and without its key", () => {
  let now = 0;
  const lines: string[] = [];
  const complain = exportComplaints(
    (level, message, fields) => lines.push(`${level} ${message} ${JSON.stringify(fields)}`),
    (text) => text.replaceAll("canary-key", "[redacted]"),
    () => now,
  );
  complain.error(
    JSON.stringify({ message: "connect ECONNREFUSED with canary-key", stack: "at a\nat b", code: "X" }),
  );
  complain.error("again");
  complain.warn("and again", { headers: "canary-key" });
  complain.info("harmless");
  complain.debug("harmless");
  complain.verbose("harmless");
  expect(lines).toEqual([
    'warn telemetry cannot be sent; everything else goes on {"reason":"connect ECONNREFUSED with [redacted] X","unsaid":0}',
  ]);
  now = 60_000;
  complain.error("x".repeat(10_000), new Error("long"));
  expect(lines).toHaveLength(2);
  expect(lines[1]).toContain('"unsaid":2');
  expect(lines[1]?.length).toBeLessThan(500);
});
