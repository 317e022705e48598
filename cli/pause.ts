import { Command } from "commander";
import { action } from "./command.ts";
import { reason, tell } from "./tell.ts";
import { person } from "./who.ts";

export function pauseCommand(): Command {
  const command = new Command("pause")
    .description(
      "let nothing begin or go on by itself: schedule, the end of grace, ordinary debts; an emergency still does",
    )
    .argument("[secret]", "its reference; leave it out with --all")
    .option("--all", "every secret of the manifest")
    .option("--reason <text>", "for the audit, and for whoever wonders", reason, "no reason given")
    .addHelpText(
      "after",
      '\nExample:\n  $ keyturn pause billing/db --reason "index rebuild until 14:00"\n  $ keyturn pause --all --reason "change freeze"',
    );
  return command.action(
    action(
      command,
      (context, ref: string | undefined, options: { readonly all?: boolean; readonly reason: string }) =>
        tell(
          context,
          { ref, all: options.all === true },
          { request: () => ({ kind: "pause", by: person(), reason: options.reason }) },
        ),
    ),
  );
}
