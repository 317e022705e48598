import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import type { Journal } from "../core/ports.ts";
import { fileError } from "../local/files.ts";
import { type DamagedPart, damagedParts, renewParts } from "../local/renew.ts";
import { isServed } from "../local/wake.ts";
import type { AwsStoreEntry, LocalStoreEntry } from "../manifest/manifest.ts";
import { failureOf } from "./each-secret.ts";
import type { OpenManifest, OpenStore } from "./open.ts";
import type { StoreFinding } from "./results/doctor.ts";
import type { Terminal } from "./terminal.ts";

/** Looks at a store's files, which come first: without a journal nothing can be said of a secret. With `fixes` damaged ones are made anew. */
export async function attendStore(
  opened: OpenManifest,
  { name, path }: LocalStoreEntry,
  fixes: boolean,
  terminal: Terminal,
): Promise<StoreFinding> {
  const place = `local: ${path}`;
  const served = await isServed(`${path}/agents.sock`);
  terminal.say(`store ${name} (${place})${served ? "" : ": keyturn serve does not run on it"}`);
  const found = { store: name, place, served, damaged: [], keptAside: [] };
  const damaged = await lookedAt(path);
  if (damaged instanceof KeyturnError) return shut(found, damaged, terminal);
  show(name, damaged, terminal);
  if (damaged.length > 0 && !fixes) {
    terminal.show("  Restore it from a backup, or run `keyturn doctor --fix`.");
    return { ...found, damaged: damaged.map(partOf) };
  }
  if (damaged.length > 0 && served) {
    throw new KeyturnError(
      "request-refused",
      `stop \`keyturn serve\` first: it works with the damaged files of ${path}`,
    );
  }
  const keptAside = damaged.length > 0 ? await renewParts(path, Date.now()) : [];
  for (const kept of keptAside) terminal.show(`  moved aside as ${kept}`);
  const looked = { ...found, damaged: damaged.map(partOf), keptAside: [...keptAside] };
  try {
    await opened.store(name);
    return looked;
  } catch (thrown) {
    return shut(looked, asKeyturnError(thrown), terminal);
  }
}

/**
 * Looks whether what is deployed for a store can be reached by whoever calls, and whether its secrets bear the tags that its functions' rights go by; with
 * `fixes` those are set. Its files are AWS's to keep.
 */
export async function attendDeployed(
  opened: {
    store(
      name: string,
    ): Promise<
      Pick<OpenStore, "tags"> & { readonly ports: { readonly journal: Pick<Journal, "nextDueAt"> } }
    >;
  },
  { name, account, region }: AwsStoreEntry,
  fixes: boolean,
  terminal: Terminal,
): Promise<StoreFinding> {
  const place = `AWS: ${account}, ${region}`;
  terminal.say(`store ${name} (${place})`);
  const found = { store: name, place, served: true, damaged: [], keptAside: [] };
  try {
    const { ports, tags } = await opened.store(name);
    await ports.journal.nextDueAt();
    const lacking = (await tags?.lacking()) ?? [];
    const damaged = lacking.map((one) => ({
      name: `tags of ${one.ref}`,
      problem: `it lacks ${Object.entries(one.tags)
        .map(([key, value]) => `${key}=${value}`)
        .join(", ")}`,
      loses: "the function that rotates it may not touch it",
    }));
    show(name, damaged, terminal);
    if (fixes) for (const one of lacking) await tags?.set(one);
    if (damaged.length > 0)
      terminal.show(fixes ? "  They are set now." : "  `keyturn doctor --fix` sets them.");
    return { ...found, damaged: damaged.map(partOf) };
  } catch (thrown) {
    return shut(found, asKeyturnError(thrown), terminal);
  }
}

type Shown = Pick<DamagedPart, "name" | "problem" | "loses">;

/** An error: it cannot even be looked at. */
async function lookedAt(path: string): Promise<readonly DamagedPart[] | KeyturnError> {
  try {
    return await damagedParts(path);
  } catch (thrown) {
    return asKeyturnError(fileError(thrown));
  }
}

function shut(found: StoreFinding, error: KeyturnError, terminal: Terminal): StoreFinding {
  terminal.show(`store ${found.store}  ${error.code}: ${error.message}\n  ${error.remedy}`);
  return { ...found, error: failureOf(error) };
}

function show(store: string, damaged: readonly Shown[], terminal: Terminal): void {
  for (const { name, problem, loses } of damaged) {
    terminal.show(`store ${store}  ${name}  ${problem}`);
    terminal.show(`  its loss means: ${loses}`);
  }
}

function partOf({ name, problem, loses }: Shown): StoreFinding["damaged"][number] {
  return { part: name, problem, loses };
}
