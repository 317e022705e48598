import { randomUUID } from "node:crypto";
import type { HeldSecret, RotationEvent, RotationFunction } from "./held.ts";
import type { RequestOf } from "./requests.ts";
import { ServiceError } from "./service-error.ts";

const steps = ["createSecret", "setSecret", "testSecret", "finishSecret"] as const;

/**
 * https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html: it answers at once, and goes on by itself. It is refused while
 * AWSPENDING is on another version than AWSCURRENT. A step that fails ends it, and leaves AWSPENDING where it is.
 */
export function rotate(
  secret: HeldSecret,
  request: RequestOf<"RotateSecret">,
  functions: ReadonlyMap<string, RotationFunction>,
  now: () => number,
): { readonly token: string; readonly done: Promise<void> } {
  const arn = request.RotationLambdaARN ?? secret.rotation?.function;
  const call = arn === undefined ? undefined : functions.get(arn);
  if (arn === undefined || call === undefined) {
    throw new ServiceError(
      "InvalidRequestException",
      "No Lambda rotation function ARN is associated with this secret.",
    );
  }
  const token = request.ClientRequestToken ?? randomUUID();
  // The same request again: the rotation that it began goes on, or has ended.
  if (secret.running?.token === token || secret.versions.get(token)?.content !== undefined) {
    return { token, done: Promise.resolve() };
  }
  const pending = secret.holderOf("AWSPENDING");
  const isBusy = pending !== undefined && pending !== secret.holderOf("AWSCURRENT") && pending !== token;
  if (isBusy || secret.running !== undefined) {
    throw new ServiceError(
      "InvalidRequestException",
      "A previous rotation isn't complete. That rotation will be reattempted.",
    );
  }
  secret.rotation = { function: arn, enabled: true };
  secret.beginRotation(token, now());
  const running = { token, rotationToken: randomUUID() };
  secret.running = running;
  const isTest = request.RotateImmediately === false;
  const done = run(secret, running, call, isTest ? ["testSecret"] : steps).then(() => {
    if (isTest && secret.holderOf("AWSPENDING") === token) secret.move("AWSPENDING", undefined, token);
  });
  return { token, done };
}

async function run(
  secret: HeldSecret,
  running: { readonly token: string; readonly rotationToken: string },
  call: RotationFunction,
  wanted: readonly RotationEvent["Step"][],
): Promise<void> {
  try {
    for (const Step of wanted) {
      if (secret.running !== running) return;
      await call({
        Step,
        SecretId: secret.arn,
        ClientRequestToken: running.token,
        RotationToken: running.rotationToken,
      });
    }
  } catch {
    // The failure is the function's to log; the service shows it by AWSPENDING staying where it is.
  } finally {
    if (secret.running === running) secret.running = undefined;
  }
}

/** https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CancelRotateSecret.html: no further step is called, and the labels stay as they are. */
export function cancelRotation(secret: HeldSecret): Readonly<Record<string, unknown>> {
  const VersionId = secret.running?.token;
  secret.running = undefined;
  if (secret.rotation !== undefined) secret.rotation.enabled = false;
  return { ARN: secret.arn, Name: secret.name, VersionId };
}
