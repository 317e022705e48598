import { Command } from "commander";
import { type AskOptions, ask, seconds } from "./ask.ts";
import { action } from "./command.ts";

export function rollbackCommand(): Command {
  const command = new Command("rollback")
    .description(
      "bring the old value back while it is in grace, as a new version; before that, take the candidate back",
    )
    .argument("<secret>", "its reference")
    .option("--insist", "also where the rotation is halted")
    .option("--wait", "until the version that was rolled back is proven refused")
    .option("--timeout <seconds>", "give up waiting after this long; it goes on by itself", seconds, 600)
    .addHelpText("after", "\nExample:\n  $ keyturn rollback billing/db");
  return command.action(
    action(command, (context, ref: string, options: AskOptions & { readonly insist?: boolean }) =>
      ask(context, ref, { kind: "rollback", insist: options.insist === true }, options),
    ),
  );
}
