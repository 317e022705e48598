import { Command } from "commander";
import { type AskOptions, ask, seconds } from "./ask.ts";
import { action } from "./command.ts";

export function rotateCommand(): Command {
  const command = new Command("rotate")
    .description("make a new version of a secret, and let the fleet change over")
    .argument("<secret>", "its reference, such as billing/db")
    .option(
      "--wait",
      "until the old credential is proven refused, and not only until the new one is announced",
    )
    .option("--timeout <seconds>", "give up waiting after this long; it goes on by itself", seconds, 600)
    .addHelpText("after", "\nExample:\n  $ keyturn rotate billing/db --wait");
  return command.action(
    action(command, (context, ref: string, options: AskOptions) =>
      ask(context, ref, { kind: "rotate" }, options),
    ),
  );
}
