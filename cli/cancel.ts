import { Command } from "commander";
import { type AskOptions, ask, seconds } from "./ask.ts";
import { action } from "./command.ts";

export function cancelCommand(): Command {
  const command = new Command("cancel")
    .description("take a candidate back that is not published yet; current stays as it is")
    .argument("<secret>", "its reference")
    .option("--insist", "also where the rotation is halted")
    .option("--timeout <seconds>", "give up waiting after this long; it goes on by itself", seconds, 60)
    .addHelpText("after", "\nExample:\n  $ keyturn cancel billing/db");
  return command.action(
    action(command, (context, ref: string, options: AskOptions & { readonly insist?: boolean }) =>
      ask(context, ref, { kind: "cancel", insist: options.insist === true }, { ...options, wait: true }),
    ),
  );
}
