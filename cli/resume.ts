import { Command } from "commander";
import { type AskOptions, ask, seconds } from "./ask.ts";
import { action } from "./command.ts";

export function resumeCommand(): Command {
  const command = new Command("resume")
    .description("go on with a rotation that was halted, after a person has looked")
    .argument("<secret>", "its reference")
    .option("--wait", "until the old credential is proven refused")
    .option("--timeout <seconds>", "give up waiting after this long; it goes on by itself", seconds, 600)
    .addHelpText("after", "\nExample:\n  $ keyturn resume billing/db");
  return command.action(
    action(command, (context, ref: string, options: AskOptions) =>
      ask(context, ref, { kind: "resume" }, options),
    ),
  );
}
