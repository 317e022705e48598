import {
  DescribeSecretCommand,
  ListSecretVersionIdsCommand,
  RotateSecretCommand,
  type SecretsManagerClient,
} from "@aws-sdk/client-secrets-manager";
import * as z from "zod/mini";
import { patienceMs } from "../core/driven.ts";
import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import { newId } from "../core/identifier.ts";
import { type NativeStep, nativeStep } from "../core/native.ts";
import type { Ports } from "../core/ports.ts";
import { managedSecret } from "../core/reconcile.ts";
import { Secret } from "../core/secret.ts";
import { awsErrorName } from "./aws-errors.ts";
import { logLines } from "./log-lines.ts";
import { translateSecretsManager } from "./secret-errors.ts";
import type { WorkQueues } from "./work-queues.ts";

/** Both spellings that AWS has for its steps: its documents say `createSecret`, and some of its examples `create_secret`. */
const steps: Readonly<Record<string, NativeStep>> = {
  createSecret: "create",
  create_secret: "create",
  setSecret: "set",
  set_secret: "set",
  testSecret: "test",
  test_secret: "test",
  finishSecret: "finish",
  finish_secret: "finish",
};

/** https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html */
const NativeEvent = z.object({
  Step: z.string(),
  SecretId: z.string(),
  ClientRequestToken: z.string().check(z.minLength(32), z.maxLength(64)),
  RotationToken: z.optional(z.string()),
});

/** What Secrets Manager gives to a rotation that it drives for another's sake; it is sent along with the value, and shown to nobody. */
export class RotationTokens {
  readonly #tokens = new Map<string, Secret>();

  of(rotationId: string): Secret | undefined {
    return this.#tokens.get(rotationId);
  }

  /** For as long as the work lasts. */
  async during<Result>(
    rotationId: string,
    token: Secret | undefined,
    work: () => Promise<Result>,
  ): Promise<Result> {
    if (token !== undefined) this.#tokens.set(rotationId, token);
    try {
      return await work();
    } finally {
      this.#tokens.delete(rotationId);
    }
  }
}

export interface Native {
  readonly ports: Ports;
  readonly queues: WorkQueues;
  readonly rotationTokens: RotationTokens;
  readonly accountOf: (ref: string) => string;
  /** Nothing begins before. */
  readonly ready: () => Promise<void>;
}

/** Between the last step and the end of the invocation something is written down. */
const recordingMs = 3_000;

/** Whether it is Secrets Manager that calls. */
export function isNative(event: unknown): boolean {
  return typeof event === "object" && event !== null && "Step" in event;
}

/**
 * One of the four steps that Secrets Manager asks for. Returns when it is done. What it throws is seen in the console and in CloudTrail's
 * RotationFailed: it says what to do, and holds no value; Secrets Manager asks for the step again, some times.
 */
export async function rotateNatively(
  { ports, queues, rotationTokens, accountOf, ready }: Native,
  event: unknown,
  leftMs: number,
): Promise<void> {
  try {
    const { Step, SecretId, ClientRequestToken: token, RotationToken } = readEvent(event);
    const step = steps[Step];
    if (step === undefined)
      throw new KeyturnError("input-invalid", "Secrets Manager asks for a step that nobody knows");
    const ref = refOf(SecretId, ports, accountOf);
    const until = ports.clock.now() + Math.max(0, leftMs - recordingMs);
    await ready();
    const given = RotationToken === undefined ? undefined : new Secret(RotationToken);
    await rotationTokens.during(token, given, () => nativeStep({ step, ref, token }, ports, { until }));
    ports.log("info", `${step}Secret is done`, { ref, rotation: token });
    // Secrets Manager is done with it; the grace has begun. Without this the tick finds it a minute later.
    if (step === "finish") await queues.order(ref).catch(() => undefined);
  } catch (thrown) {
    throw shown(thrown, ports);
  }
}

/**
 * Asks Secrets Manager to begin a rotation; false where it does not rotate the secret, so that Keyturn does. What it rotates by another's function must
 * not be rotated here as well.
 */
export function beginNatively(
  clientOf: (ref: string) => SecretsManagerClient,
  ports: Ports,
  own: { readonly account: string; readonly name: string },
): (ref: string) => Promise<boolean> {
  return async (ref) => {
    const client = clientOf(ref);
    const asked = { SecretId: ref };
    const {
      RotationEnabled,
      RotationLambdaARN = "",
      VersionIdsToStages = {},
    } = await client.send(new DescribeSecretCommand(asked)).catch((thrown: unknown) => {
      throw translateSecretsManager(thrown, ref, "looking at");
    });
    if (RotationEnabled !== true) return false;
    const [account, , name] = RotationLambdaARN.split(":").slice(4);
    // One of the same name in another account is another installation's.
    if (account !== own.account || name !== own.name) {
      throw new KeyturnError(
        "request-refused",
        `Secrets Manager rotates ${ref} by a function that is not Keyturn's: take its rotation off, or take ${ref} out of the manifest`,
      );
    }
    const rotate = () =>
      client.send(new RotateSecretCommand({ ...asked, ClientRequestToken: newId(ports.random) }));
    const stray = strayIn(VersionIdsToStages);
    await rotate()
      .catch(async (thrown: unknown) => {
        if (stray === undefined || awsErrorName(thrown) !== "InvalidRequestException") throw thrown;
        await assertGivenUp(client, ref, stray, ports);
        await ports.store.discardPending(ref, stray);
        await rotate();
      })
      .catch((thrown: unknown) => {
        throw translateSecretsManager(thrown, ref, "asking to rotate");
      });
    return true;
  };
}

/**
 * What is pending though no rotation is under way: it was begun by Secrets Manager, and cancelled or given up before Keyturn heard of it. Secrets
 * Manager begins nothing while it is.
 */
function strayIn(labels: Readonly<Record<string, readonly string[]>>): string | undefined {
  const holders = Object.entries(labels).filter(([, its]) => its.includes("AWSPENDING"));
  return holders.find(([, its]) => !its.includes("AWSCURRENT"))?.[0];
}

/**
 * Secrets Manager may have begun it a moment ago, and be about to ask for its first step: only what is older than anybody's patience was given up. Who
 * waits is on record meanwhile, and asks again.
 */
async function assertGivenUp(
  client: SecretsManagerClient,
  ref: string,
  stray: string,
  ports: Ports,
): Promise<void> {
  const begunAt = await versionMadeAt(client, ref, stray).catch((thrown: unknown) => {
    throw translateSecretsManager(thrown, ref, "looking at the versions of");
  });
  const givenUpAt = (begunAt ?? 0) + patienceMs(managedSecret(ports, ref).policy);
  if (givenUpAt < ports.clock.now()) return;
  throw new KeyturnError(
    "conflict",
    `Secrets Manager has begun ${stray} of ${ref}: if no step of it is asked for, it is put aside after ${new Date(givenUpAt).toISOString()}`,
  );
}

/** Undefined where no version of that id is listed. */
async function versionMadeAt(
  client: SecretsManagerClient,
  ref: string,
  version: string,
): Promise<number | undefined> {
  let next: string | undefined;
  do {
    const { Versions = [], NextToken } = await client.send(
      new ListSecretVersionIdsCommand({ SecretId: ref, MaxResults: 100, NextToken: next }),
    );
    const found = Versions.find(({ VersionId }) => VersionId === version);
    if (found !== undefined) return found.CreatedDate?.getTime();
    next = NextToken;
  } while (next !== undefined);
  return undefined;
}

function readEvent(event: unknown): z.infer<typeof NativeEvent> {
  const read = NativeEvent.safeParse(event);
  if (read.success) return read.data;
  const where = read.error.issues.map(({ path }) => path.join(".") || "the whole");
  throw new KeyturnError(
    "input-invalid",
    `not what Secrets Manager sends to a rotation: ${where.join(", ")}`,
  );
}

/** The id is an ARN, with six characters behind the name, or the name. */
function refOf(secretId: string, { secrets }: Ports, accountOf: Native["accountOf"]): string {
  const { account, name } =
    /^arn:[^:]+:secretsmanager:[^:]+:(?<account>\d+):secret:(?<name>.+)-[A-Za-z0-9]{6}$/.exec(secretId)
      ?.groups ?? {};
  const ref = [secretId, name].find((one) => one !== undefined && secrets.get(one) !== undefined);
  // One of the same name in another account is another secret.
  if (ref !== undefined && (account === undefined || accountOf(ref) === account)) return ref;
  throw new KeyturnError(
    "input-invalid",
    `the manifest that was deployed has no secret ${(name ?? secretId).slice(0, 200)}: deploy it, or take the rotation off the secret`,
  );
}

/** What Lambda tells of an error is its name and its message, and what CloudWatch keeps is its stack: nothing else goes along. */
function shown(thrown: unknown, { log }: Ports): Error {
  const { code, message, remedy } = asKeyturnError(thrown);
  log("error", logLines.stepNotDone, { code, reason: message });
  const error = new Error(`${code}: ${message}. ${remedy}`);
  error.name = "KeyturnError";
  return error;
}
