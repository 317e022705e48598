/** What can be wrong with a secret; each has its row in `docs/doctor.md`. */
export const ailments = [
  "journal-lost",
  "record-unreadable",
  "epoch-behind",
  "store-behind",
  "current-missing",
  "current-refused",
  "current-unclear",
  "revived",
  "foreign-pending",
  "other-installation",
  "halted",
  "paused",
  "debt-unpaid",
  "audit-broken",
  "not-ready",
  "unreachable",
] as const;

export type Ailment = (typeof ailments)[number];
