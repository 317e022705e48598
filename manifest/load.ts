import type { Manifest } from "./manifest.ts";
import { manifestError } from "./problem.ts";
import { type ReadOptions, readManifest } from "./read.ts";

/** Reads keyturn.yaml and all that it includes. Throws one `manifest-invalid` that names every problem and its place. */
export function loadManifest(path: string, options: ReadOptions = {}): Manifest {
  const { manifest, problems, files } = readManifest(path, options);
  if (manifest === undefined) throw manifestError(problems, files);
  return manifest;
}
