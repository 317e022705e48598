import { Command, CommanderError } from "commander";
import { auditCommand } from "./audit.ts";
import { cancelCommand } from "./cancel.ts";
import { enrolCommand } from "./enrol.ts";
import { exitCodes } from "./exit.ts";
import { initCommand } from "./init.ts";
import { resumeCommand } from "./resume.ts";
import { revokeCommand } from "./revoke.ts";
import { rollbackCommand } from "./rollback.ts";
import { rotateCommand } from "./rotate.ts";
import { serveCommand } from "./serve.ts";
import { statusCommand } from "./status.ts";
import { version } from "./version.ts";

const exitCodeHelp = `
Exit codes:
  0 done   1 defect of Keyturn   2 wrong usage, input or manifest   3 refused, the message says why
  4 not found   5 out of reach for now   6 a check failed   7 halted: a person has to look
  78 wrong Node   130 interrupted`;

/** The keyturn command. */
export async function main(argv: readonly string[]): Promise<void> {
  const program = new Command("keyturn")
    .description("Rotates credentials without breaking an agent and without losing a credential.")
    .version(version)
    .option("-m, --manifest <file>", "the manifest", "keyturn.yaml")
    .option("--json", "results as JSON on standard output")
    .showSuggestionAfterError()
    .configureHelp({ showGlobalOptions: true })
    .addHelpText("after", exitCodeHelp)
    .exitOverride();
  const commands = [
    initCommand(),
    rotateCommand(),
    statusCommand(),
    cancelCommand(),
    rollbackCommand(),
    resumeCommand(),
    revokeCommand(),
    auditCommand(),
    enrolCommand(),
    serveCommand(),
  ];
  for (const command of commands) {
    program.addCommand(command.copyInheritedSettings(program).configureHelp({ showGlobalOptions: true }));
  }
  try {
    refuseVersionOf(program, argv);
    await program.parseAsync([...argv]);
  } catch (thrown) {
    // Commander has said what is wrong; help and version are no errors.
    if (!(thrown instanceof CommanderError)) throw thrown;
    process.exitCode = thrown.exitCode === 0 ? exitCodes.done : exitCodes.usage;
    if (thrown.exitCode !== 0 && argv.includes("--json")) {
      const message = thrown.message.replace(/^error: /, "");
      process.stdout.write(`${JSON.stringify({ error: { code: "input-invalid", message } })}\n`);
    }
  }
}

/** `revoke x --version y` must not print our own version, end with 0, and leave the credential as it is. */
function refuseVersionOf(program: Command, argv: readonly string[]): void {
  const asks = argv.includes("--version") || argv.includes("-V");
  const command = program.commands.find((known) => argv.slice(2).includes(known.name()));
  if (!asks || command === undefined) return;
  const hint = command.name() === "revoke" ? "; a version to revoke is named by --which" : "";
  program.error(`error: '${command.name()}' has no option '--version'${hint}`);
}
