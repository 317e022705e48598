import { Command } from "commander";
import { anchorOf } from "../core/audit-root.ts";
import { KeyturnError } from "../core/errors.ts";
import { witnessOf } from "./audit-pulse.ts";
import { chosenStore } from "./chosen-store.ts";
import { action, type CommandContext } from "./command.ts";
import { exitCodes } from "./exit.ts";
import { openManifest } from "./open.ts";

export function auditRootCommand(): Command {
  const command = new Command("root")
    .description("print the newest signed root, to be kept elsewhere as an anchor")
    .option("--store <name>", "the store; needed only if the manifest has several")
    .addHelpText(
      "after",
      `
Whoever has an anchor finds a list of roots that was cut off, replaced by an older one, or written anew: \`keyturn audit verify --anchor\`.

Example:
  $ keyturn audit root > anchor.json`,
    );
  return command.action(action(command, show));
}

async function show(
  { manifestPath, terminal }: CommandContext,
  options: { readonly store?: string },
): Promise<number> {
  await using opened = await openManifest(manifestPath);
  const { last } = await witnessOf(await chosenStore(opened, options.store)).list();
  if (last === undefined) {
    throw new KeyturnError("request-refused", "no root has been signed yet: run `keyturn audit sign`");
  }
  await terminal.line(JSON.stringify(anchorOf(last)));
  return exitCodes.done;
}
