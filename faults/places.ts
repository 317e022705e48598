import type { Place } from "./place.ts";

/** Each is loaded where it is asked for: nobody needs the clients of a cloud who is not there. */
const loaders = {
  local: async () => (await import("./local-place.ts")).localPlace,
  aws: async () => (await import("./aws-place.ts")).awsPlace,
} as const satisfies Record<string, () => Promise<Place>>;

export type PlaceName = keyof typeof loaders;

export function isPlaceName(name: string): name is PlaceName {
  return Object.hasOwn(loaders, name);
}

export const placeNames: readonly PlaceName[] = Object.keys(loaders).filter(isPlaceName);

export function loadPlace(name: PlaceName): Promise<Place> {
  return loaders[name]();
}
