import type { ServerResponse } from "node:http";
import * as z from "zod/mini";
import { rightsAsked, type SecretArns } from "../asked-rights.ts";
import type { Asked, StrictRights } from "../strict-rights.ts";
import type { DeployedRights } from "./deployed-rights.ts";
import type { Call } from "./operation.ts";

/** The SDK says no more of a function's name than that (`AWS_SDK_UA_APP_ID`). */
const nameMax = 50;

const ManySecrets = z.looseObject({ SecretIdList: z.array(z.string()) });

/** One of several secrets that are read by one call. */
export interface Withheld {
  readonly id: string;
  readonly why: string;
}

interface Judged {
  /** Why the whole of it is refused. */
  readonly refusal?: string;
  /** What its answer names as refused, as AWS does, instead of giving it. */
  readonly withheld?: readonly Withheld[];
}

/** No emulator asks whether a role allows a call: this does, of the functions whose roles it has been told. */
export class GateRights {
  readonly #roles = new Map<string, StrictRights>();
  #secretArns: SecretArns = new Map();
  #tagsOf: DeployedRights["tagsOf"];
  readonly #refusals = new Set<string>();

  /** From here on these functions may do no more than that, and nobody else anything. */
  limitTo({ roles, secretArns, tagsOf }: DeployedRights): void {
    if (roles.size === 0) throw new Error("no function is there whose rights could be asked for");
    for (const [name, rights] of roles) this.#roles.set(name.slice(0, nameMax), rights);
    this.#secretArns = secretArns;
    this.#tagsOf = tagsOf;
  }

  /** A call is let through as long as nobody is limited. */
  async judge(call: Call, path: string, body: string): Promise<Judged> {
    if (this.#roles.size === 0) return {};
    const judged = await this.#judged(call, path, body);
    const { refusal, withheld = [] } = judged;
    if (refusal !== undefined) this.#refusals.add(refusal);
    for (const { why } of withheld) this.#refusals.add(why);
    return judged;
  }

  /** What comes back by itself later would hide that a right is lacking. */
  assertNoneLacking(): void {
    if (this.#refusals.size > 0) throw new Error([...this.#refusals].join("\n"));
  }

  /** The refusals that name this, which whoever takes them has looked for: they are no fault any more. */
  take(about: string): readonly string[] {
    const taken = [...this.#refusals].filter((why) => why.includes(about));
    for (const why of taken) this.#refusals.delete(why);
    return taken;
  }

  async #judged(call: Call, path: string, body: string): Promise<Judged> {
    const { by } = call;
    const rights = this.#roles.get(by);
    if (rights === undefined) return { refusal: `a call by "${by}", which is none of the functions` };
    const asked = this.#asked(call, path, body);
    if (typeof asked === "string") return { refusal: asked };
    const lacking: (string | undefined)[] = [];
    for (const one of asked) lacking.push(lackingOf(by, rights, await this.#tagged(one)));
    if (call.operation !== "BatchGetSecretValue") return judgedBy(lacking);
    const [together, ...each] = lacking;
    if (together !== undefined) return { refusal: together };
    const ids = ManySecrets.parse(JSON.parse(body)).SecretIdList;
    const withheld = ids.map((id, index) => ({ id, why: each[index] }));
    return { withheld: withheld.flatMap(({ id, why }) => (why === undefined ? [] : [{ id, why }])) };
  }

  /** Or that nobody knows what rights such a call takes. */
  #asked(call: Call, path: string, body: string): readonly Asked[] | string {
    try {
      return rightsAsked({ ...call, path, body }, this.#secretArns);
    } catch (unknown) {
      return `${call.by}: ${unknown}`;
    }
  }

  /** With what the secret bears at this moment, where rights go by it. */
  async #tagged(asked: Asked): Promise<Asked> {
    const { resource, context } = asked;
    if (this.#tagsOf === undefined || !resource.startsWith("arn:aws:secretsmanager:")) return asked;
    const tags = Object.entries(await this.#tagsOf(resource));
    const borne = tags.map(([key, value]) => [`aws:ResourceTag/${key}`, value] as const);
    return { ...asked, context: { ...context, ...Object.fromEntries(borne) } };
  }
}

/** In AWS's words; or what the model of IAM does not know. */
function lackingOf(by: string, rights: StrictRights, asked: Asked): string | undefined {
  const { action, resource } = asked;
  try {
    if (rights.allow(asked)) return undefined;
  } catch (unknown) {
    return `${by}: ${unknown}`;
  }
  return `User: ${by} is not authorized to perform: ${action} on resource: ${resource} because no identity-based policy allows the ${action} action`;
}

function judgedBy(lacking: readonly (string | undefined)[]): Judged {
  const refusal = lacking.find((why) => why !== undefined);
  return refusal === undefined ? {} : { refusal };
}

/** What is asked for without what is withheld, as a body; undefined: nothing is left of it. */
export function withoutWithheld(body: string, withheld: readonly Withheld[]): string | undefined {
  const asked = ManySecrets.parse(JSON.parse(body));
  const refused = new Set(withheld.map(({ id }) => id));
  const left = asked.SecretIdList.filter((id) => !refused.has(id));
  return left.length === 0 ? undefined : JSON.stringify({ ...asked, SecretIdList: left });
}

/** An answer to what is left, and what AWS says of the others. */
export function withErrors(answer: string | undefined, withheld: readonly Withheld[]): string {
  const given = answer === undefined ? { SecretValues: [] } : JSON.parse(answer);
  const errors = withheld.map(({ id, why }) => ({
    SecretId: id,
    ErrorCode: "AccessDeniedException",
    Message: why,
  }));
  return JSON.stringify({ ...given, Errors: [...(given.Errors ?? []), ...errors] });
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
