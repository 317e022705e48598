import type { Rotator } from "../core/rotator.ts";
import { loadRotator, rotatorTypes } from "../rotators/registry.ts";

/** Every credential type, by its name. Their drivers are loaded when a target is reached, and not here. */
export async function credentialTypes(): Promise<ReadonlyMap<string, Rotator>> {
  const rotators = await Promise.all(rotatorTypes.map(loadRotator));
  return new Map(rotators.map((rotator) => [rotator.type, rotator]));
}
