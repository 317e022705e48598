import type { ServerResponse } from "node:http";
import { rightsAsked, type SecretArns } from "../asked-rights.ts";
import type { Asked, StrictRights } from "../strict-rights.ts";
import type { DeployedRights } from "./deployed-rights.ts";
import type { Call } from "./operation.ts";

/** The SDK says no more of a function's name than that (`AWS_SDK_UA_APP_ID`). */
const nameMax = 50;

/** No emulator asks whether a role allows a call: this does, of the functions whose roles it has been told. */
export class GateRights {
  readonly #roles = new Map<string, StrictRights>();
  #secretArns: SecretArns = new Map();
  readonly #refusals = new Set<string>();

  /** From here on these functions may do no more than that, and nobody else anything. */
  limitTo({ roles, secretArns }: DeployedRights): void {
    if (roles.size === 0) throw new Error("no function is there whose rights could be asked for");
    for (const [name, rights] of roles) this.#roles.set(name.slice(0, nameMax), rights);
    this.#secretArns = secretArns;
  }

  /** Why a call is refused; undefined: it is not, or nobody is limited yet. */
  refusal(call: Call, path: string, body: string): string | undefined {
    if (this.#roles.size === 0) return undefined;
    const why = lacking(call.by, this.#roles.get(call.by), () =>
      rightsAsked({ ...call, path, body }, this.#secretArns),
    );
    if (why !== undefined) this.#refusals.add(why);
    return why;
  }

  /** What comes back by itself later would hide that a right is lacking. */
  assertNoneLacking(): void {
    if (this.#refusals.size > 0) throw new Error([...this.#refusals].join("\n"));
  }
}

/** In AWS's words; or that nobody knows what rights such a call takes. */
function lacking(
  by: string,
  rights: StrictRights | undefined,
  asks: () => readonly Asked[],
): string | undefined {
  if (rights === undefined) return `a call by "${by}", which is none of the functions`;
  try {
    const asked = asks().find((one) => !rights.allow(one));
    if (asked === undefined) return undefined;
    const { action, resource } = asked;
    return `User: ${by} is not authorized to perform: ${action} on resource: ${resource} because no identity-based policy allows the ${action} action`;
  } catch (unknown) {
    return `${by}: ${unknown}`;
  }
}

/** As each service says it. */
export function deny(answer: ServerResponse, { service }: Call, message: string): void {
  if (service === "s3") {
    const body = `<Error><Code>AccessDenied</Code><Message>${message}</Message></Error>`;
    answer.writeHead(403, { "content-type": "application/xml" }).end(body);
    return;
  }
  const code = "AccessDeniedException";
  const headers = { "content-type": "application/x-amz-json-1.1", "x-amzn-errortype": code };
  answer.writeHead(400, headers).end(JSON.stringify({ __type: code, message }));
}
