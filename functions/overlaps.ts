// Written by `npm run gen` from the files of rotators/. Do not edit.

/** Whether old and new of a credential type live side by side, by type. */
export const overlaps: ReadonlyMap<string, "both-live" | "cutover"> = new Map([
  ["aws-iam-access-key", "both-live"],
  ["postgres-alternating", "both-live"],
  ["postgres-password", "cutover"],
]);
