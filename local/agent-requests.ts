import { KeyturnError } from "../core/errors.ts";
import type { AgentReport } from "../core/fleet.ts";
import type { ManagedSecret, SecretStore } from "../core/ports.ts";
import { type ReportReply, ReportRequest, type SecretList, type SecretReply } from "../core/protocol.ts";
import { type Answer, refusal } from "./http.ts";
import type { Enrolled } from "./tokens.ts";

export interface AgentRequestPorts {
  /** What the manifest says, by reference; asked at every request. */
  readonly secrets: {
    get(ref: string): ManagedSecret | undefined;
    values(): Iterable<ManagedSecret>;
  };
  readonly store: Pick<SecretStore, "read">;
  readonly overlapOf: (type: string) => Promise<"both-live" | "cutover">;
  readonly acceptReports: (
    reports: readonly AgentReport[],
  ) => Promise<{ readonly refusedHolds: readonly string[] }>;
}

/** The secrets of the fleets that the token is for. */
export function listSecrets({ secrets }: Pick<AgentRequestPorts, "secrets">, who: Enrolled): Answer {
  const mine = [...secrets.values()].filter((managed) => isFor(managed, who));
  const body = { secrets: mine.map(({ ref, type }) => ({ ref, type })) } satisfies SecretList;
  return { status: 200, body };
}

export async function readSecret(
  ports: Pick<AgentRequestPorts, "secrets" | "store" | "overlapOf">,
  who: Enrolled,
  ref: string,
  stage: string,
): Promise<Answer> {
  if (stage !== "current" && stage !== "pending") {
    throw new KeyturnError("input-invalid", "stage is current or pending");
  }
  const managed = readableSecret(ports, who, ref);
  const overlap = await ports.overlapOf(managed.type);
  if (stage === "pending" && overlap !== "cutover") {
    throw new KeyturnError(
      "access-denied",
      `${ref} keeps its old value until all have the new one: read current`,
    );
  }
  const stored = await ports.store.read(ref, stage);
  if (stored === undefined) return refusal(404, "secret-missing", `${ref} has no ${stage} value`);
  const body = {
    ref,
    version: stored.version,
    value: stored.value.reveal(),
    overlap,
    cacheTtlMs: managed.policy.cacheTtlMs,
  } satisfies SecretReply;
  return { status: 200, body };
}

/** All of a request or nothing of it: an agent that is refused learns so, and sends the rest again. */
export async function takeReports(
  ports: Pick<AgentRequestPorts, "secrets" | "acceptReports">,
  who: Enrolled,
  json: unknown,
): Promise<Answer> {
  const request = ReportRequest.safeParse(json);
  if (!request.success) {
    const where = request.error.issues.map((issue) => issue.path.join(".") || "the body").slice(0, 5);
    throw new KeyturnError("input-invalid", `not a request with reports: ${where.join(", ")}`);
  }
  const { reports } = request.data;
  for (const report of reports) checkReport(ports, who, report);
  const { refusedHolds } = await ports.acceptReports(reports);
  return { status: 200, body: { refusedHolds: [...refusedHolds] } satisfies ReportReply };
}

/** One answer for what does not exist and for what is not theirs, so that nobody finds out which it is. */
export function readableSecret(
  { secrets }: Pick<AgentRequestPorts, "secrets">,
  who: Enrolled,
  ref: string,
): ManagedSecret {
  const managed = secrets.get(ref);
  if (managed !== undefined && isFor(managed, who)) return managed;
  throw new KeyturnError("access-denied", `the token of ${who.principal} is for no fleet of ${ref}`);
}

export function isFor(managed: ManagedSecret, who: Enrolled): boolean {
  return managed.fleets.some((fleet) => who.fleets.includes(fleet));
}

/** Nobody speaks for others: a false word of adoption would cut somebody off. */
function checkReport(
  ports: Pick<AgentRequestPorts, "secrets">,
  who: Enrolled,
  { ref, agent, fleet }: AgentReport,
): void {
  const { principal } = who;
  if (agent !== principal && !agent.startsWith(`${principal}/`)) {
    throw new KeyturnError("access-denied", `the token of ${principal} does not speak for ${agent}`);
  }
  if (!who.fleets.includes(fleet)) {
    throw new KeyturnError("access-denied", `the token of ${principal} is not for the fleet ${fleet}`);
  }
  readableSecret(ports, who, ref);
}
