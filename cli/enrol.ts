import { closeSync, openSync, writeSync } from "node:fs";
import { Command } from "commander";
import { KeyturnError } from "../core/errors.ts";
import { action, type CommandContext } from "./command.ts";
import { exitCodes } from "./exit.ts";
import { localOf, openManifest } from "./open.ts";

export function enrolCommand(): Command {
  const command = new Command("enrol")
    .description("give a host of agents the token by which it reads and reports")
    .argument("<principal>", "the host's name; its agents are called principal/name")
    .requiredOption("-f, --fleet <fleet...>", "the fleets whose secrets it may read")
    .option("-o, --out <file>", "write the token there, readable by you only, instead of to standard output")
    .addHelpText("after", "\nExample:\n  $ keyturn enrol host-1 --fleet invoice-agents --out host-1.token");
  return command.action(action(command, enrol));
}

async function enrol(
  { manifestPath, terminal }: CommandContext,
  principal: string,
  options: { readonly fleet: readonly string[]; readonly out?: string },
): Promise<number> {
  await using opened = await openManifest(manifestPath);
  const unknown = options.fleet.filter((fleet) => !opened.manifest.fleets.includes(fleet));
  if (unknown.length > 0) {
    throw new KeyturnError(
      "input-invalid",
      `no secret in the manifest names the fleet ${unknown.join(", ")}`,
    );
  }
  const stores = await opened.stores();
  const [store] = stores;
  if (store === undefined || stores.length > 1) {
    throw new KeyturnError("input-invalid", "enrolling needs a manifest with exactly one store");
  }
  const local = localOf(store, "hosts on AWS are known by their roles, and need no token");
  // The file first: a token that nobody has would be good for ever.
  const file = options.out === undefined ? undefined : createFile(options.out);
  const token = await local.tokens.enrol({ principal, fleets: options.fleet });
  if (file !== undefined) {
    writeSync(file, token.reveal());
    closeSync(file);
    terminal.result({ principal, fleets: options.fleet, out: options.out });
  } else if (terminal.json) terminal.result({ principal, fleets: options.fleet, token: token.reveal() });
  else process.stdout.write(`${token.reveal()}\n`);
  terminal.say(
    `${principal} may read the secrets of ${options.fleet.join(", ")} through ${local.socketPath}`,
  );
  return exitCodes.done;
}

function createFile(path: string): number {
  try {
    return openSync(path, "wx", 0o600);
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new KeyturnError("input-invalid", `--out ${path}: ${why}`);
  }
}
