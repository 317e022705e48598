import { expect, test } from "vitest";
import * as z from "zod/mini";
import type { TypeFacts } from "./check-config.ts";
import { formatProblem } from "./problem.ts";
import { readManifest } from "./read.ts";

const common = { config: z.looseObject({}), needsAdmin: false, overlap: "both-live" as const };
const signing: TypeFacts["needs"] = {
  network: ["internet"],
  aws: [{ actions: ["iam:ListAccessKeys"], resource: "*" }],
};
const facts: ReadonlyMap<string, TypeFacts> = new Map<string, TypeFacts>([
  ["plain", common],
  ["signing", { ...common, needs: signing }],
]);

function problemsOf(secrets: readonly string[]): readonly string[] {
  const text = `stores:
  prod: { aws: { account: "111122223333", region: eu-west-1 } }
  here: { local: { path: k } }
secrets:
  login: { store: prod, account: "444455556666", type: held }
${secrets.map((secret, index) => `  s${index}: ${secret}`).join("\n")}
`;
  return readManifest("/keyturn.yaml", { facts, readText: () => text }).problems.map(formatProblem);
}

const there = `store: prod, account: "444455556666"`;

test("a secret may be in another account, and so may its administering login", () => {
  const secrets = [
    `{ ${there}, type: plain, fleets: [] }`,
    `{ ${there}, type: signing, admin: { secret: login } }`,
    `{ store: prod, account: "111122223333", type: signing, fleets: [f] }`,
  ];
  expect(problemsOf(secrets)).toEqual([]);
});

test.each([
  [
    `{ ${there}, type: plain, fleets: [f] }`,
    /s0\.fleets: agents read in the account of the store.*leave out/,
  ],
  [
    `{ ${there}, type: signing }`,
    /s0\.admin: is missing: without one, signing signs by a role of the store's/,
  ],
  [`{ store: here, account: "444455556666", type: plain }`, /s0\.account: is for a secret of a store on AWS/],
  [`{ store: prod, account: 444455556666, type: plain }`, /s0\.account: /],
  [`{ store: prod, account: "4444", type: plain }`, /s0\.account: must be the twelve digits/],
])("what cannot be done in another account is refused with what to do: %s", (secret, expected) => {
  const problems = problemsOf([secret]);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toMatch(expected);
});
