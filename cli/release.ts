import { Command, Option } from "commander";
import { action } from "./command.ts";
import { tell } from "./tell.ts";
import { person } from "./who.ts";

interface ReleaseOptions {
  readonly of?: string;
  readonly all?: boolean;
}

export function releaseCommand(): Command {
  const command = new Command("release")
    .description("end a hold before its time, so that grace may end; without options, your own")
    .argument("<secret>", "its reference")
    .addOption(new Option("--of <person>", "the hold of another person").conflicts("all"))
    .option("--all", "the holds of everyone")
    .addHelpText(
      "after",
      "\nExample:\n  $ keyturn release billing/db\n  $ keyturn release billing/db --of alice",
    );
  return command.action(
    action(command, (context, ref: string, options: ReleaseOptions) =>
      tell(
        context,
        { ref, all: false },
        { request: () => ({ kind: "release", by: person(), whose: whose(options) }) },
      ),
    ),
  );
}

function whose({ of, all }: ReleaseOptions): string | undefined {
  if (all === true) return undefined;
  if (of === undefined) return person();
  return of.includes(":") ? of : `person:${of}`;
}
