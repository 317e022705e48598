/** Lines of the functions' logs that alarms are made of (cdk/log-alarms.ts): by their words, whatever else stands in the line. */
export const logLines = {
  stepNotDone: "a step that Secrets Manager asked for is not done",
  /** As functions/decode.ts makes it of the event that has this name. */
  rotationFailed: "Secrets Manager says RotationFailed",
  webhookNotTaken: "a webhook of GitHub could not be taken",
  auditParted: "chains of the audit are not what was signed",
} as const;
