import { Command } from "commander";
import { action, type CommandContext } from "./command.ts";
import { attend } from "./doctor-secret.ts";
import { attendDeployed, attendStore } from "./doctor-store.ts";
import { eachSecret, failureOf } from "./each-secret.ts";
import { exitCodes } from "./exit.ts";
import { openManifest, requireSecret } from "./open.ts";
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
  await using opened = await openManifest(manifestPath);
  const { manifest } = opened;
  const stores: StoreFinding[] = [];
  for (const entry of manifest.stores.values()) {
    const isLocal = entry.kind === "local";
    stores.push(
      isLocal
        ? await attendStore(opened, entry, fixes, terminal)
        : await attendDeployed(opened, entry, fixes, terminal),
    );
  }
  const isDamaged = ({ damaged }: StoreFinding): boolean => !fixes && damaged.length > 0;
  const unusable = stores.filter((one) => one.error !== undefined || (isDamaged(one) && lacksJournal(one)));
  const shut = new Set(unusable.map(({ store }) => store));
  const asked = ref === undefined ? manifest.secrets.refs() : [requireSecret(manifest, ref).ref];
  const refs = asked.filter((one) => !shut.has(manifest.secrets.get(one)?.store ?? ""));
  const each = await eachSecret(opened, refs, (secret) => attend(secret, fixes, context));
  const secrets: SecretFinding[] = each.map((one) =>
    "error" in one ? { ref: one.ref, diagnoses: [], fixed: false, error: failureOf(one.error) } : one.result,
  );
  for (const secret of secrets) show(secret, terminal);
  const troubled = secrets.filter(isTroubled).length;
  const healthy = troubled === 0 && !stores.some((one) => one.error !== undefined || isDamaged(one));
  if (healthy) terminal.show("nothing is wrong");
  const result: DoctorResult = { healthy, stores, secrets, troubled };
  terminal.result(result);
  return healthy ? exitCodes.done : exitCodes.failed;
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
