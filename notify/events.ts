import type { EventData, RotationEvent } from "../core/events.ts";
import type { ManagedSecret } from "../core/ports.ts";
import type { Condition, Notice } from "./notice.ts";

type Failed = Extract<RotationEvent, { type: "dev.keyturn.rotation.failed.v1" }>;
export type News = Exclude<RotationEvent, { type: "dev.keyturn.secret.revoked.v1" } | Failed>;

/** News has no end: whoever asked for it is told once. */
export function newsOf(event: News, managed: Pick<ManagedSecret, "tenant">): Notice {
  const { subject: secret } = event;
  return {
    ...wordsOf(event),
    id: event.id,
    key: event.id,
    secret,
    tenant: managed.tenant,
    version: event.data.version,
    status: "told",
    severity: "info",
    commands: [],
    at: Date.parse(event.time),
  };
}

function wordsOf({ type, subject, data }: News): Pick<Notice, "kind" | "summary" | "detail"> {
  switch (type) {
    case "dev.keyturn.secret.rotated.v1":
      return {
        kind: "rotated",
        summary: `${subject} has a new version`,
        detail: `Version ${data.version} is current${data.urgent ? "; the one before has leaked" : ""}.`,
      };
    case "dev.keyturn.secret.adopted.v1":
      return {
        kind: "adopted",
        summary: `every agent uses the new version of ${subject}`,
        detail: `Agents on version ${data.version}: ${data.agents}.`,
      };
    case "dev.keyturn.secret.retired.v1":
      return {
        kind: "retired",
        summary: `an old credential of ${subject} is refused`,
        detail: `The target refuses version ${data.version}; sessions ended: ${data.sessionsEnded}.`,
      };
  }
}

/** What the journal does not keep by itself: that a rotation was undone, is late, or waits for agents. */
export function failureOf(event: Failed, managed: Pick<ManagedSecret, "tenant">): Condition {
  const { subject: secret, data } = event;
  const kind = data.outcome;
  return {
    ...failures[kind],
    summary: `${failures[kind].summary} ${secret}`,
    kind,
    key: `${secret}/${kind}`,
    id: event.id,
    since: Date.parse(event.time),
    secret,
    tenant: managed.tenant,
    detail: `${data.code}: ${data.reason}`,
    commands: [`keyturn status ${secret}`],
  };
}

const failures = {
  undone: {
    severity: "warning",
    summary: "a rotation was undone:",
    remedy: "The old credential works on. Remove the cause, then rotate again.",
  },
  halted: {
    severity: "critical",
    summary: "a rotation was halted:",
    remedy: "Look at what happened; it goes on meanwhile.",
  },
  delayed: {
    severity: "warning",
    summary: "a rotation is late:",
    remedy: "Remove the cause; it is tried again by itself.",
  },
  laggards: {
    severity: "warning",
    summary: "an old credential is still used:",
    remedy: "Find who still uses the old credential, and let them read again.",
  },
} as const satisfies Record<EventData<Failed["type"]>["outcome"], Partial<Condition>>;
