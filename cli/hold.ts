import { Command, InvalidArgumentError } from "commander";
import { parseDuration } from "../manifest/duration.ts";
import { action } from "./command.ts";
import { reason, tell } from "./tell.ts";
import { person } from "./who.ts";

const hourMs = 3_600_000;
const holdMaxMs = 7 * 24 * hourMs;

export function holdCommand(): Command {
  const command = new Command("hold")
    .description(
      "keep the old credential alive: its grace does not end while the hold lasts; an emergency does not care",
    )
    .argument("<secret>", "its reference")
    .option("--for <time>", "how long, such as 30m, 2h or 3d; at most 7d", holdTime, hourMs)
    .requiredOption("--reason <text>", "for the audit, and for whoever waits", reason)
    .addHelpText(
      "after",
      '\nHolding again replaces your hold. `keyturn release` ends it early.\n\nExample:\n  $ keyturn hold billing/db --for 2h --reason "the monthly report still runs"',
    );
  return command.action(
    action(command, (context, ref: string, options: { readonly for: number; readonly reason: string }) =>
      tell(
        context,
        { ref, all: false },
        {
          request: (now) => ({
            kind: "hold",
            by: person(),
            reason: options.reason,
            until: now + options.for,
          }),
        },
      ),
    ),
  );
}

function holdTime(text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined && ms <= holdMaxMs) return ms;
  throw new InvalidArgumentError("It must be a number and its unit, such as 30m, 2h or 3d, and at most 7d.");
}
