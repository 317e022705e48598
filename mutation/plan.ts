/** A file of the rules, and the tests that must notice whatever is changed in it: those that are about it, by table. */
export interface Plan {
  readonly source: string;
  readonly tests: readonly string[];
  /** The least share of its mutants that must be noticed, in percent. */
  readonly leastPercent: number;
}

const rotation = ["core/rotation.test.ts", "core/rotation-whole.test.ts"];
const steps = ["core/steps.test.ts", "core/steps-whole.test.ts"];

export const plans: readonly Plan[] = [
  { source: "core/rotation.ts", tests: rotation, leastPercent: 100 },
  { source: "core/alike.ts", tests: ["core/alike.test.ts"], leastPercent: 95 },
  {
    source: "core/finish-import.ts",
    tests: [...steps, "core/finish-import.test.ts", "core/settle.test.ts"],
    leastPercent: 95,
  },
  { source: "core/settle.ts", tests: [...steps, "core/settle.test.ts"], leastPercent: 95 },
  {
    source: "core/leaked-login.ts",
    tests: ["core/leaked-login.test.ts", "core/operate-whole.test.ts", "core/operate.test.ts"],
    leastPercent: 95,
  },
  { source: "core/candidate.ts", tests: ["core/candidate.test.ts", ...rotation], leastPercent: 100 },
  { source: "core/same-login.ts", tests: ["core/same-login.test.ts"], leastPercent: 95 },
  { source: "core/debt.ts", tests: ["core/debt.test.ts"], leastPercent: 95 },
  { source: "core/transition.ts", tests: ["core/transition.test.ts"], leastPercent: 95 },
  { source: "core/decide.ts", tests: ["core/decide.test.ts", "core/decide-whole.test.ts"], leastPercent: 95 },
  { source: "core/redact.ts", tests: ["core/redact.test.ts"], leastPercent: 95 },
  { source: "core/fingerprint.ts", tests: ["core/fingerprint.test.ts"], leastPercent: 95 },
  { source: "core/fleet.ts", tests: ["core/fleet.test.ts"], leastPercent: 95 },
  {
    source: "core/request.ts",
    tests: ["core/request.test.ts", "core/request-whole.test.ts", "core/intervene.test.ts"],
    leastPercent: 95,
  },
  {
    source: "core/intervene.ts",
    tests: ["core/intervene.test.ts", "core/intervene-whole.test.ts"],
    leastPercent: 95,
  },
  {
    source: "core/emergency.ts",
    tests: ["core/request.test.ts", "core/emergency-whole.test.ts"],
    leastPercent: 95,
  },
  { source: "core/commit.ts", tests: ["core/commit.test.ts"], leastPercent: 95 },
  {
    source: "core/reconcile.ts",
    tests: [
      ...["core/reconcile-whole.test.ts", "core/reconcile-hooks.test.ts", "core/reconcile-begin.test.ts"],
      "core/native-trouble.test.ts",
    ],
    leastPercent: 95,
  },
  { source: "core/steps.ts", tests: [...steps, "core/settle.test.ts"], leastPercent: 95 },
  { source: "core/session.ts", tests: ["core/session.test.ts"], leastPercent: 95 },
  {
    source: "core/operate.ts",
    tests: ["core/operate.test.ts", "core/operate-whole.test.ts"],
    leastPercent: 95,
  },
  {
    source: "core/native.ts",
    tests: ["core/native-whole.test.ts", "core/native-trouble.test.ts", "core/native-call.test.ts"],
    leastPercent: 95,
  },
  { source: "core/native-request.ts", tests: ["core/native-request.test.ts"], leastPercent: 95 },
  { source: "core/driven.ts", tests: ["core/driven.test.ts"], leastPercent: 95 },
  { source: "core/admin.ts", tests: ["core/admin.test.ts"], leastPercent: 95 },
  { source: "core/direct.ts", tests: ["core/direct.test.ts", "core/direct-whole.test.ts"], leastPercent: 95 },
  { source: "core/inquire.ts", tests: ["core/inquire.test.ts"], leastPercent: 95 },
  { source: "core/read-only.ts", tests: ["core/read-only.test.ts"], leastPercent: 95 },
  { source: "core/accept-reports.ts", tests: ["core/accept-reports.test.ts"], leastPercent: 95 },
  { source: "core/credential.ts", tests: ["core/credential.test.ts"], leastPercent: 95 },
  { source: "core/rotator.ts", tests: ["core/rotator.test.ts"], leastPercent: 95 },
  { source: "core/stand.ts", tests: ["core/stand.test.ts"], leastPercent: 95 },
  { source: "core/leftovers.ts", tests: ["core/leftovers.test.ts"], leastPercent: 95 },
  {
    source: "core/adopt.ts",
    tests: ["whole", "refused", "races", "names"].map((what) => `core/adopt-${what}.test.ts`),
    leastPercent: 95,
  },
  { source: "core/identifier.ts", tests: ["core/identifier.test.ts"], leastPercent: 95 },
  { source: "core/identify.ts", tests: ["core/identify.test.ts"], leastPercent: 95 },
  { source: "core/password.ts", tests: ["core/password.test.ts"], leastPercent: 95 },
  { source: "core/schedule.ts", tests: ["core/schedule.test.ts"], leastPercent: 95 },
  { source: "core/protocol.ts", tests: ["core/protocol.test.ts"], leastPercent: 95 },
  { source: "core/host-messages.ts", tests: ["core/host-messages.test.ts"], leastPercent: 95 },
  { source: "core/audit.ts", tests: ["core/audit.test.ts"], leastPercent: 95 },
  { source: "core/audit-root.ts", tests: ["core/audit-root.test.ts"], leastPercent: 95 },
  { source: "core/audit-witness.ts", tests: ["core/audit-witness.test.ts"], leastPercent: 95 },
  { source: "core/merkle.ts", tests: ["core/merkle.test.ts"], leastPercent: 95 },
  { source: "core/roots-list.ts", tests: ["core/roots-list.test.ts"], leastPercent: 95 },
  { source: "core/verify-audit.ts", tests: ["core/verify-audit.test.ts"], leastPercent: 95 },
  { source: "core/verify-roots.ts", tests: ["core/verify-roots.test.ts"], leastPercent: 95 },
  {
    source: "core/diagnose.ts",
    tests: ["core/diagnose.test.ts", "core/diagnose-cause.test.ts", "core/diagnose-unready.test.ts"],
    leastPercent: 95,
  },
  { source: "core/evidence.ts", tests: ["core/evidence.test.ts"], leastPercent: 95 },
  { source: "core/examine.ts", tests: ["core/examine.test.ts"], leastPercent: 95 },
  {
    source: "core/repair.ts",
    tests: ["core/repair-whole.test.ts", "core/repair-unready.test.ts"],
    leastPercent: 95,
  },
  { source: "core/record.ts", tests: ["core/record.test.ts"], leastPercent: 95 },
  { source: "core/errors.ts", tests: ["core/errors.test.ts"], leastPercent: 95 },
  { source: "core/events.ts", tests: ["core/events.test.ts"], leastPercent: 95 },
  { source: "core/secret.ts", tests: ["core/secret.test.ts"], leastPercent: 95 },
  { source: "core/json-text.ts", tests: ["core/json-text.test.ts"], leastPercent: 95 },
  { source: "core/leaked.ts", tests: ["core/leaked-text.test.ts"], leastPercent: 95 },
  { source: "core/leaked-meanings.ts", tests: ["core/leaked-meanings.test.ts"], leastPercent: 95 },
  { source: "core/foreign-candidate.ts", tests: ["core/foreign-candidate.test.ts"], leastPercent: 95 },
  { source: "core/publishing.ts", tests: ["core/publishing.test.ts"], leastPercent: 95 },
  { source: "core/audit-files.ts", tests: ["core/audit-files.test.ts"], leastPercent: 95 },
  { source: "core/parallel.ts", tests: ["core/parallel.test.ts"], leastPercent: 95 },
  { source: "core/leaked-pieces.ts", tests: ["core/leaked-pieces.test.ts"], leastPercent: 95 },
  { source: "core/leaked-readings.ts", tests: ["core/leaked-readings.test.ts"], leastPercent: 95 },
];

/** The files of core/ that have nothing to change, and what they are instead. */
export const withoutLogic: Readonly<Record<string, string>> = {
  "core/ailment.ts": "a list of names, which a test compares with the doctor's page",
  "core/outcome.ts": "types",
  "core/ports.ts": "types",
};
