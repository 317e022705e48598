import * as z from "zod/mini";
import { KeyturnError } from "../core/errors.ts";
import type { FoundByGithub } from "./github-alerts.ts";
import { Order } from "./orders.ts";

/** What happened outside, in Keyturn's words. Nothing in it is a value; that a key has leaked says its id, which is none. */
export type Incident =
  /** Something about a secret may have changed: it is looked at, and what is found there decides. */
  | { readonly kind: "look"; readonly ref: string; readonly because: string }
  /** An access key of an IAM user is where it should not be. */
  | { readonly kind: "key-leaked"; readonly accessKeyId: string; readonly because: string }
  /** Credentials of a role's sessions are where they should not be: they end with the sessions. */
  | {
      readonly kind: "sessions-leaked";
      readonly role: string;
      /** When it was seen, in milliseconds since 1970: sessions that began later are others. */
      readonly at: number;
      readonly because: string;
    }
  /** GitHub found a value in a repository, and tells it on request. */
  | ({ readonly kind: "value-found" } & FoundByGithub)
  /** A person asks. */
  | { readonly kind: "order"; readonly order: Order }
  /** It is understood, and nothing is to be done. */
  | { readonly kind: "nothing"; readonly because: string }
  /** It is understood, and a person has to look. */
  | { readonly kind: "person"; readonly because: string };

const arn = z
  .string()
  .check(z.regex(/^arn:aws[\w-]*:secretsmanager:[\w-]+:\d{12}:secret:.+-[A-Za-z0-9]{6}$/));
const time = z.iso.datetime();
const accessKeyId = z.string().check(z.regex(/^(AKIA|ASIA)[A-Z0-9]{12,124}$/));

const Envelope = z.object({
  source: z.string(),
  "detail-type": z.string(),
  time,
  detail: z.unknown(),
});
type Envelope = z.infer<typeof Envelope>;

/** https://docs.aws.amazon.com/secretsmanager/latest/userguide/monitoring-eventbridge.html */
const LabelUpdated = z.object({ name: z.string(), labelUpdated: z.string(), versionId: z.string() });

/** https://docs.aws.amazon.com/secretsmanager/latest/userguide/cloudtrail_log_entries.html: the id stands in one of two places. */
const RotationTold = z.object({
  eventName: z.string(),
  additionalEventData: z.nullish(z.object({ SecretId: arn })),
  serviceEventDetails: z.nullish(z.object({ secretId: arn })),
});
const rotationEvents = /^(Test)?Rotation(Started|Succeeded|Failed|Abandoned)$/;

/** A call that somebody made: what it did to which secret. */
const ApiCall = z.object({
  eventName: z.string(),
  responseElements: z.nullish(z.object({ arn: z.optional(arn) })),
});

/** https://docs.aws.amazon.com/health/latest/ug/cloudwatch-events-health.html */
const HealthEvent = z.object({
  eventTypeCode: z.string(),
  affectedEntities: z.array(z.object({ entityValue: z.string() })),
});
const exposed = "AWS_RISK_CREDENTIALS_EXPOSED";

/** https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_finding-format.html */
const Finding = z.object({
  type: z.string(),
  severity: z.number(),
  resource: z.object({
    resourceType: z.string(),
    accessKeyDetails: z.optional(
      z.object({ accessKeyId: z.string(), userType: z.string(), userName: z.string() }),
    ),
  }),
});
/** From here on GuardDuty calls a finding high, and advises to act at once. */
const highSeverity = 7;

/** https://docs.github.com/en/webhooks/webhook-events-and-payloads#secret_scanning_alert */
const Alert = z.object({
  action: z.string(),
  alert: z.object({ number: z.int().check(z.gte(1)), state: z.optional(z.string()) }),
  repository: z.object({ full_name: z.string().check(z.regex(/^[\w.-]+\/[\w.-]+$/)) }),
  installation: z.optional(z.object({ id: z.int().check(z.gte(1)) })),
});

const FoundMessage = z.object({
  foundByGithub: z.object({
    repository: z.string(),
    alert: z.number(),
    installation: z.optional(z.number()),
    because: z.string(),
  }),
});

const Misunderstood = z.object({ misunderstood: z.object({ because: z.string() }) });

/**
 * Says what an event of AWS means, or an order by hand. Throws `input-invalid` with the field for what is malformed, and for what nobody has
 * said to send here. Whoever sent it is known by the way on which it came: EventBridge takes no event of a service from anybody else.
 */
export function decode(json: unknown): readonly Incident[] {
  if (json !== null && typeof json === "object" && "order" in json) {
    return [{ kind: "order", order: read(Order, json, "order") }];
  }
  if (json !== null && typeof json === "object" && "foundByGithub" in json) {
    const { foundByGithub } = read(FoundMessage, json, "message");
    return [{ kind: "value-found", ...foundByGithub, installation: foundByGithub.installation }];
  }
  if (json !== null && typeof json === "object" && "misunderstood" in json) {
    return [{ kind: "person", because: read(Misunderstood, json, "message").misunderstood.because }];
  }
  const event = read(Envelope, json, "event");
  switch (event.source) {
    case "aws.secretsmanager":
      return [decodeSecretsManager(event)];
    case "aws.health":
      return decodeHealth(event);
    case "aws.guardduty":
      return [decodeFinding(event)];
    default:
      throw unknown(`the source ${shown(event.source)}`);
  }
}

/** An alert as it goes on the queue, once its signature was checked. */
export function foundMessage({ repository, alert, installation, because }: FoundByGithub): string {
  return JSON.stringify({ foundByGithub: { repository, alert, installation, because } });
}

/** A delivery that GitHub has signed and nobody understands, as it goes on the queue: its id finds it at GitHub, and nothing else of it goes along. */
export function misunderstoodMessage(delivery: string, why: string): string {
  const because = `GitHub's delivery ${shown(delivery) || "without an id"}: ${why}`;
  return JSON.stringify({ misunderstood: { because } } satisfies z.infer<typeof Misunderstood>);
}

/** Says what a webhook of GitHub means: `event` is its header, and the body was checked to be GitHub's. */
export function decodeGithub(
  event: string,
  json: unknown,
): Extract<Incident, { kind: "nothing" | "value-found" }> {
  if (event === "ping") return { kind: "nothing", because: "GitHub says that the webhook is there" };
  if (event !== "secret_scanning_alert") throw unknown(`GitHub's event ${shown(event)}`);
  const { action, alert, repository, installation } = read(Alert, json, "alert");
  const because = `secret scanning alert ${alert.number} of ${repository.full_name}, ${shown(action)}`;
  const isOpen = alert.state === undefined || alert.state === "open";
  if (!["created", "publicly_leaked", "reopened"].includes(action) || !isOpen)
    return { kind: "nothing", because };
  return {
    kind: "value-found",
    repository: repository.full_name,
    alert: alert.number,
    installation: installation?.id,
    because,
  };
}

function decodeSecretsManager(event: Envelope): Incident {
  switch (event["detail-type"]) {
    case "Secret Label Updated": {
      const { name, labelUpdated, versionId } = read(LabelUpdated, event.detail, "detail");
      return {
        kind: "look",
        ref: name,
        because: `the label ${shown(labelUpdated)} moved to ${shown(versionId)}`,
      };
    }
    case "AWS Service Event via CloudTrail": {
      const { eventName, additionalEventData, serviceEventDetails } = read(
        RotationTold,
        event.detail,
        "detail",
      );
      if (!rotationEvents.test(eventName)) throw unknown(`Secrets Manager's event ${shown(eventName)}`);
      const secretId = additionalEventData?.SecretId ?? serviceEventDetails?.secretId;
      if (secretId === undefined) throw malformed("detail names no secret");
      return { kind: "look", ref: nameIn(secretId), because: `Secrets Manager says ${eventName}` };
    }
    case "AWS API Call via CloudTrail": {
      const { eventName, responseElements } = read(ApiCall, event.detail, "detail");
      const named = responseElements?.arn;
      if (named === undefined)
        return { kind: "nothing", because: `${shown(eventName)} did nothing to a secret` };
      return { kind: "look", ref: nameIn(named), because: `somebody has called ${shown(eventName)}` };
    }
    default:
      throw unknown(`Secrets Manager's ${shown(event["detail-type"])}`);
  }
}

function decodeHealth({ detail }: Envelope): readonly Incident[] {
  const { eventTypeCode, affectedEntities } = read(HealthEvent, detail, "detail");
  const because = `AWS Health says ${shown(eventTypeCode)}`;
  if (eventTypeCode !== exposed) return [{ kind: "nothing", because }];
  if (affectedEntities.length === 0) return [{ kind: "person", because: `${because}, and not of which key` }];
  return affectedEntities.map(({ entityValue }) =>
    isAccessKey(entityValue)
      ? { kind: "key-leaked", accessKeyId: entityValue, because }
      : { kind: "person", because: `${because} of something that is no access key` },
  );
}

function decodeFinding({ detail, time: at }: Envelope): Incident {
  const { type, severity, resource } = read(Finding, detail, "detail");
  const because = `GuardDuty says ${shown(type)}, severity ${severity}`;
  const { resourceType, accessKeyDetails: key } = resource;
  if (resourceType !== "AccessKey" || key === undefined) return { kind: "nothing", because };
  if (severity < highSeverity)
    return { kind: "person", because: `${because}: not certain enough to cut a key off` };
  if (key.userType === "IAMUser" && isAccessKey(key.accessKeyId) && key.accessKeyId.startsWith("AKIA")) {
    return { kind: "key-leaked", accessKeyId: key.accessKeyId, because };
  }
  if (key.userType === "AssumedRole" && key.userName !== "") {
    return { kind: "sessions-leaked", role: key.userName, at: Date.parse(at), because };
  }
  return { kind: "person", because: `${because}, of a ${shown(key.userType)}` };
}

function isAccessKey(text: string): boolean {
  return accessKeyId.safeParse(text).success;
}

/** Secrets Manager puts six characters behind the name. */
function nameIn(secretArn: string): string {
  return secretArn.split(":").slice(6).join(":").slice(0, -"-AbCdEf".length);
}

/** What a stranger has sent is shown in part, and never with a line of its own. */
function shown(text: string): string {
  return text.slice(0, 100).replace(/[^\x20-\x7e]/g, "?");
}

function read<Schema extends z.ZodMiniType>(schema: Schema, json: unknown, what: string): z.infer<Schema> {
  const parsed = z.safeParse(schema, json);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map(({ path }) => [what, ...path].join("."));
  throw malformed([...new Set(fields)].slice(0, 5).join(", "));
}

function malformed(where: string): KeyturnError {
  return new KeyturnError("input-invalid", `not what it should be: ${where}`);
}

function unknown(what: string): KeyturnError {
  return new KeyturnError("input-invalid", `nobody has said what ${what} means`);
}
