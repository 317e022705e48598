import type { SQSBatchResponse, SQSEvent, SQSRecord } from "aws-lambda";
import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import { identify } from "../core/identify.ts";
import { LeakedText } from "../core/leaked.ts";
import { request, versionMark } from "../core/operate.ts";
import { inParallel } from "../core/parallel.ts";
import type { FingerprintMatch, Log, Ports } from "../core/ports.ts";
import { managedSecret } from "../core/reconcile.ts";
import type { Request } from "../core/request.ts";
import { Secret } from "../core/secret.ts";
import type { DeadLetters } from "./dead-letters.ts";
import { decode, type Incident } from "./decode.ts";
import { foreignJson } from "./foreign-json.ts";
import type { GithubAlerts } from "./github-alerts.ts";
import { type Order, requestOf, standingOf } from "./orders.ts";
import type { RoleSessions } from "./role-sessions.ts";

export interface IncidentPorts {
  readonly ports: Ports;
  /** Has a secret worked on at once. */
  readonly work: (ref: string) => Promise<void>;
  readonly sessions: RoleSessions;
  readonly github: GithubAlerts;
  readonly deadLetters: DeadLetters;
}

const messagesAtOnce = 10;

/**
 * Carries out what a batch of the incidents' queue tells. Nothing in an event is believed but its reason to look: what is cut off is what the
 * journal knows by its fingerprint, and the successor is published first. All of it may come twice, late and in any order. What can never be
 * carried out, and what a person has to see to, is put aside with its reason, where an alarm is; what fails for now comes again.
 */
export async function takeIncidents(to: IncidentPorts, { Records }: SQSEvent): Promise<SQSBatchResponse> {
  const taken = await inParallel(Records, messagesAtOnce, (record) => takeOrPutAside(to, record));
  const again = Records.filter((_, index) => taken[index]?.status === "rejected");
  return { batchItemFailures: again.map(({ messageId }) => ({ itemIdentifier: messageId })) };
}

async function takeOrPutAside(to: IncidentPorts, record: SQSRecord): Promise<void> {
  const { log } = to.ports;
  try {
    const sentAt = Number(record.attributes.SentTimestamp);
    for (const incident of decode(foreignJson(record.body))) await carryOut(to, incident, sentAt);
  } catch (thrown) {
    const error = asKeyturnError(thrown);
    const fields = { code: error.code, reason: error.message, messageId: record.messageId };
    if (error.disposition === "retry") {
      log("warn", "an incident could not be seen to, and comes again", fields);
      throw error;
    }
    log("error", "an incident was put aside for a person", fields);
    await to.deadLetters.put(record.body, error);
  }
}

async function carryOut(to: IncidentPorts, incident: Incident, sentAt: number): Promise<void> {
  const { log, secrets } = to.ports;
  switch (incident.kind) {
    case "nothing":
      log("debug", "nothing is to be done", { because: incident.because });
      return;
    case "person":
      throw new KeyturnError("request-refused", `a person has to look: ${incident.because}`);
    case "look":
      // An account has other secrets, too.
      if (secrets.get(incident.ref) === undefined) return;
      // What Secrets Manager could call nobody for is in no other log.
      log("info", `looks at ${incident.ref}: ${incident.because}`, { ref: incident.ref });
      return to.work(incident.ref);
    case "order":
      return obey(to, incident.order, sentAt);
    case "key-leaked": {
      const { accessKeyId, because } = incident;
      const found = await identify(to.ports, new LeakedText(new Secret(accessKeyId)));
      if (found.length > 0) return revoke(to, found, because);
      throw new KeyturnError(
        "request-refused",
        `a person has to look: ${because} of ${accessKeyId}, and no secret here has or had this key`,
      );
    }
    case "sessions-leaked":
      return to.sessions.end(incident.role, incident.at, incident.because);
    case "value-found": {
      const value = await to.github.read(incident);
      const found = value === undefined ? [] : await identify(to.ports, new LeakedText(value));
      if (found.length > 0) return revoke(to, found, incident.because);
      log("info", "GitHub found a value that is none of ours", { because: incident.because });
      return;
    }
  }
}

async function obey(to: IncidentPorts, order: Order, sentAt: number): Promise<void> {
  const { ref, by } = order;
  managedSecret(to.ports, ref);
  const record = (await to.ports.journal.load(ref))?.record;
  const standing = standingOf(record, order, sentAt);
  if (standing === "past") {
    to.ports.log("info", "an order is over that was delivered late, or again", { ref, order: order.order });
    return;
  }
  if (standing === "unclear") {
    throw new KeyturnError(
      "request-refused",
      `revoke of ${ref}: its versions have changed since the order was sent: name the version that leaked`,
    );
  }
  if (order.order !== "revoke") return ask(to, ref, requestOf(order));
  const version = await versionMark(ref, to.ports, order.version).catch((thrown: unknown) => {
    // An order that comes again, when it was carried out and the value is gone.
    if (record?.compromised.some((entry) => entry.version === order.version) === true) return undefined;
    throw thrown;
  });
  if (version === undefined) return;
  return ask(to, ref, { kind: "emergency", by, version, cutFirst: order.cutFirst });
}

/** Each by itself: that one cannot be struck keeps up no other. */
async function revoke(to: IncidentPorts, found: readonly FingerprintMatch[], because: string): Promise<void> {
  const versions = new Map(
    found.map(({ ref, version }) => [JSON.stringify([ref, version]), { ref, version }]),
  );
  const struck = await inParallel([...versions.values()], messagesAtOnce, (one) => strike(to, one, because));
  const failed = struck.find((one) => one.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

async function strike(
  to: IncidentPorts,
  { ref, version }: { readonly ref: string; readonly version: string },
  because: string,
): Promise<void> {
  const { ports } = to;
  managedSecret(ports, ref);
  const mark = await versionMark(ref, ports, version).catch(unlessGone(ports.log, ref, version));
  if (mark === undefined) return;
  await ask(to, ref, { kind: "emergency", by: because, version: mark, cutFirst: false });
}

/** Its value is gone from the store, as it goes once the target is proven to refuse it and the retention is over. */
function unlessGone(log: Log, ref: string, version: string): (thrown: unknown) => undefined {
  return (thrown) => {
    if (asKeyturnError(thrown).code !== "secret-missing") throw thrown;
    log("info", "what leaked was retired long ago", { ref, version });
    return undefined;
  };
}

async function ask(to: IncidentPorts, ref: string, what: Request): Promise<void> {
  const { answer, why } = await request(ref, to.ports, what, { sparesAdmin: true });
  to.ports.log("info", "a request was recorded", { ref, request: what.kind, answer, why });
  if (answer === "refused") throw new KeyturnError("request-refused", `${what.kind} of ${ref}: ${why}`);
  if (answer !== "nothing") await to.work(ref);
}
