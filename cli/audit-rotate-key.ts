import { Command } from "commander";
import { witnessOf } from "./audit-pulse.ts";
import { chosenStore } from "./chosen-store.ts";
import { action, type CommandContext } from "./command.ts";
import { exitCodes } from "./exit.ts";
import { openManifest } from "./open.ts";
import type { AuditRotateKeyResult } from "./results/audit-roots.ts";

export function auditRotateKeyCommand(): Command {
  const command = new Command("rotate-key")
    .description("sign the audit's roots with a new key from now on")
    .option("--store <name>", "the store; needed only if the manifest has several")
    .addHelpText(
      "after",
      `
The old key signs the new one, and its private part is gone then; its public part stays in the list, so that its roots can be verified.

Example:
  $ keyturn audit rotate-key`,
    );
  return command.action(action(command, rotate));
}

async function rotate(
  { manifestPath, terminal }: CommandContext,
  options: { readonly store?: string },
): Promise<number> {
  await using opened = await openManifest(manifestPath);
  const store = await chosenStore(opened, options.store);
  const { keyId, publicKey } = await witnessOf(store).rotateKey();
  const file = store.auditKeyPlace;
  terminal.show(`store ${store.name}  ${keyId}  ${publicKey}`);
  terminal.say(`the key is in ${file}: keep a copy of it`);
  terminal.result({ store: store.name, keyId, publicKey, file } satisfies AuditRotateKeyResult);
  return exitCodes.done;
}
