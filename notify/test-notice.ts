import type { Notice } from "./notice.ts";

/** A message that says it means nothing; `resolved` ends the alert that the first one may have begun. */
export function testNotice(status: "opened" | "resolved", id: string, by: string, now: number): Notice {
  return {
    kind: "test",
    id: status === "opened" ? `test/${id}` : `test/${id}/resolved`,
    key: `test/${id}`,
    status,
    severity: "info",
    summary: "a test message of Keyturn",
    detail: `${by} asked whether this channel works. Nothing has happened.`,
    commands: [],
    at: now,
  };
}
