import { existsSync, readFileSync } from "node:fs";
import * as z from "zod/mini";

/** The version of the package that this file belongs to, in a checkout and in what is built from it. */
export const version: string = readVersion();

function readVersion(): string {
  const places = ["../package.json", "../../package.json"].map((place) => new URL(place, import.meta.url));
  const found = places.find((place) => existsSync(place));
  if (found === undefined) return "unknown";
  return z.parse(z.object({ version: z.string() }), JSON.parse(readFileSync(found, "utf8"))).version;
}
