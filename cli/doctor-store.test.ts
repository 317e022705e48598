import { expect, test } from "vitest";
import type { AwsStoreEntry } from "../manifest/manifest.ts";
import { attendDeployed } from "./doctor-store.ts";
import type { Terminal } from "./terminal.ts";

const entry: AwsStoreEntry = {
  kind: "aws",
  name: "prod",
  account: "111122223333",
  region: "eu-west-1",
  installation: "prod",
  secretsBy: "tag",
  role: undefined,
  quota: undefined,
};

/** A store with secrets that lack tags. */
function storeWith(refs: readonly string[]) {
  const lacking = new Set(refs);
  const shown: string[] = [];
  const store = {
    ports: { journal: { nextDueAt: async () => undefined } },
    tags: {
      lacking: async () => [...lacking].map((ref) => ({ ref, tags: { "keyturn:type": "model" } })),
      set: async ({ ref }: { readonly ref: string }) => void lacking.delete(ref),
    },
  };
  const terminal: Terminal = {
    json: false,
    say: () => undefined,
    show: (text) => void shown.push(text),
    result: () => undefined,
    warn: () => undefined,
    line: async () => true,
  };
  const attend = (fixes: boolean) => attendDeployed({ store: async () => store }, entry, fixes, terminal);
  return { attend, shown, lacking };
}

test("secrets that lack the tags which rights go by are named, with what sets them, and stay as they are", async () => {
  const { attend, shown, lacking } = storeWith(["billing/db", "billing/reports"]);
  const { damaged } = await attend(false);
  expect(damaged.map(({ part, problem }) => `${part}: ${problem}`)).toEqual([
    "tags of billing/db: it lacks keyturn:type=model",
    "tags of billing/reports: it lacks keyturn:type=model",
  ]);
  expect(shown.join("\n")).toContain("`keyturn doctor --fix` sets them");
  expect(lacking.size).toBe(2);
});

test("with --fix they are set, and there is nothing to say the next time", async () => {
  const { attend, shown, lacking } = storeWith(["billing/db"]);
  expect((await attend(true)).damaged).toHaveLength(1);
  expect(lacking.size).toBe(0);
  shown.splice(0);
  expect((await attend(false)).damaged).toEqual([]);
  expect(shown).toEqual([]);
});
