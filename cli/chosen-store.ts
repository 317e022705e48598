import { KeyturnError } from "../core/errors.ts";
import type { OpenManifest, OpenStore } from "./open.ts";

/** The store that was named, or the only one of the manifest. */
export async function chosenStore(opened: OpenManifest, name: string | undefined): Promise<OpenStore> {
  if (name !== undefined) return opened.store(name);
  const [only, ...others] = opened.manifest.stores.keys();
  if (only === undefined) throw new KeyturnError("manifest-invalid", `${opened.manifest.path} has no store`);
  if (others.length > 0) {
    throw new KeyturnError(
      "input-invalid",
      `the manifest has several stores: say --store ${[only, ...others].join(" or ")}`,
    );
  }
  return opened.store(only);
}
