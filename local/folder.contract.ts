import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type LocalOptions, type LocalStore, openLocal } from "./open.ts";

/** A folder that is gone after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "keyturn-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A store in a folder of its own, with its key outside of it, as `keyturn init` leaves it. */
export async function temporaryStore(changes: Partial<LocalOptions> = {}): Promise<{
  readonly local: LocalStore;
  readonly options: LocalOptions;
}> {
  const home = temporaryFolder();
  const options = { path: join(home, "data"), environment: { HOME: home }, ...changes };
  const local = await openLocal({ ...options, create: true });
  onTestFinished(() => local.close());
  return { local, options };
}

/** Every file below a folder, with its rights and its bytes. */
export function filesIn(
  folder: string,
): readonly { readonly path: string; readonly mode: number; readonly bytes: Buffer }[] {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return names
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => ({ path, mode: statSync(path).mode & 0o777, bytes: readFileSync(path) }));
}
