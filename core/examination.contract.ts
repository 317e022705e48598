import type { Examination, TriedVersion } from "./examine.ts";
import type { StoredVersion } from "./ports.ts";
import { type Debt, newRecord, type Rotation, type RotationRecord, type VersionMark } from "./record.ts";
import type { Mark } from "./rotator.ts";

/** What the tests of the doctor say of a secret: its tables name only what is not well. */
export const ref = "app/db";
export const now = 1_000_000;

export const print = (version: string): VersionMark => ({ version, fingerprint: `print of ${version}` });

export const stored = (version: string, stage?: StoredVersion["stage"]): StoredVersion => ({
  version,
  stage,
  createdAt: now - 50,
  disabled: false,
});

export const tried = (
  version: string,
  stage: StoredVersion["stage"],
  verdict: TriedVersion["verdict"] = "accepted",
  changes: Partial<TriedVersion> = {},
): TriedVersion => ({
  ...print(version),
  login: `login in ${version}`,
  stage,
  createdAt: now - 50,
  verdict,
  ...changes,
});

export const marked = (version: string, changes: Partial<Mark> = {}): Mark => ({
  login: `login_of_${version}`,
  verb: "set",
  epoch: 7,
  seen: 7,
  fingerprint: `print of ${version}`,
  rotationId: version,
  ref,
  installation: "test",
  accepts: true,
  ...changes,
});

export const rotation: Rotation = {
  id: "v2",
  kind: "rotate",
  urgent: false,
  requestedBy: "ann",
  startedAt: 3,
};

export const debt = (version: string, changes: Partial<Debt> = {}): Debt => ({
  ...print(version),
  reason: "retired",
  since: 5,
  cutFirst: false,
  attempts: 0,
  notBefore: 5,
  ...changes,
});

export const record: RotationRecord = {
  ...newRecord(ref),
  epoch: 7,
  current: { ...print("v1"), since: now - 500 },
  audit: { sequence: 9, hash: "hash 9" },
};

/** A secret with which all is well: v1 is current everywhere, and nothing else is there. */
export const well: Examination = {
  ref,
  installation: "test",
  overlap: "both-live",
  record,
  recordFault: undefined,
  revision: 4,
  versions: [stored("v1", "current")],
  tried: [tried("v1", "current")],
  marks: [marked("v1")],
  findings: [{ check: "rights", ok: true, message: "it may make logins" }],
  unasked: undefined,
  chain: {
    end: { sequence: 9, hash: "hash 9" },
    fault: undefined,
    unwritten: [],
    isForked: false,
    epoch: 7,
    compromised: [],
  },
};

export const seen = (changes: Partial<Examination>): Examination => ({ ...well, ...changes });
export const recorded = (changes: Partial<RotationRecord>): RotationRecord => ({ ...record, ...changes });
/** Without a journal: nothing that it says has to be believed. */
export const lost = { record: undefined, revision: undefined };
/** The log, with other things than the record expects. */
export const chained = (changes: Partial<Examination["chain"]>) => ({ chain: { ...well.chain, ...changes } });
