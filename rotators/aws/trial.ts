import { KeyturnError } from "../../core/errors.ts";
import { type CallIam, type Identity, whoSigns } from "./clients.ts";
import type { Context, Credential } from "./config.ts";
import { refusalOf, translate } from "./errors.ts";
import { readUser } from "./keys.ts";

/** So often in a row a key has to be accepted: AWS's many servers learn of a key one after the other. */
const agreeing = 3;
const pauseMs = 250;
const pauseMostMs = 2_000;
/** How long retire waits to see the refusal itself; after that core asks again, later. */
const refusalMs = 10_000;

/** Signs with the key until AWS accepts it, for as long as a fresh one may take, and makes sure whose it is. */
export async function proveAccepted(credential: Credential, context: Context): Promise<void> {
  const { config, clock, signal } = context;
  const doing = `signing with ${credential.accessKeyId}`;
  const until = clock.now() + config.freshKeyMs;
  let accepted = 0;
  for (let pause = pauseMs; accepted < agreeing; ) {
    try {
      assertOwner(await whoSigns(credential, context), credential, context);
      accepted += 1;
    } catch (thrown) {
      const passes = refusalOf(thrown) === "unknown-key" && clock.now() < until;
      if (!passes) throw translate(thrown, { speaker: "credential", doing, signal });
      accepted = 0;
      await sleep(pause, context, doing);
      pause = Math.min(2 * pause, pauseMostMs);
    }
  }
}

function assertOwner({ arn }: Identity, { accessKeyId }: Credential, { config }: Context): void {
  const { path, userName } = config;
  if (arn.endsWith(`:user${path}${userName}`)) return;
  throw new KeyturnError(
    "access-differs",
    `${accessKeyId} is the key of ${arn}, and not of user ${path}${userName}`,
  );
}

/** Waits until AWS refuses the key, some seconds at the most: whoever wants it proven asks again. */
export async function awaitRefusal(credential: Credential, context: Context): Promise<void> {
  const { clock, signal } = context;
  const doing = `signing with ${credential.accessKeyId}`;
  const until = clock.now() + refusalMs;
  for (let pause = pauseMs; clock.now() < until; pause = Math.min(2 * pause, pauseMostMs)) {
    try {
      await whoSigns(credential, context);
    } catch (thrown) {
      const error = translate(thrown, { speaker: "credential", doing, signal });
      if (error.code === "timeout") throw error;
      // Of a value that is only a name, AWS tells that it does not fit as long as there is such a key.
      if (refusalOf(thrown) !== "wrong-secret") return;
    }
    await sleep(pause, context, doing);
  }
}

/**
 * Refused is what AWS refuses while IAM says that the key is inactive or gone: a refusal alone may be a key that is not known everywhere yet, or
 * a region that is not enabled.
 */
export async function tryKey(
  call: () => Promise<CallIam>,
  credential: Credential,
  context: Context,
): Promise<"refused" | "accepted" | "unknown"> {
  try {
    await whoSigns(credential, context);
    return "accepted";
  } catch (thrown) {
    const refusal = refusalOf(thrown);
    if (refusal === "wrong-secret") return "refused";
    if (refusal !== "unknown-key") return "unknown";
  }
  try {
    const { keys } = await readUser(await call(), context);
    const key = keys.find(({ accessKeyId }) => accessKeyId === credential.accessKeyId);
    return key?.isActive === true ? "unknown" : "refused";
  } catch {
    return "unknown";
  }
}

async function sleep(ms: number, { clock, signal }: Context, doing: string): Promise<void> {
  try {
    await clock.sleep(ms, signal);
  } catch (thrown) {
    throw translate(thrown, { speaker: "credential", doing, signal });
  }
}
