import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { commands } from "./commands.ts";
import { exitCodes } from "./exit.ts";
import { outliveReaders } from "./terminal.ts";
import { version } from "./version.ts";

const exitCodeHelp = `
Exit codes:
  0 done   1 defect of Keyturn   2 wrong usage, input or manifest   3 refused, the message says why
  4 not found   5 out of reach for now   6 a check failed   7 halted: a person has to look
  78 wrong Node   130 interrupted`;

/** Every command there is, with its options and its help; or only the one that is named. */
export async function keyturnProgram(only?: string): Promise<Command> {
  const program = new Command("keyturn")
    .description("Rotates credentials without breaking an agent and without losing a credential.")
    .version(version)
    .addOption(manifestOption())
    .option("--json", "results as JSON on standard output")
    .showSuggestionAfterError()
    .configureHelp({ showGlobalOptions: true })
    .addHelpText("after", exitCodeHelp)
    .exitOverride();
  const one = only === undefined ? undefined : commands[only];
  const loading = one === undefined ? Object.values(commands) : [one];
  for (const command of await Promise.all(loading.map((load) => load()))) {
    program.addCommand(inherit(command, program));
  }
  if (one !== undefined) return program;
  const { completeCommand } = await import("./complete.ts");
  program.addCommand(completeCommand(program), { hidden: true });
  return program;
}

/** The first word that is neither an option nor the manifest's name. */
function commandIn(argv: readonly string[]): string | undefined {
  const words = argv.slice(2);
  const position = words.findIndex(
    (word, at) => !word.startsWith("-") && !/^(-m|--manifest)$/.test(words[at - 1] ?? ""),
  );
  const word = words[position];
  return word !== undefined && Object.hasOwn(commands, word) ? word : undefined;
}

/** Commands are made on their own: how the program ends and helps is told to them here, and to the ones in them. */
function inherit(command: Command, parent: Command): Command {
  command.copyInheritedSettings(parent).configureHelp({ showGlobalOptions: true });
  for (const inner of command.commands) inherit(inner, command);
  return command;
}

/** The keyturn command: reads what was asked for, does it, and ends the process. */
export async function main(argv: readonly string[]): Promise<void> {
  outliveReaders();
  const program = await keyturnProgram(commandIn(argv));
  try {
    refuseVersionOf(program, argv);
    await program.parseAsync([...argv]);
  } catch (thrown) {
    // Commander has said what is wrong; help and version are no errors.
    if (!(thrown instanceof CommanderError)) throw thrown;
    process.exitCode = thrown.exitCode === 0 ? exitCodes.done : exitCodes.usage;
    if (thrown.exitCode !== 0 && argv.includes("--json")) {
      const isIncomplete = thrown.code === "commander.help";
      const message = isIncomplete ? "a subcommand is missing" : thrown.message.replace(/^error: /, "");
      const error = { code: "input-invalid", message, remedy: "Look at --help." };
      process.stdout.write(`${JSON.stringify({ error })}\n`);
    }
  }
  await leave();
}

/** A step that a command has given up waiting for must not keep the process; what was printed gets out first. */
async function leave(): Promise<never> {
  const written = [process.stdout, process.stderr].map(
    (stream) => new Promise<void>((resolve) => stream.write("", () => resolve())),
  );
  await Promise.all(written);
  return process.exit();
}

/** Two manifests would mean two meanings of one reference: `include` puts files together. */
function manifestOption(): Option {
  let given: string | undefined;
  return new Option("-m, --manifest <file>", "the manifest")
    .default("keyturn.yaml")
    .argParser((path: string): string => {
      if (given !== undefined) {
        throw new InvalidArgumentError(
          `There is one already, ${given}; one manifest includes others by \`include\`.`,
        );
      }
      given = path;
      return path;
    });
}

/** `revoke x --version y` must not print our own version, end with 0, and leave the credential as it is. */
function refuseVersionOf(program: Command, argv: readonly string[]): void {
  const asks = argv.includes("--version") || argv.includes("-V");
  const command = program.commands.find((known) => argv.slice(2).includes(known.name()));
  if (!asks || command === undefined) return;
  const hint = command.name() === "revoke" ? "; a version to revoke is named by --which" : "";
  program.error(`error: '${command.name()}' has no option '--version'${hint}`);
}
