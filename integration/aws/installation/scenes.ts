import { DescribeSecretCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { expect } from "vitest";
import { installation } from "./installation.ts";
import type { Point } from "./points.ts";
import { atRest, current, letsIn } from "./stage.ts";

const manager = new SecretsManagerClient(installation.aws);

/** What happens to a secret. */
interface Scene {
  readonly ref: string;
  readonly where: string;
}

/** What happens at a point of its rotation. */
interface StruckScene extends Scene {
  readonly point: Point;
}

/** Scenes of secrets that are called alike, and numbered. */
export function scenesOf(name: string, points: Readonly<Record<string, Point>>): readonly StruckScene[] {
  return Object.entries(points).map(([where, point], index) => ({
    ref: `${name}/${index + 1}`,
    where,
    point,
  }));
}

/** Plays scenes at once; names those that went wrong. */
export async function play<One extends Scene>(
  scenes: readonly One[],
  scene: (one: One) => Promise<void>,
): Promise<readonly string[]> {
  const played = await Promise.allSettled(scenes.map(scene));
  return played.flatMap((one, index) =>
    one.status === "rejected" ? [`${scenes[index]?.ref}, ${scenes[index]?.where}: ${one.reason}`] : [],
  );
}

/** Nothing is stranded, nothing is owed, and of all that was ever current only the last is let in. */
export async function hasEnded(ref: string, values: readonly string[]): Promise<void> {
  const record = await atRest(ref, 240_000);
  const now = await current(ref);
  expect(record?.current?.version).toBe(now?.version);
  const { VersionIdsToStages = {} } = await manager.send(new DescribeSecretCommand({ SecretId: ref }));
  const pending = Object.entries(VersionIdsToStages).filter(([, labels]) => labels.includes("AWSPENDING"));
  expect(pending.filter(([version]) => version !== now?.version)).toEqual([]);
  expect(await letsIn(now?.value)).toBe(true);
  const old = new Set(values.filter((value) => value !== now?.value));
  for (const value of old) expect(await letsIn(value)).toBe(false);
}
