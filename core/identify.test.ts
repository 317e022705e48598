import { expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { identify } from "./identify.ts";
import { LeakedText } from "./leaked.ts";
import { Secret } from "./secret.ts";

test("a leaked text is compared by the fingerprints of what it may hold, by every key there is", async () => {
  const asked: (readonly string[])[] = [];
  const match = { ref: "app/db", version: "v1", field: "password" };
  const journal = {
    identify: async (fingerprints: readonly string[]) => {
      asked.push(fingerprints);
      return [match];
    },
  };
  const fingerprinter = { fingerprint: String, candidates: (text: string) => [`k2:${text}`, `k1:${text}`] };
  const leaked = new LeakedText(new Secret("canary-leaked-8Kd2"));
  const { ports } = memoryPorts(modelTarget().bothLive);
  expect(await identify({ fingerprinter, journal: { ...ports.journal, ...journal } }, leaked)).toEqual([
    match,
  ]);
  expect(asked).toEqual([leaked.fingerprints(fingerprinter)]);
  expect(asked[0]).toContain("k1:canary-leaked-8Kd2");
});
