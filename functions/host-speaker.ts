import { KeyturnError } from "../core/errors.ts";
import type { AgentReport } from "../core/fleet.ts";
import { hostId, hostSourcePrefix } from "../core/host-messages.ts";

/** Who has put an event on the bus: IAM lets a principal use no other source than its own. */
export interface Speaker {
  readonly fleet: string;
  /** `aws:userid`: the id of a role and the name of a session, or the id of a user. */
  readonly principal: string;
}

/** A process of a speaker's. */
export interface Host extends Speaker {
  /** The principal, or `principal/name`. */
  readonly host: string;
}

/** No fleet has a dot in its name on AWS, so the source can be read in one way only. */
const sourcePattern = /^(?<fleet>[\w-]+)\.(?<principal>[A-Z0-9]+(?::[\w+=,.@-]+)?)$/;

export function speakerOf(source: string): Speaker {
  const own = source.startsWith(hostSourcePrefix) ? source.slice(hostSourcePrefix.length) : "";
  const { fleet, principal } = sourcePattern.exec(own)?.groups ?? {};
  if (fleet !== undefined && principal !== undefined) return { fleet, principal };
  throw new KeyturnError("input-invalid", `the source ${source.slice(0, 200)} is no host's`);
}

/** The host that a speaker says it is. */
export function hostOf(speaker: Speaker, host: string): Host {
  const { principal } = speaker;
  if (host === principal) return { ...speaker, host };
  if (!host.startsWith(`${principal}/`)) throw foreign(speaker, `the host ${shown(host)}`);
  return { ...speaker, host: hostId(principal, host.slice(principal.length + 1)) };
}

/** Nobody speaks for others: a false word of adoption would cut somebody off. */
export function checkReport(speaker: Speaker, { agent, fleet }: AgentReport): void {
  const { principal } = speaker;
  if (agent !== principal && !agent.startsWith(`${principal}/`)) throw foreign(speaker, shown(agent));
  if (fleet !== speaker.fleet) throw foreign(speaker, `the fleet ${shown(fleet)}`);
}

function foreign({ fleet, principal }: Speaker, whom: string): KeyturnError {
  return new KeyturnError("access-denied", `${principal} of the fleet ${fleet} does not speak for ${whom}`);
}

/** What a stranger has sent is shown in part. */
function shown(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}
