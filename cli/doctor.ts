import { Command } from "commander";
import { KeyturnError } from "../core/errors.ts";
import { damagedParts, renewParts } from "../local/renew.ts";
import { isServed } from "../local/wake.ts";
import { loadManifest } from "../manifest/load.ts";
import type { StoreEntry } from "../manifest/manifest.ts";
import { rotatorTypes } from "../rotators/registry.ts";
import { action, type CommandContext } from "./command.ts";
import { attend } from "./doctor-secret.ts";
import { eachSecret, failureOf } from "./each-secret.ts";
import { exitCodes } from "./exit.ts";
import { openManifest } from "./open.ts";
import type { DoctorResult, SecretFinding, StoreFinding } from "./results/doctor.ts";
import type { Terminal } from "./terminal.ts";

export function doctorCommand(): Command {
  const command = new Command("doctor")
    .description("say what is wrong with the stores, the records and the targets, and with --fix repair it")
    .argument("[secret]", "one secret; without it, all of them")
    .option("--fix", "repair what can be repaired without losing a credential")
    .addHelpText(
      "after",
      `
Without --fix it changes nothing. With it, damaged files are moved aside, never deleted. The exit code is 6 while anything
is wrong. What each ailment means is in docs/doctor.md.

Example:
  $ keyturn doctor
  $ keyturn doctor billing/db --fix`,
    );
  return command.action(action(command, doctor));
}

async function doctor(
  context: CommandContext,
  ref: string | undefined,
  options: { readonly fix?: true },
): Promise<number> {
  const { manifestPath, terminal } = context;
  const fixes = options.fix === true;
  const manifest = loadManifest(manifestPath, { types: rotatorTypes });
  const stores: StoreFinding[] = [];
  for (const entry of manifest.stores.values()) stores.push(await lookAtStore(entry, fixes, terminal));
  const broken = fixes ? [] : stores.filter(({ damaged }) => damaged.length > 0);
  const unusable = new Set(broken.filter(lacksJournal).map(({ store }) => store));

  await using opened = await openManifest(manifestPath);
  const asked = ref === undefined ? opened.manifest.secrets.refs() : [requireRef(opened.manifest, ref)];
  const refs = asked.filter((one) => !unusable.has(opened.manifest.secrets.get(one)?.store ?? ""));
  const each = await eachSecret(opened, refs, (secret) => attend(secret, fixes, context));
  const secrets: SecretFinding[] = each.map((one) =>
    "error" in one ? { ref: one.ref, diagnoses: [], fixed: false, error: failureOf(one.error) } : one.result,
  );
  for (const secret of secrets) show(secret, terminal);
  const troubled = secrets.filter(isTroubled).length;
  const healthy = troubled === 0 && broken.length === 0;
  if (healthy) terminal.show("nothing is wrong");
  const result: DoctorResult = { healthy, stores, secrets, troubled };
  terminal.result(result);
  return healthy ? exitCodes.done : exitCodes.failed;
}

function requireRef({ secrets, path }: ReturnType<typeof loadManifest>, ref: string): string {
  if (secrets.get(ref) !== undefined) return ref;
  throw new KeyturnError("input-invalid", `${path} has no secret ${ref}`);
}

/** The files come first: without a journal nothing can be said of a secret. */
async function lookAtStore(
  { name, path }: StoreEntry,
  fixes: boolean,
  terminal: Terminal,
): Promise<StoreFinding> {
  const place = `local: ${path}`;
  const damaged = await damagedParts(path);
  const served = await isServed(`${path}/agents.sock`);
  terminal.say(`store ${name} (${place})${served ? "" : ": keyturn serve does not run on it"}`);
  for (const { name: part, problem, loses } of damaged) {
    terminal.show(`store ${name}  ${part}  ${problem}`);
    terminal.show(`  its loss means: ${loses}`);
  }
  if (damaged.length > 0 && fixes && served) {
    throw new KeyturnError(
      "request-refused",
      `stop \`keyturn serve\` first: it works with the damaged files of ${path}`,
    );
  }
  const keptAside = damaged.length > 0 && fixes ? await renewParts(path, Date.now()) : [];
  for (const kept of keptAside) terminal.show(`  moved aside as ${kept}`);
  if (damaged.length > 0 && !fixes)
    terminal.show("  Restore it from a backup, or run `keyturn doctor --fix`.");
  return {
    store: name,
    place,
    served,
    damaged: damaged.map(({ name: part, problem, loses }) => ({ part, problem, loses })),
    keptAside: [...keptAside],
  };
}

function lacksJournal({ damaged }: StoreFinding): boolean {
  return damaged.some(({ part }) => part === "journal.db");
}

function isTroubled({ diagnoses, fixed, error }: SecretFinding): boolean {
  return error !== undefined || diagnoses.some(({ fix }) => fix === undefined || !fixed);
}

function show({ ref, diagnoses, fixed, phase, error }: SecretFinding, terminal: Terminal): void {
  if (error !== undefined) terminal.show(`${ref}  ${error.code}: ${error.message}\n  ${error.remedy}`);
  for (const { ailment, what, fix, advice } of diagnoses) {
    const remedy = fixed && fix !== undefined ? `--fix ${fix}; it is in ${phase} now` : advice;
    terminal.show(`${ref}  ${ailment}: ${what}\n  ${remedy}`);
  }
}
