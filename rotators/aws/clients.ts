import { KeyturnError } from "../../core/errors.ts";
import type { Secret } from "../../core/secret.ts";
import type { Admin, Context } from "./config.ts";
import { refusalOf, translate } from "./errors.ts";
import type { iam } from "./iam.ts";

type Iam = typeof iam;
type IAMClient = InstanceType<Iam["IAMClient"]>;

/** What signs a call. */
export interface Signer {
  readonly accessKeyId: string;
  readonly secretAccessKey: Secret;
  readonly sessionToken?: Secret | undefined;
}

/** Calls IAM as the administrator; `doing` names the call in errors. */
export type CallIam = <Answer>(
  doing: string,
  call: (client: IAMClient, sdk: Iam, options: { readonly abortSignal: AbortSignal }) => Promise<Answer>,
) => Promise<Answer>;

/** Who AWS says has signed. */
export interface Identity {
  readonly arn: string;
}

/**
 * The administrator's way to IAM. Its key may be changing at this very moment; then what else it may be is tried, as long as there is something.
 * The endpoint is AWS's own, or what the SDK reads from AWS_ENDPOINT_URL.
 */
export async function administer(context: Context): Promise<CallIam> {
  const { iam: sdk } = await import("./iam.ts").catch(missing("@aws-sdk/client-iam"));
  const { signal } = context;
  const open = (admin: Admin) => {
    const client = new sdk.IAMClient(settings(context, admin));
    context.defer(() => client.destroy());
    return client;
  };
  let client = open(context.admin);
  return async (doing, call) => {
    for (;;) {
      try {
        return await within(signal, () => call(client, sdk, { abortSignal: signal }));
      } catch (thrown) {
        const refused = refusalOf(thrown) === "unknown-key" || refusalOf(thrown) === "wrong-secret";
        const next = refused ? await context.nextAdmin?.() : undefined;
        if (next === undefined) throw translate(thrown, { speaker: "administrator", doing, signal });
        client = open(next);
      }
    }
  };
}

/**
 * Asks STS whose key it is: the one call that every key may make, whatever its user is allowed or denied. What the SDK has thrown goes on as it is:
 * the caller knows what it meant.
 */
export async function whoSigns(credential: Signer, context: Context): Promise<Identity> {
  const { askCaller } = await import("./caller.ts").catch(missing("@aws-sdk/client-sts"));
  const { signal } = context;
  return { arn: await within(signal, () => askCaller(settings(context, credential), signal)) };
}

function missing(name: string): () => never {
  return () => {
    throw new KeyturnError("config-invalid", `the package ${name} is not installed: npm install ${name}`);
  };
}

/** A call is made once: the SDK would make a second key where the answer to the first call was lost. Core tries again. */
function settings({ config, fence }: Context, signer: Signer | undefined) {
  const credentials = signer && {
    accessKeyId: signer.accessKeyId,
    secretAccessKey: signer.secretAccessKey.reveal(),
    ...(signer.sessionToken && { sessionToken: signer.sessionToken.reveal() }),
  };
  return {
    region: config.region,
    maxAttempts: 1,
    // CloudTrail keeps it: there a person sees which keys Keyturn has made.
    customUserAgent: `keyturn/${fence.rotationId}`,
    ...(credentials && { credentials }),
  };
}

/** Looking for credentials and for an endpoint heeds no signal of its own. */
async function within<Result>(signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
  signal.throwIfAborted();
  const late = Promise.withResolvers<never>();
  const abort = () => late.reject(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    return await Promise.race([work(), late.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
