import { randomBytes } from "node:crypto";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import type { RawContext, Rotator } from "../../core/rotator.ts";
import { Secret } from "../../core/secret.ts";
import type { AgentSession, Target } from "../../rotators/steps.contract.ts";
import type { StrictIam } from "./strict-iam.ts";
import type { ModelKey, ModelUser } from "./strict-iam-actions.ts";

/** A user of its own on a model that many tests share, and an administering key. */
export interface IamTarget extends Target {
  readonly config: { readonly userName: string; readonly region: string };
  readonly user: ModelUser;
  readonly administrator: ModelUser;
}

export const region = "eu-west-1";
let targets = 0;

export function createIamTarget(model: StrictIam, { path = "/" }: { path?: string } = {}): IamTarget {
  const user = model.addUser(`agent${++targets}`, { path });
  const administrator = model.addUser(`keyturn${targets}`, { isAdministrator: true });
  const key = model.addKey(administrator, Date.now() - 86_400_000);
  const wrong = { ...key, secretAccessKey: randomBytes(30).toString("base64") };
  // A fresh key is good at once here, and nobody has to be waited for.
  const config = { userName: user.userName, path, region, freshKeyMs: 400, quietMs: 1, keepInactiveMs: 0 };
  return {
    config,
    user,
    administrator,
    admin: secretOf(key),
    wrongAdmin: secretOf(wrong),
    adminSecrets: [key.secretAccessKey, wrong.secretAccessKey],
    address: { host: "127.0.0.1", port: model.port },
    withPort: (port) => ({ ...config, port }),
    inPlaceOf: (_, value) => value,
    open: (value) => agentOf(value, model.url),
    traces: async () => model.said.join("\n"),
  };
}

export function secretOf({
  accessKeyId,
  secretAccessKey,
}: Pick<ModelKey, "accessKeyId" | "secretAccessKey">) {
  return new Secret(JSON.stringify({ accessKeyId, secretAccessKey }));
}

export function idOf(value: Secret): string {
  return JSON.parse(value.reveal()).accessKeyId;
}

/** The keys that are there, as IAM lists them. */
export function keysOf({ user }: IamTarget): Record<string, string> {
  const there = user.keys.filter(({ isGone }) => !isGone);
  return Object.fromEntries(there.map(({ accessKeyId, status }) => [accessKeyId, status]));
}

/** What an agent does with a key: it signs. There is no session that could be ended. */
export async function agentOf(value: Secret, endpoint: string): Promise<AgentSession> {
  const client = new STSClient({ region, endpoint, credentials: JSON.parse(value.reveal()), maxAttempts: 1 });
  await client.send(new GetCallerIdentityCommand({}));
  return {
    works: () =>
      client
        .send(new GetCallerIdentityCommand({}))
        .then(() => true)
        .catch(() => false),
    close: async () => client.destroy(),
  };
}

/** The type has no field for an endpoint: like the SDK, it reads AWS_ENDPOINT_URL. A `port` in the config of a test becomes that. */
export function throughEnvironment(rotator: Rotator, port: () => number): Rotator {
  const inner = (context: RawContext): RawContext => {
    const { port: other, ...config } = Object(context.config);
    process.env.AWS_ENDPOINT_URL = `http://127.0.0.1:${other ?? port()}`;
    return { ...context, config };
  };
  const { adopt, cut } = rotator;
  return {
    ...rotator,
    create: (current, context) => rotator.create(current, inner(context)),
    sweep: (context) => rotator.sweep(inner(context)),
    set: (change, context) => rotator.set(change, inner(context)),
    test: (change, context) => rotator.test(change, inner(context)),
    retire: (value, context) => rotator.retire(value, inner(context)),
    refused: (value, context) => rotator.refused(value, inner(context)),
    usage: (value, context) => rotator.usage(value, inner(context)),
    preflight: (context, adopting) => rotator.preflight(inner(context), adopting),
    adopt: adopt && ((value, context) => adopt(value, inner(context))),
    inspect: (context) => rotator.inspect(inner(context)),
    cut: cut && ((login, context) => cut(login, inner(context))),
  };
}
