import type { Command, Option } from "commander";
import { errorCodes, KeyturnError } from "../core/errors.ts";
import { exitCodeOf } from "./exit.ts";
import { jsonSchema } from "./results/json-schema.ts";
import { resultSchemas } from "./results/table.ts";
import { fieldsOf } from "./schema-fields.ts";

/** docs/commands.md: every command with its options, examples and results, from the program that runs. */
export function commandsPage(program: Command): string {
  const commands = leavesOf(program);
  const parts = [
    head,
    `## Options of every command\n\n${optionsOf(program)}`,
    ...commands.map(section),
    `## Errors\n\nWith \`--json\`, \`{"error": {"code": …, "message": …, "remedy": …}}\` takes a result's place
([schema](../schemas/cli/failure.schema.json)). The codes are stable.\n\n${errors()}`,
  ];
  return `${parts.join("\n\n")}\n`;
}

const head = `<!-- Written by \`npm run gen\` from the program. Do not edit. -->
# The commands

Results go to standard output, progress and warnings to standard error. With \`--json\` the result is one line of JSON; its schema is named
below, and fields may be added to it, but are not taken away. No command takes a secret as an argument: what is secret comes on standard input,
and at a terminal it is asked for without showing it. The manifest names the store, the account and the region; commands print them.

| exit code | meaning |
|---|---|
| 0 | done, or there was nothing to do |
| 1 | a defect of Keyturn |
| 2 | wrong usage, input or manifest; nothing has changed |
| 3 | refused; the message says why, and what to do instead |
| 4 | what was named is not there |
| 5 | out of reach for now; what had begun goes on by the service or the next command |
| 6 | a check has failed: a broken chain, an overdue debt, a finding |
| 7 | halted: a person has to look |
| 78 | wrong Node |
| 130 | interrupted by Ctrl-C; what had begun goes on by the service or the next command |

A command may be repeated, and may be ended at any moment: what was recorded stays recorded, and a step that was cut short is done again by
whoever comes next. \`--timeout\` and Ctrl-C are obeyed in the middle of a step, too.`;

/** Every command that does something, with its path from the program. */
export function leavesOf(command: Command): readonly Command[] {
  const inner = command
    .createHelp()
    .visibleCommands(command)
    .filter((one) => one.name() !== "help");
  return inner.length === 0 ? [command] : inner.flatMap(leavesOf);
}

/** Such as \`audit verify\`. */
export function pathOf(command: Command): string {
  const { parent } = command;
  return parent === null ? "" : `${pathOf(parent)} ${command.name()}`.trim();
}

function section(command: Command): string {
  const path = pathOf(command);
  const parts = [
    `## keyturn ${path}`,
    sentence(command.description()),
    fenced(
      `keyturn ${path} ${command.usage()}`.replace(
        "[options] ",
        command.options.length === 0 ? "" : "[options] ",
      ),
    ),
    ...(command.registeredArguments.length === 0
      ? []
      : [
          command.registeredArguments
            .map((one) => `- \`${one.name()}\`: ${one.description}${choices(one.argChoices)}`)
            .join("\n"),
        ]),
    ...(command.options.length === 0 ? [] : [optionsOf(command)]),
    ...afterHelp(command),
    ...results(path),
  ];
  return parts.join("\n\n");
}

function optionsOf(command: Command): string {
  const rows = command
    .createHelp()
    .visibleOptions(command)
    .filter(({ long }) => long !== "--help")
    .map(row);
  return ["| option | |", "|---|---|", ...rows].join("\n");
}

function row(option: Option): string {
  const { flags, description, mandatory, argChoices } = option;
  const notes = [
    ...(mandatory ? ["required"] : []),
    ...(option.defaultValue === undefined || option.defaultValue === false
      ? []
      : [`default ${defaultOf(option)}`]),
  ];
  const note = notes.length === 0 ? "" : ` (${notes.join(", ")})`;
  return `| \`${flags.replaceAll("|", "\\|")}\` | ${description.replaceAll(/[<|]/g, "\\$&")}${choices(argChoices)}${note} |`;
}

function defaultOf({ defaultValue, defaultValueDescription }: Option): string {
  return defaultValueDescription ?? JSON.stringify(defaultValue);
}

function choices(values: readonly string[] | undefined): string {
  return values === undefined ? "" : `: ${values.map((value) => `\`${value}\``).join(", ")}`;
}

/** What a command's help says behind its options: more words, and examples. */
function afterHelp(command: Command): readonly string[] {
  const pieces: string[] = [];
  command.configureOutput({ writeOut: (piece) => void pieces.push(piece) });
  command.outputHelp();
  const after = pieces.join("").slice(command.helpInformation().length).trim();
  if (after === "") return [];
  const [words = "", example] = after.split(/^Examples?:$/m);
  return [
    ...(words.trim() === "" ? [] : [words.trim()]),
    ...(example === undefined
      ? []
      : [fenced(example.replace(/^\n/, "").replaceAll(/^ {2}/gm, ""), "console")]),
  ];
}

function results(path: string): readonly string[] {
  const schema = resultSchemas[path];
  if (schema === undefined) return [];
  const all = fieldsOf(jsonSchema(schema));
  const names = new Set(all.map(({ name }) => name));
  const isRepeated = (name: string): boolean =>
    names.has(name.replace(/^\w+\[\]\./, "")) && name.includes("[].");
  const repeated = new Set(all.flatMap(({ name }) => (isRepeated(name) ? [name.split("[]")[0]] : [])));
  const fields = all
    .filter(({ name }) => !isRepeated(name))
    .map(({ name, type, description }) => {
      const words = [description, repeated.has(name) ? "each as above" : undefined].filter(
        (one) => one !== undefined,
      );
      return `- \`${name}\` ${type}${words.length === 0 ? "" : `: ${words.join("; ")}`}`;
    });
  const file = `schemas/cli/${path.replaceAll(" ", "-")}.schema.json`;
  return [`With \`--json\` ([schema](../${file})):`, fields.join("\n")];
}

function errors(): string {
  const rows = errorCodes.map(
    (code) => `| \`${code}\` | ${exitCodeOf(code)} | ${new KeyturnError(code, "").remedy} |`,
  );
  return ["| code | exit code | what to do |", "|---|---|---|", ...rows].join("\n");
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

function fenced(text: string, language = "text"): string {
  return `\`\`\`${language}\n${text.trimEnd()}\n\`\`\``;
}
