import { Command } from "commander";
import { action, type CommandContext } from "./command.ts";
import { eachSecret, failureOf } from "./each-secret.ts";
import { exitCodeOf, exitCodes } from "./exit.ts";
import { openManifest } from "./open.ts";
import type { SecretStatus, Unreadable } from "./results/status.ts";
import { describeSecret } from "./secret-status.ts";
import { page, table } from "./status-page.ts";

interface StatusOptions {
  readonly long?: boolean;
}

export function statusCommand(): Command {
  const command = new Command("status")
    .description("who is on which version, what is under way, what is owed, and what comes next")
    .argument("[secret]", "one secret; without it, all of them")
    .option("--long", "everything of each secret, also where there are many")
    .addHelpText(
      "after",
      "\nWhere there are many, each has a line: AGENTS are those that have adopted current, of those that live.\n\nExample:\n  $ keyturn status\n  $ keyturn status billing/db --json",
    );
  return command.action(action(command, status));
}

async function status(
  { manifestPath, terminal }: CommandContext,
  ref: string | undefined,
  options: StatusOptions,
): Promise<number> {
  await using opened = await openManifest(manifestPath);
  if (ref !== undefined) {
    const found = await describeSecret(await opened.secret(ref));
    terminal.show(page(found));
    terminal.result(found);
    return codeOf([found]);
  }
  const all = await eachSecret(opened, opened.manifest.secrets.refs(), describeSecret);
  const secrets = all.flatMap((one) => ("result" in one ? [one.result] : []));
  const failures = all.flatMap((one) => ("error" in one ? [one] : []));
  for (const place of places(secrets)) terminal.say(place);
  if (secrets.length === 1 || options.long === true) for (const one of secrets) terminal.show(page(one));
  else if (secrets.length > 1) terminal.show(table(secrets));
  for (const { ref: broken, error } of failures) {
    terminal.warn(`${broken}  ${error.code}: ${error.message}`);
    terminal.warn(`  ${error.remedy}`);
  }
  if (all.length === 0) terminal.show(`${opened.manifest.path} has no secrets yet: keyturn init adds one`);
  const unreadable: Unreadable[] = failures.map((one) => ({ ref: one.ref, error: failureOf(one.error) }));
  terminal.result({ secrets, unreadable });
  return Math.max(codeOf(secrets), ...failures.map(({ error }) => exitCodeOf(error.code)));
}

function codeOf(secrets: readonly SecretStatus[]): number {
  return secrets.some(({ phase }) => phase === "halted") ? exitCodes.halted : exitCodes.done;
}

function places(secrets: readonly SecretStatus[]): readonly string[] {
  return [...new Set(secrets.map(({ store, place }) => `store ${store} (${place})`))];
}
