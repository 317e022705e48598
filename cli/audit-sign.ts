import { Command } from "commander";
import { anchorOf } from "../core/audit-root.ts";
import { witnessOf } from "./audit-pulse.ts";
import { action, type CommandContext } from "./command.ts";
import { exitCodes } from "./exit.ts";
import { openManifest } from "./open.ts";
import type { AuditSignResult } from "./results/audit-roots.ts";

export function auditSignCommand(): Command {
  const command = new Command("sign")
    .description("sign a root over all chains now; `keyturn serve` does so every hour, and when it stops")
    .option(
      "--accept <secret...>",
      "chains that are not what was signed, and are to count as they are: after a repair or a restored backup",
    )
    .addHelpText(
      "after",
      `
A chain that does not verify, or is not the one of which the root before speaks, is named, and does not get into the root; the others do.
What is accepted is named in the root for good, and by \`keyturn audit verify\`. The key is made by the first signature, apart from the
data; keep a copy of it.

Example:
  $ keyturn audit sign`,
    );
  return command.action(action(command, sign));
}

async function sign(
  { manifestPath, terminal }: CommandContext,
  { accept = [] }: { readonly accept?: readonly string[] },
): Promise<number> {
  await using opened = await openManifest(manifestPath);
  const stores: AuditSignResult["stores"] = [];
  for (const store of await opened.stores()) {
    const { root, isNew, parted, accepted } = await witnessOf(store).sign(accept);
    stores.push({
      store: store.name,
      isNew,
      root: root && anchorOf(root),
      parted: [...parted],
      accepted: [...accepted],
    });
    if (isNew) terminal.say(`signed with the key in ${store.auditKeyPlace}`);
    terminal.show(`store ${store.name}  ${inWords(root, isNew)}`);
    for (const ref of parted) terminal.warn(`${ref} is not what was signed: see \`keyturn audit verify\``);
  }
  terminal.result({ stores } satisfies AuditSignResult);
  const idle = accept.filter((ref) => !stores.some(({ accepted }) => accepted.includes(ref)));
  if (idle.length > 0 && stores.every(({ parted }) => parted.length === 0)) {
    terminal.warn(`nothing was to be accepted of ${idle.join(", ")}`);
  }
  return stores.some(({ parted }) => parted.length > 0) ? exitCodes.failed : exitCodes.done;
}

function inWords(
  root: { readonly number: number; readonly chains: number; readonly root: string } | undefined,
  isNew: boolean,
): string {
  if (root === undefined) return "no secret has an audit yet";
  const what = `root ${root.number} over ${root.chains} chains: ${root.root}`;
  return isNew ? what : `nothing has changed since ${what}`;
}
