import type { ServerResponse } from "node:http";
import * as z from "zod/mini";
import { rightsAsked, type SecretArns } from "../asked-rights.ts";
import type { Asked, StrictRights } from "../strict-rights.ts";
import type { DeployedRights } from "./deployed-rights.ts";
import type { Call } from "./operation.ts";

/** The SDK says no more of a function's name than that (`AWS_SDK_UA_APP_ID`). */
const nameMax = 50;

const ManySecrets = z.looseObject({ SecretIdList: z.array(z.string()) });

interface Judged {
  /** Why it is refused. */
  readonly refusal?: string;
  /** What is asked for instead: of several secrets those that the role may read. AWS does so, and names the others in its answer. */
  readonly instead?: string;
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
    const instead = call.operation === "BatchGetSecretValue" ? await this.#readable(call, body) : undefined;
    const refusal = await this.#lacking(call, path, instead ?? body);
    if (refusal !== undefined) return { refusal };
    return instead === undefined ? {} : { instead };
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

  /** Undefined: it may read all of them, or none, and then all are refused. */
  async #readable(call: Call, body: string): Promise<string | undefined> {
    const asked = ManySecrets.parse(JSON.parse(body));
    const alone = { ...call, operation: "GetSecretValue" };
    const readable: string[] = [];
    for (const id of asked.SecretIdList) {
      const why = await this.#lacking(alone, "/", JSON.stringify({ SecretId: id }));
      if (why === undefined) readable.push(id);
    }
    const isSome = readable.length > 0 && readable.length < asked.SecretIdList.length;
    return isSome ? JSON.stringify({ ...asked, SecretIdList: readable }) : undefined;
  }

  /** In AWS's words; or that nobody knows what rights such a call takes. */
  async #lacking(call: Call, path: string, body: string): Promise<string | undefined> {
    const why = await this.#why(call, path, body);
    if (why !== undefined) this.#refusals.add(why);
    return why;
  }

  async #why(call: Call, path: string, body: string): Promise<string | undefined> {
    const { by } = call;
    const rights = this.#roles.get(by);
    if (rights === undefined) return `a call by "${by}", which is none of the functions`;
    try {
      for (const one of rightsAsked({ ...call, path, body }, this.#secretArns)) {
        const { action, resource } = one;
        if (rights.allow(await this.#tagged(one))) continue;
        return `User: ${by} is not authorized to perform: ${action} on resource: ${resource} because no identity-based policy allows the ${action} action`;
      }
      return undefined;
    } catch (unknown) {
      return `${by}: ${unknown}`;
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
