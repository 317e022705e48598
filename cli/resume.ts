import { Command } from "commander";
import type { RotationRecord } from "../core/record.ts";
import { type AskOptions, ask, seconds } from "./ask.ts";
import { action } from "./command.ts";
import { tell } from "./tell.ts";
import { person } from "./who.ts";

export function resumeCommand(): Command {
  const command = new Command("resume")
    .description("end a pause; go on with a rotation that was halted, after a person has looked")
    .argument("[secret]", "its reference; leave it out with --all")
    .option("--all", "every secret that is paused; those that are halted have to be named one by one")
    .option("--wait", "until the old credential is proven refused")
    .option("--timeout <seconds>", "give up waiting after this long; it goes on by itself", seconds, 600)
    .addHelpText("after", "\nExample:\n  $ keyturn resume billing/db\n  $ keyturn resume --all");
  return command.action(
    action(command, (context, ref: string | undefined, options: AskOptions & { readonly all?: boolean }) => {
      if (ref !== undefined && options.all !== true) return ask(context, ref, { kind: "resume" }, options);
      const whom = { ref, all: options.all === true };
      return tell(context, whom, { request: () => ({ kind: "resume", by: person() }), passOver: halted });
    }),
  );
}

/** A halt is only ended by who has looked at it. */
function halted(record: RotationRecord | undefined): string | undefined {
  if (record?.state.phase !== "halted") return undefined;
  return `halted in ${record.state.from}: ${record.state.code}: look, then resume it by its name`;
}
