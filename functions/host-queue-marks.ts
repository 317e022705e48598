import type { Host } from "./host-speaker.ts";

/** What is written on a host's queue, as tags. */
export interface Marks {
  readonly installation: string | undefined;
  readonly fleet: string;
  /** When its host was last heard of, to the hour. */
  readonly heardAt: number;
  /** When it said that it ends; 0 if it never did. */
  readonly leftAt: number;
}

const tag = {
  installation: "keyturn:installation",
  fleet: "keyturn:fleet",
  principal: "keyturn:principal",
  host: "keyturn:host",
  heard: "keyturn:heard",
  left: "keyturn:left",
} as const;

/** The principal's is what IAM compares: agents may read a queue that has their own. */
export function tagsOfHost(installation: string, { fleet, principal, host }: Host): Record<string, string> {
  return {
    [tag.installation]: installation,
    [tag.fleet]: fleet,
    [tag.principal]: tagValue(principal),
    [tag.host]: tagValue(host),
  };
}

/** A session's name may have a comma, and no tag takes one. */
function tagValue(text: string): string {
  return text.replace(/[^\w.:/=+@-]/g, "_");
}

export function heardTag(at: number): Record<string, string> {
  return { [tag.heard]: new Date(at).toISOString() };
}

export function leftTag(at: number): Record<string, string> {
  return { [tag.left]: new Date(at).toISOString() };
}

export function marksOf(tags: Readonly<Record<string, string>>): Marks {
  const time = (name: string, otherwise: number) => {
    const at = Date.parse(tags[name] ?? "");
    return Number.isNaN(at) ? otherwise : at;
  };
  return {
    installation: tags[tag.installation],
    fleet: tags[tag.fleet] ?? "",
    // Somebody took the tag away: that is no sign of an end.
    heardAt: time(tag.heard, Number.POSITIVE_INFINITY),
    leftAt: time(tag.left, 0),
  };
}

const silentForMs = 3 * 86_400_000;
/** Whoever is restarted says that it ends, and is back: AWS takes a minute until a queue can be made again. */
const leftForMs = 10 * 60_000;
const goneForSureMs = 30 * 86_400_000;

/**
 * Silence is measured by when any host was heard last: where nobody was, it is the service that does not hear, and nobody is gone.
 */
export function isGone({ heardAt, leftAt }: Marks, anyHeardAt: number, now: number): boolean {
  if (leftAt > heardAt && now - leftAt > leftForMs) return true;
  return anyHeardAt - heardAt > silentForMs || now - heardAt > goneForSureMs;
}

const turnEveryMs = 10 * 60_000;
/** Enough of them that among so many living hosts one was heard lately. */
const turnSize = 200;

/** Whether something is to be looked at in this minute. */
export function isTurn(now: number): boolean {
  return now % turnEveryMs < 60_000;
}

/** The share of the names that is looked at now: the whole of a few, and of many all within some turns. */
export function shareOf(names: readonly string[], now: number): readonly string[] {
  const shares = Math.ceil(names.length / turnSize);
  const turn = Math.floor(now / turnEveryMs) % Math.max(1, shares);
  return names.filter((name) => Number.parseInt(name.slice(-8), 16) % shares === turn);
}

/** A host's queue, by its name: what else an installation has ends otherwise. */
export function isHostQueue(name: string): boolean {
  return /-[0-9a-f]{16}$/.test(name);
}

/** Only the fleet's topic writes there, besides whoever may by IAM; and only the host itself reads. */
export function attributesOf(topicArn: string, principal: string): Record<string, string> {
  const policy = {
    Version: "2012-10-17",
    Statement: [
      {
        Sid: "TheTopicOfTheFleet",
        Effect: "Allow",
        Principal: { Service: "sns.amazonaws.com" },
        Action: "sqs:SendMessage",
        Resource: "*",
        Condition: { ArnEquals: { "aws:SourceArn": topicArn } },
      },
      {
        Sid: "NobodyButItsHost",
        Effect: "Deny",
        Principal: "*",
        Action: ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"],
        Resource: "*",
        Condition: { StringNotEquals: { "aws:userid": principal } },
      },
    ],
  };
  return {
    // What is older than this the host has learned on its pulse.
    MessageRetentionPeriod: "3600",
    VisibilityTimeout: "30",
    ReceiveMessageWaitTimeSeconds: "20",
    SqsManagedSseEnabled: "true",
    Policy: JSON.stringify(policy),
  };
}
