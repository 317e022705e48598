import { Command } from "commander";
import { witnessOf } from "./audit-pulse.ts";
import { action, type CommandContext } from "./command.ts";
import { exitCodes } from "./exit.ts";
import { openManifest } from "./open.ts";
import type { AuditKeysResult } from "./results/audit-roots.ts";

export function auditKeysCommand(): Command {
  const command = new Command("keys")
    .description("the public keys that sign the audit's roots, and those that did")
    .addHelpText("after", "\nExample:\n  $ keyturn audit keys --json > keys.json");
  return command.action(action(command, list));
}

async function list({ manifestPath, terminal }: CommandContext): Promise<number> {
  await using opened = await openManifest(manifestPath);
  const keys: AuditKeysResult["keys"] = [];
  for (const store of await opened.stores()) {
    const found = await witnessOf(store).list();
    for (const key of found.keys) keys.push({ store: store.name, ...key, signs: key === found.key });
  }
  for (const { store, keyId, publicKey, at, signs } of keys) {
    const since = `since ${new Date(at).toISOString()}`;
    terminal.show(`store ${store}  ${keyId}  ${publicKey}  ${since}${signs ? ", signs" : ""}`);
  }
  if (keys.length === 0)
    terminal.show("nothing has been signed yet: `keyturn audit sign` makes the first key");
  terminal.result({ keys } satisfies AuditKeysResult);
  return exitCodes.done;
}
