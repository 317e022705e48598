import { homedir } from "node:os";
import { join } from "node:path";
import { type Argument, Command, type Option } from "commander";
import { loadManifest } from "../manifest/load.ts";
import type { Manifest } from "../manifest/manifest.ts";
import { rotatorTypes } from "../rotators/registry.ts";

/** The shells' scripts call it: `keyturn complete -- <words before and at the cursor>`. Hidden, for nobody types it. */
export function completeCommand(program: Command): Command {
  return new Command("complete").argument("[words...]").action((words: readonly string[]) => {
    const lines = complete(program, words).map(({ value, description }) =>
      description === "" ? value : `${value}\t${description}`,
    );
    process.stdout.write(lines.map((line) => `${line}\n`).join(""));
  });
}

export interface Candidate {
  readonly value: string;
  readonly description: string;
}

/** The shell completes the names of files itself. */
const files: readonly Candidate[] = [{ value: ":files", description: "" }];

/** What may stand at the cursor: the last word, which may be empty. Reads the manifest, and no store. */
export function complete(program: Command, words: readonly string[]): readonly Candidate[] {
  const line = joined(words.map(unquoted));
  const current = line.words.at(-1) ?? "";
  const { command, positionals, pending, manifestPath } = read(program, line.words.slice(0, -1));
  const names = (): Names => namesIn(manifestPath);
  const [, flag, partial] = assignment.exec(current) ?? [];
  const assigned = flag === undefined ? undefined : optionsOf(command).find(({ long }) => long === flag);
  if (assigned !== undefined) {
    // bash sees three words where there is one to us, and completes the last.
    const prefix = line.isSplit ? "" : `${flag}=`;
    return matching(ofOption(assigned, names), partial ?? "").map((one) =>
      one === files[0] ? one : { ...one, value: `${prefix}${one.value}` },
    );
  }
  if (pending !== undefined) return matching(ofOption(pending, names), current);
  if (current.startsWith("-")) return matching(optionsOf(command).flatMap(flagsOf), current);
  const commands = command.createHelp().visibleCommands(command);
  if (commands.length > 0) {
    if (positionals > 0) return [];
    return matching(
      commands.map((one) => ({ value: one.name(), description: one.description() })),
      current,
    );
  }
  const argument = command.registeredArguments[positionals] ?? command.registeredArguments.at(-1);
  const isPast = positionals >= command.registeredArguments.length && argument?.variadic !== true;
  return argument === undefined || isPast ? [] : matching(ofArgument(argument, names), current);
}

interface Line {
  readonly command: Command;
  /** How many of the command's arguments have been given. */
  readonly positionals: number;
  /** The option whose value comes next. */
  readonly pending: Option | undefined;
  readonly manifestPath: string;
}

function read(program: Command, words: readonly string[]): Line {
  const start: Line = {
    command: program,
    positionals: 0,
    pending: undefined,
    manifestPath: "keyturn.yaml",
  };
  return words.reduce(readWord, start);
}

function readWord(line: Line, word: string): Line {
  if (word.startsWith("-")) return readFlag(line, word);
  const { command, pending, positionals } = line;
  if (pending !== undefined) {
    const manifestPath = pending.long === "--manifest" ? word : line.manifestPath;
    return { ...line, manifestPath, pending: pending.variadic ? pending : undefined };
  }
  const inner = command.commands.find((one) => one.name() === word);
  return inner === undefined ? { ...line, positionals: positionals + 1 } : { ...line, command: inner };
}

function readFlag(line: Line, word: string): Line {
  const [, name = word, value] = assignment.exec(word) ?? [];
  const option = optionsOf(line.command).find(({ long, short }) => name === long || name === short);
  if (option === undefined) return { ...line, pending: undefined };
  const isOpen = value === undefined && (option.required || option.optional);
  const manifestPath = option.long === "--manifest" && value !== undefined ? value : line.manifestPath;
  return { ...line, manifestPath, pending: isOpen ? option : undefined };
}

const assignment = /^(--[\w-]+)=(.*)$/s;

/** Its own options, and those that every command has. */
function optionsOf(command: Command): readonly Option[] {
  const parents: Option[] = [];
  for (let one = command.parent; one !== null; one = one.parent) parents.push(...one.options);
  return [...command.createHelp().visibleOptions(command), ...parents].filter(({ hidden }) => !hidden);
}

function flagsOf({ long, short, description }: Option): Candidate[] {
  return [long, short].flatMap((value) => (value == null ? [] : [{ value, description }]));
}

function ofOption(option: Option, names: () => Names): readonly Candidate[] {
  if (option.argChoices !== undefined) return plain(option.argChoices);
  const placeholder = /[<[]([\w-]+)/.exec(option.flags)?.[1] ?? "";
  if (placeholder === "file" || placeholder === "folder") return files;
  return option.attributeName() === "which"
    ? plain(["current", "previous", "pending"])
    : (named(option.attributeName(), names) ?? named(placeholder, names) ?? []);
}

function ofArgument(argument: Argument, names: () => Names): readonly Candidate[] {
  if (argument.argChoices !== undefined) return plain(argument.argChoices);
  if (argument.name() === "file") return files;
  return named(argument.name(), names) ?? [];
}

/** What is called so in the manifest. */
function named(kind: string, names: () => Names): readonly Candidate[] | undefined {
  switch (kind) {
    case "secret":
      return plain(names().secrets);
    case "held-secret":
      return plain(names().held);
    case "fleet":
      return plain(names().fleets);
    case "store":
      return plain(names().stores);
    case "tenant":
      return plain(names().tenants);
    case "channel":
      return plain(names().channels);
    default:
      return undefined;
  }
}

interface Names {
  readonly secrets: readonly string[];
  readonly held: readonly string[];
  readonly fleets: readonly string[];
  readonly stores: readonly string[];
  readonly tenants: readonly string[];
  readonly channels: readonly string[];
}

/** A manifest that is absent or broken has no names; the command itself will say what is wrong with it. */
function namesIn(path: string): Names {
  try {
    const manifest: Manifest = loadManifest(path, { types: rotatorTypes });
    const { secrets, held, fleets, stores, notify } = manifest;
    const tenants = secrets.refs().flatMap((ref) => secrets.get(ref)?.tenant ?? []);
    return {
      secrets: secrets.refs(),
      held: [...held.keys()],
      fleets,
      stores: [...stores.keys()],
      tenants: [...new Set(tenants)],
      channels: [...notify.keys()],
    };
  } catch {
    return { secrets: [], held: [], fleets: [], stores: [], tenants: [], channels: [] };
  }
}

function plain(values: readonly string[]): readonly Candidate[] {
  return values.map((value) => ({ value, description: "" }));
}

function matching(candidates: readonly Candidate[], start: string): readonly Candidate[] {
  return candidates.filter((one) => one === files[0] || one.value.startsWith(start));
}

/** bash takes `--format=csv` apart. */
function joined(words: readonly string[]): { readonly words: readonly string[]; readonly isSplit: boolean } {
  const result: string[] = [];
  let isSplit = false;
  for (const [index, word] of words.entries()) {
    const before = words[index - 1];
    const last = result.at(-1);
    const goesOn = word === "=" || (before === "=" && last?.endsWith("=") === true);
    isSplit = goesOn && last?.startsWith("--") === true;
    if (isSplit) result[result.length - 1] = `${last}${word}`;
    else result.push(word);
  }
  return { words: result, isSplit };
}

/** As the shell would read it, but for what it would have to run or look up. */
function unquoted(word: string): string {
  const home = word.startsWith("~/") ? join(homedir(), word.slice(2)) : word;
  return home.replaceAll(/^(["'])(.*?)\1?$/gs, "$2").replaceAll(/\\(.)/gs, "$1");
}
