import type { SQSBatchResponse, SQSEvent, SQSRecord } from "aws-lambda";
import * as z from "zod/mini";
import { acceptReports } from "../core/accept-reports.ts";
import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import { HostNotice, HostReport, type HostSecret, hostEvents } from "../core/host-messages.ts";
import { inParallel } from "../core/parallel.ts";
import type { Clock, ManagedSecret, Ports } from "../core/ports.ts";
import type { DeadLetters } from "./dead-letters.ts";
import { foreignJson } from "./foreign-json.ts";
import type { HostQueues } from "./host-queues.ts";
import { checkReport, type Host, hostOf, type Speaker, speakerOf } from "./host-speaker.ts";
import type { Wakes } from "./wakes.ts";

export interface HostPorts extends Pick<Ports, "journal" | "secrets" | "log"> {
  readonly clock: Pick<Clock, "now">;
  readonly overlapOf: (type: string) => Promise<"both-live" | "cutover">;
  readonly queues: Pick<HostQueues, "make" | "left" | "send">;
  readonly wakes: Wakes;
  readonly deadLetters: DeadLetters;
}

const messagesAtOnce = 10;

/**
 * Takes what hosts say on the bus, as a batch of its queue. What is forged or malformed is put aside with its reason; what fails for now comes
 * again; and neither keeps up the others. All of it may come twice, late and in any order: an agent's newest word is kept.
 */
export async function takeHostEvents(ports: HostPorts, { Records }: SQSEvent): Promise<SQSBatchResponse> {
  const taken = await inParallel(Records, messagesAtOnce, (record) => takeOrPutAside(ports, record));
  const again = Records.filter((_, index) => taken[index]?.status === "rejected");
  return { batchItemFailures: again.map(({ messageId }) => ({ itemIdentifier: messageId })) };
}

async function takeOrPutAside(ports: HostPorts, record: SQSRecord): Promise<void> {
  try {
    await take(ports, parse(Envelope, "an event of the bus", foreignJson(record.body)));
  } catch (thrown) {
    const error = asKeyturnError(thrown);
    const fields = { code: error.code, reason: error.message, messageId: record.messageId };
    if (error.disposition === "retry") {
      ports.log("warn", "what a host says could not be taken, and comes again", fields);
      throw error;
    }
    ports.log("error", "what a host says was put aside", fields);
    await ports.deadLetters.put(record.body, error);
  }
}

/** What EventBridge puts around what a host says; the times are its own. */
const Envelope = z.object({
  source: z.string(),
  "detail-type": z.enum([hostEvents.enrolled, hostEvents.reported, hostEvents.left]),
  time: z.iso.datetime(),
  detail: z.unknown(),
});
type Envelope = z.infer<typeof Envelope>;

async function take(ports: HostPorts, event: Envelope): Promise<void> {
  const speaker = speakerOf(event.source);
  const at = Date.parse(event.time);
  switch (event["detail-type"]) {
    case hostEvents.enrolled: {
      const host = hostOf(speaker, parse(HostNotice, "an enrolment", event.detail).host);
      const secrets = await readableBy(ports, host.fleet);
      await ports.queues.make(host, at);
      await ports.queues.send(host, { say: "welcome", secrets });
      return;
    }
    case hostEvents.left:
      return ports.queues.left(hostOf(speaker, parse(HostNotice, "a farewell", event.detail).host), at);
    case hostEvents.reported:
      return takeReports(ports, speaker, parse(HostReport, "reports", event.detail));
  }
}

async function takeReports(ports: HostPorts, speaker: Speaker, said: HostReport): Promise<void> {
  const host = hostOf(speaker, said.host);
  for (const report of said.reports) checkReport(speaker, report);
  const isTheirs = ({ ref }: { readonly ref: string }) => isFor(ports.secrets.get(ref), host.fleet);
  const theirs = said.reports.filter(isTheirs);
  const { refusedHolds } = await acceptReports(ports, theirs);
  const foreign = said.reports.filter((report) => !isTheirs(report));
  if (foreign.length > 0)
    await correct(
      ports,
      host,
      foreign.map(({ ref }) => ref),
    );
  if (said.answer !== undefined) {
    const notTheirs = foreign.flatMap(({ holds }) => holds.map(({ id }) => id));
    const refused = [...refusedHolds, ...notTheirs];
    await ports.queues.send(host, { say: "heard", answer: said.answer, refusedHolds: refused });
  }
  const news = new Set(theirs.map(({ ref }) => ref).filter((ref) => said.news.includes(ref)));
  await inParallel([...news], messagesAtOnce, (ref) => wake(ports, ref));
}

/** The manifest has changed since the host heard of it, or somebody tries what is not theirs: the others of its reports are taken all the same. */
async function correct(ports: HostPorts, host: Host, refs: readonly string[]): Promise<void> {
  const { fleet } = host;
  ports.log("warn", "reports on secrets that are not the fleet's were not taken", {
    host: host.host,
    fleet,
    refs,
  });
  await ports.queues.send(host, { say: "welcome", secrets: await readableBy(ports, fleet) });
}

/** The reports are in the journal: should this fail, the tick finds what has become due. */
async function wake(ports: HostPorts, ref: string): Promise<void> {
  try {
    await ports.wakes.wake(ref);
  } catch (thrown) {
    const { code, message: reason } = asKeyturnError(thrown);
    ports.log("warn", `no look at ${ref} could be ordered`, { code, reason });
  }
}

async function readableBy(
  { secrets, overlapOf }: Pick<HostPorts, "secrets" | "overlapOf">,
  fleet: string,
): Promise<HostSecret[]> {
  const mine = secrets
    .refs()
    .flatMap((ref) => secrets.get(ref) ?? [])
    .filter((one) => isFor(one, fleet));
  if (mine.length === 0) {
    throw new KeyturnError("access-denied", `the manifest has no secret for the fleet ${fleet}`);
  }
  return Promise.all(
    mine.map(async ({ ref, type, policy: { cacheTtlMs } }) => ({
      ref,
      type,
      overlap: await overlapOf(type),
      cacheTtlMs,
    })),
  );
}

function isFor(managed: ManagedSecret | undefined, fleet: string): boolean {
  return managed?.fleets.includes(fleet) ?? false;
}

function parse<Schema extends z.ZodMiniType>(schema: Schema, what: string, value: unknown): z.infer<Schema> {
  const parsed = z.safeParse(schema, value);
  if (parsed.success) return parsed.data;
  const where = parsed.error.issues.map((issue) => issue.path.join(".") || "the whole").slice(0, 5);
  throw new KeyturnError("input-invalid", `not ${what}: ${where.join(", ")}`);
}
