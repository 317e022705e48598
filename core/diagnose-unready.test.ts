import { expect, test } from "vitest";
import { diagnose } from "./diagnose.ts";
import { marked, recorded, rotation, seen, stored, tried } from "./examination.contract.ts";
import type { Examination } from "./examine.ts";

/** What becomes of a current that the target refuses where something is not ready for any rotation. */
const theirs =
  "If nobody of yours did this, somebody else has access to the target: revoke it instead. Otherwise";
const restored = {
  fix: "makes the target accept the same value again",
  advice: `${theirs} run it with --fix.`,
};
const successor = {
  fix: "makes a successor at once; what was cut on purpose stays cut",
  advice: "Run it with --fix.",
};
const published = {
  fix: "publishes the candidate, which the target accepts",
  advice: `${theirs} run it with --fix.`,
};
const notReady = { check: "rights", ok: false, message: "no CREATEROLE" };
const behind = { check: "fence", ok: false, message: "epoch 9", code: "superseded" } as const;
const refused = tried("v1", "current", "refused");
const shut = [marked("v1", { accepts: false })];
const candidate = tried("v2", "pending");
const inTest = recorded({ state: { phase: "test", rotation, attempts: 0, notBefore: 0 } });

test.each<[string, Partial<Examination>, { readonly fix: string | undefined; readonly advice: string }]>([
  [
    "is brought back when that is mended",
    { marks: shut, findings: [notReady] },
    { fix: undefined, advice: `${theirs} mend first what is not ready; then run it with --fix.` },
  ],
  ["is brought back though an epoch is behind", { findings: [behind] }, restored],
  ["is brought back where all is ready", { findings: [{ ...notReady, ok: true }] }, restored],
  [
    "gets a successor where it was cut on purpose",
    { marks: [marked("v1", { verb: "retire", accepts: false })], findings: [notReady] },
    successor,
  ],
  [
    "gives way to a candidate that works",
    { tried: [refused, candidate], record: inTest, findings: [notReady] },
    published,
  ],
])("a refused current %s", (_, changes, expected) => {
  const found = diagnose(seen({ tried: [refused], ...changes }), 3);
  expect(found.find(({ ailment }) => ailment === "current-refused")).toMatchObject(expected);
  const isUnready = changes.findings?.includes(notReady) === true;
  expect(found.some(({ ailment }) => ailment === "not-ready")).toBe(isUnready);
});

const works = tried("v0", "current", "accepted");
const leaked = { version: works.version, fingerprint: works.fingerprint };

test.each<[string, Partial<Examination>, { readonly fix: string | undefined; readonly advice: string }]>([
  [
    "gets a new value when that is mended, as long as its own works",
    { tried: [works], findings: [notReady] },
    { fix: undefined, advice: "Mend first what is not ready; then run it with --fix." },
  ],
  [
    "gets a new value at once where all is ready",
    { tried: [works] },
    { fix: "makes a new one at once", advice: "Run it with --fix." },
  ],
  [
    "gets a new value at once where its own does not work",
    { tried: [tried("v0", "current", "refused")], findings: [notReady] },
    { fix: "makes a new one at once", advice: "Run it with --fix." },
  ],
  [
    "gets a new value at once where its own works and has leaked",
    {
      tried: [works],
      record: recorded({ compromised: [{ ...leaked, reportedBy: "alice", at: 1 }] }),
      findings: [notReady],
    },
    { fix: "makes a new one at once", advice: "Run it with --fix." },
  ],
  [
    "gets a new value at once where it has none",
    { versions: [], tried: [], findings: [notReady] },
    { fix: "makes a new one at once", advice: "Run it with --fix." },
  ],
  [
    "gets the candidate that works",
    {
      versions: [stored("v0", "current"), stored("v2", "pending")],
      tried: [works, candidate],
      record: inTest,
      findings: [notReady],
    },
    { fix: "publishes the candidate, which the target accepts", advice: "Run it with --fix." },
  ],
])("a store that is behind %s", (_, changes, expected) => {
  const found = diagnose(seen({ versions: [stored("v0", "current")], ...changes }), 3);
  expect(found.find(({ ailment }) => ailment === "store-behind")).toMatchObject(expected);
});
