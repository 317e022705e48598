import { Duration, Stack } from "aws-cdk-lib";
import { ServicePrincipal } from "aws-cdk-lib/aws-iam";
import type { IKey } from "aws-cdk-lib/aws-kms";
import { Construct } from "constructs";
import type { Rotator } from "../core/rotator.ts";
import type { Fabric } from "./fabric.ts";
import { alarmRotating } from "./log-alarms.ts";
import { KeyturnFunction } from "./make-function.ts";
import type { PlannedSecret } from "./plan.ts";
import {
  allow,
  arnHere,
  chainRights,
  fingerprintRights,
  journalRights,
  keptRights,
  publishRights,
  secretKeyRights,
  sendRights,
} from "./rights.ts";
import { rotationsOf } from "./rotations.ts";
import { attach, neededRights, type SecretsBy, secretRights } from "./secret-rights.ts";
import type { WatchedQueue } from "./watched-queue.ts";

interface RotatingProps {
  readonly fabric: Fabric;
  readonly rotator: Rotator;
  readonly secrets: readonly PlannedSecret[];
  /** Whether a secret is in the installation's own account. */
  readonly isHere: (ref: string) => boolean;
  /** Of other accounts, by which its other secrets are reached. */
  readonly roles: readonly string[];
  readonly work: WatchedQueue;
  readonly environment: Readonly<Record<string, string>>;
  readonly concurrency: number | undefined;
  readonly secretsBy: SecretsBy;
  readonly secretKeys: readonly IKey[];
  /** Whether Secrets Manager is to know the function. */
  readonly isNative: boolean;
}

/** A step has half a minute, and several may follow one another. */
export const rotatingTimeout = Duration.minutes(2);

/** The function of one credential type: its own driver inside, its own secrets allowed, and nothing of another type. */
export class Rotating extends Construct {
  readonly function: KeyturnFunction;

  constructor(scope: Construct, id: string, props: RotatingProps) {
    super(scope, id);
    const { fabric, rotator, secrets, isHere, roles, work, concurrency, secretKeys } = props;
    const { type, needs } = rotator;
    const own = secrets.filter(({ ref }) => isHere(ref));
    this.function = new KeyturnFunction(this, "Rotate", {
      fabric,
      name: type,
      description: `Rotates the secrets of type ${type}`,
      bundle: `rotate-${type}`,
      timeout: rotatingTimeout,
      environment: props.environment,
      rights: [
        ...journalRights(fabric),
        ...chainRights(fabric),
        ...publishRights(fabric),
        ...keptRights(fabric),
        ...fingerprintRights(fabric),
        ...sendRights(fabric, [work.queue.queueArn]),
        ...secretKeyRights(this, secretKeys, ["kms:Decrypt", "kms:GenerateDataKey"]),
        ...(roles.length === 0 ? [] : [allow(["sts:AssumeRole"], roles)]),
        // RotateSecret asks whether its caller may call the function.
        allow(
          ["lambda:InvokeFunction"],
          [arnHere(this, "lambda", `function:${fabric.names.function(type)}`)],
        ),
      ],
      concurrency,
      isInNetwork: needs.network.includes("target"),
    });
    const policies = attach(this, this.function.role, `The secrets of ${fabric.names.function(type)}`, [
      ...secretRights(this, fabric.names.installation, secrets, props.secretsBy, isHere),
      ...neededRights(this, rotator, own),
    ]);
    this.function.takeFrom(work.queue, concurrency);
    alarmRotating(this, fabric, this.function);
    // In another account nothing is said to Secrets Manager, and it is told nothing: Keyturn drives those rotations itself.
    if (!props.isNative || own.length === 0) return;
    this.function.handler.addPermission("SecretsManager", {
      principal: new ServicePrincipal("secretsmanager.amazonaws.com"),
      sourceAccount: Stack.of(this).account,
      sourceArn: arnHere(this, "secretsmanager", "secret:*"),
    });
    rotationsOf(this, this.function, own, policies);
  }
}
