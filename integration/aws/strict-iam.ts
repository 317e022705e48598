import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { readSignature } from "./signature.ts";
import {
  answer,
  arnOf,
  type Behaviour,
  type Caller,
  escaped,
  type ModelKey,
  type ModelUser,
  Refusal,
} from "./strict-iam-actions.ts";

export interface StrictIam {
  readonly port: number;
  readonly url: string;
  readonly behaviour: Behaviour;
  /** Every action that was asked for, in order, with its parameters. */
  readonly said: string[];
  addUser(userName: string, options?: { path?: string; isAdministrator?: boolean }): ModelUser;
  /** A key that somebody makes by hand. */
  addKey(user: ModelUser, createdAt?: number): ModelKey;
  close(): Promise<void>;
}

/**
 * IAM and STS as AWS documents them, as far as access keys and tags of users go: the Query protocol over HTTP, signatures checked, two keys a
 * user, the limits of tags, eventual consistency on request. No AWS, and so the proof that our reading of the documents agrees with our code.
 */
export async function startStrictIam(): Promise<StrictIam> {
  const users = new Map<string, ModelUser>();
  const said: string[] = [];
  const behaviour: Behaviour = {
    freshMs: 0,
    staleMs: 0,
    flaps: 0,
    keysMax: 2,
    failures: [],
    tear: undefined,
    now: Date.now,
    meanwhile: new Map(),
  };
  const addKey = (user: ModelUser, createdAt = behaviour.now()): ModelKey => {
    const key: ModelKey = {
      accessKeyId: `AKIA${randomBytes(8).toString("hex").toUpperCase()}`,
      secretAccessKey: randomBytes(30).toString("base64"),
      createdAt,
      status: "Active",
      changedAt: createdAt,
      lastUsedAt: undefined,
      isGone: false,
    };
    user.keys.push(key);
    return key;
  };
  const carryOut = (request: IncomingMessage, body: string): string | undefined => {
    const parameters = new URLSearchParams(body);
    const action = parameters.get("Action") ?? "";
    const caller = authenticate(request, body, users, behaviour);
    const at = behaviour.failures.findIndex((failure) => failure.action === action);
    const [failure] = at < 0 ? [] : behaviour.failures.splice(at, 1);
    if (failure !== undefined && failure.code !== "lost")
      throw new Refusal(failure.code, "as the test wants it");
    authorize(caller, action);
    const result = answer(action, parameters, { caller, users, behaviour, addKey });
    return failure?.code === "lost" ? undefined : resultOf(action, result);
  };
  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const body = await text(request);
    said.push(body);
    const action = new URLSearchParams(body).get("Action") ?? "";
    const others = behaviour.meanwhile.get(action);
    behaviour.meanwhile.delete(action);
    await others?.();
    const { tear } = behaviour;
    if (tear !== undefined) tear.at -= 1;
    const torn = tear?.at === 0 ? tear.when : undefined;
    try {
      const result = torn === "before" ? undefined : carryOut(request, body);
      if (result === undefined || torn === "after") request.socket.destroy();
      else reply(response, 200, result);
    } catch (thrown) {
      refuse(response, thrown instanceof Refusal ? thrown : new Refusal("InternalFailure", String(thrown)));
    }
  };
  const server = createServer(
    (request, response) => void handle(request, response).catch(() => response.destroy()),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = addressOf(server.address());
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    behaviour,
    said,
    addKey,
    addUser: (userName, { path = "/", isAdministrator = false } = {}) => {
      const user: ModelUser = {
        userName,
        path,
        isAdministrator,
        keys: [],
        tags: new Map(),
        denied: new Set(),
      };
      users.set(userName, user);
      return user;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function addressOf(address: string | AddressInfo | null): AddressInfo {
  if (typeof address !== "object" || address === null) throw new Error("the model has no port");
  return address;
}

function authenticate(
  request: IncomingMessage,
  body: string,
  users: ReadonlyMap<string, ModelUser>,
  behaviour: Behaviour,
): Caller {
  const signature = readSignature(request, body);
  const now = behaviour.now();
  for (const user of users.values()) {
    const key = user.keys.find(({ accessKeyId }) => accessKeyId === signature?.accessKeyId);
    if (key === undefined || signature === undefined) continue;
    const isStale = now - key.changedAt < behaviour.staleMs;
    const isOn = (key.status === "Active" && !key.isGone) || isStale;
    const flaps = !user.isAdministrator && behaviour.flaps-- > 0 && behaviour.flaps % 2 === 0;
    if (!isOn || now - key.createdAt < behaviour.freshMs || flaps) break;
    if (!signature.matches(key.secretAccessKey)) {
      throw new Refusal("SignatureDoesNotMatch", "The request signature we calculated does not match yours.");
    }
    key.lastUsedAt = now;
    return { user, key };
  }
  throw new Refusal("InvalidClientTokenId", "The security token included in the request is invalid.");
}

function authorize({ user }: Caller, action: string): void {
  if (action === "GetCallerIdentity" || (user.isAdministrator && !user.denied.has(action))) return;
  throw new Refusal(
    "AccessDenied",
    `User: ${arnOf(user)} is not authorized to perform: iam:${action} on resource: user x because no identity-based policy allows it`,
  );
}

function resultOf(action: string, result: string): string {
  return `<${action}Response><${action}Result>${result}</${action}Result></${action}Response>`;
}

const statuses: Readonly<Record<string, number>> = {
  InternalFailure: 500,
  NoSuchEntity: 404,
  LimitExceeded: 409,
};

function refuse(response: ServerResponse, { code, message }: Refusal): void {
  const fault = `<Type>Sender</Type><Code>${code}</Code><Message>${escaped(message)}</Message>`;
  reply(response, statuses[code] ?? 403, `<ErrorResponse><Error>${fault}</Error></ErrorResponse>`);
}

function reply(response: ServerResponse, status: number, xml: string): void {
  response.writeHead(status, { "content-type": "text/xml" });
  response.end(xml);
}
