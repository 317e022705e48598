import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { StrictSecretsManager } from "./strict-secrets-manager/service.ts";
import { ServiceError } from "./strict-secrets-manager/service-error.ts";

/** A role as its own account has it. */
interface Role {
  readonly account: string;
  /** Whose key may take it. */
  trusts: string;
}

interface Key {
  readonly account: string;
  /** A session's: calls have to bring it along. */
  readonly token: string | undefined;
  readonly expiresAt: number;
}

/**
 * Several accounts of AWS behind one address, as far as roles and Secrets Manager go: a key is of one account and reaches what is in it, a role is
 * taken by whom it trusts, and a session ends. https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
 */
export class StrictAccounts implements AsyncDisposable {
  readonly roles = new Map<string, Role>();
  /** What each role was taken as. */
  readonly taken: { readonly role: string; readonly session: string }[] = [];
  /** How long a session lasts. */
  sessionMs = 3_600_000;
  readonly #services = new Map<string, StrictSecretsManager>();
  readonly #keys = new Map<string, Key>();
  readonly #server = createServer((request, response) => void this.#answer(request, response));
  #endpoint = "";

  get endpoint(): string {
    return this.#endpoint;
  }

  async start(): Promise<this> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the accounts have no port");
    this.#endpoint = `http://127.0.0.1:${address.port}`;
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  /** The account's Secrets Manager. */
  serviceOf(account: string): StrictSecretsManager {
    const known = this.#services.get(account) ?? new StrictSecretsManager();
    this.#services.set(account, known);
    return known;
  }

  /** A key that stays. */
  addKey(accessKeyId: string, account: string): void {
    this.#keys.set(accessKeyId, { account, token: undefined, expiresAt: Number.POSITIVE_INFINITY });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    const [, accessKeyId = "", region = "", service = ""] =
      /Credential=([^/]+)\/\d+\/([^/]+)\/([^/]+)\/aws4_request/.exec(request.headers.authorization ?? "") ??
      [];
    const isSts = service === "sts";
    const reply = (status: number, answer: string) => {
      response.writeHead(status, { "content-type": isSts ? "text/xml" : "application/x-amz-json-1.1" });
      response.end(answer);
    };
    try {
      const { account } = this.#signer(accessKeyId, request.headers["x-amz-security-token"]);
      if (isSts) return reply(200, this.#answerSts(accessKeyId, account, new URLSearchParams(body)));
      const operation = String(request.headers["x-amz-target"]).replace(/^secretsmanager\./, "");
      const answer = await this.serviceOf(account).carryOut(operation, region, JSON.parse(body));
      reply(200, JSON.stringify(answer));
    } catch (thrown) {
      if (!(thrown instanceof ServiceError)) throw thrown;
      const { name, message, status } = thrown;
      const xml = `<ErrorResponse><Error><Type>Sender</Type><Code>${name}</Code><Message>${message}</Message></Error></ErrorResponse>`;
      reply(status, isSts ? xml : JSON.stringify({ __type: name, Message: message }));
    }
  }

  #signer(accessKeyId: string, token: unknown): Key {
    const key = this.#keys.get(accessKeyId);
    if (key === undefined || key.token !== token) {
      throw new ServiceError("UnrecognizedClientException", "The security token in the request is invalid.");
    }
    if (key.expiresAt > Date.now()) return key;
    throw new ServiceError("ExpiredTokenException", "The security token included in the request is expired.");
  }

  #answerSts(accessKeyId: string, account: string, asked: URLSearchParams): string {
    if (asked.get("Action") !== "GetCallerIdentity") return this.#assume(accessKeyId, asked);
    const identity = `<Arn>arn:aws:iam::${account}:user/u</Arn><UserId>u</UserId><Account>${account}</Account>`;
    return `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>${identity}</GetCallerIdentityResult></GetCallerIdentityResponse>`;
  }

  #assume(accessKeyId: string, asked: URLSearchParams): string {
    const [role = "", session = ""] = [asked.get("RoleArn") ?? "", asked.get("RoleSessionName") ?? ""];
    if (asked.get("Action") !== "AssumeRole" || !/^[\w+=,.@-]{2,64}$/.test(session)) {
      throw new ServiceError("ValidationError", `RoleSessionName ${session} is none`);
    }
    const found = this.roles.get(role);
    // Of a role that is not there AWS says the same as of one that trusts others.
    if (found?.trusts !== accessKeyId) {
      const why = `User: arn:aws:sts::111122223333:assumed-role/f/f is not authorized to perform: sts:AssumeRole on resource: ${role}`;
      throw new ServiceError("AccessDenied", why, 403);
    }
    this.taken.push({ role, session });
    const [id, token] = [
      `ASIASESSION${String(this.taken.length).padStart(5, "0")}`,
      `token-${this.taken.length}`,
    ];
    const expiresAt = Date.now() + this.sessionMs;
    this.#keys.set(id, { account: found.account, token, expiresAt });
    const given = `<AccessKeyId>${id}</AccessKeyId><SecretAccessKey>canary-of-a-session</SecretAccessKey><SessionToken>${token}</SessionToken><Expiration>${new Date(expiresAt).toISOString()}</Expiration>`;
    return `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>${given}</Credentials></AssumeRoleResult></AssumeRoleResponse>`;
  }
}
