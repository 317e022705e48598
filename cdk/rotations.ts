import { NestedStack } from "aws-cdk-lib";
import { CfnRotationSchedule } from "aws-cdk-lib/aws-secretsmanager";
import type { Construct, IDependable } from "constructs";
import type { KeyturnFunction } from "./make-function.ts";
import type { PlannedSecret } from "./plan.ts";

/** CloudFormation takes 500 resources a stack. */
const directMax = 50;
const nestedMax = 400;

/**
 * Tells Secrets Manager by which function each secret is rotated, so that *Rotate secret immediately* and RotateSecret work. It has no schedule there: when a
 * rotation begins, the manifest says, with its windows and quotas, and the tick calls RotateSecret. Nothing is rotated because a stack is deployed.
 */
export function rotationsOf(
  scope: Construct,
  rotating: KeyturnFunction,
  secrets: readonly PlannedSecret[],
  first: readonly IDependable[],
): void {
  const scopes = scopesFor(scope, secrets.length);
  for (const [index, { ref }] of secrets.entries()) {
    const place = scopes[Math.floor(index / nestedMax)] ?? scope;
    const schedule = new CfnRotationSchedule(place, `Rotation-${ref}`, {
      secretId: ref,
      rotationLambdaArn: rotating.functionArn,
      rotateImmediatelyOnUpdate: false,
    });
    // Secrets Manager calls the function at once, to see whether it may.
    if (place === scope) schedule.node.addDependency(rotating, ...first);
  }
  for (const place of scopes) if (place !== scope) place.node.addDependency(rotating, ...first);
}

function scopesFor(scope: Construct, secrets: number): readonly Construct[] {
  if (secrets <= directMax) return [scope];
  return Array.from(
    { length: Math.ceil(secrets / nestedMax) },
    (_, index) => new NestedStack(scope, `Rotations${index + 1}`),
  );
}
