import { Command, Option } from "commander";
import { KeyturnError } from "../core/errors.ts";
import { type LintFinding, lint, lintRules } from "../manifest/lint.ts";
import { formatPlace, shortPath } from "../manifest/problem.ts";
import { readManifest } from "../manifest/read.ts";
import { action, type CommandContext } from "./command.ts";
import { credentialTypes } from "./credential-types.ts";
import { exitCodes } from "./exit.ts";
import type { LintResult } from "./results/lint.ts";
import { sarif } from "./sarif.ts";
import type { Terminal } from "./terminal.ts";
import { version } from "./version.ts";

interface LintOptions {
  readonly format: "text" | "sarif";
}

export function lintCommand(): Command {
  const command = new Command("lint")
    .description("check the manifest and its policies, without reaching any store or target")
    .addOption(
      new Option(
        "--format <format>",
        "text for a person, sarif (2.1.0) for CI systems that show findings beside the code",
      )
        .choices(["text", "sarif"])
        .default("text"),
    )
    .addHelpText(
      "after",
      `
Ends with 0 where nothing is wrong or there are warnings only, with 6 where there are errors, and with 2 where the manifest cannot
be read at all.

Example:
  $ keyturn lint
  $ keyturn lint --format sarif > keyturn.sarif`,
    );
  return command.action(action(command, lintManifest));
}

async function lintManifest(
  { manifestPath, terminal }: CommandContext,
  options: LintOptions,
): Promise<number> {
  if (terminal.json && options.format === "sarif") {
    throw new KeyturnError(
      "input-invalid",
      "--json and --format sarif are two forms of one result: choose one",
    );
  }
  const facts = await credentialTypes();
  const read = readManifest(manifestPath, { facts });
  const findings = lint(read, facts);
  const result = resultOf(findings);
  if (options.format === "sarif") terminal.show(JSON.stringify(sarif(version, lintRules, findings)));
  else for (const finding of findings) terminal.show(page(finding));
  terminal.result(result);
  tellEnd(terminal, result, read.files.length);
  return result.passed ? exitCodes.done : exitCodes.failed;
}

function resultOf(findings: readonly LintFinding[]): LintResult {
  const errors = findings.filter(({ severity }) => severity === "error").length;
  return {
    passed: errors === 0,
    errors,
    warnings: findings.length - errors,
    findings: findings.map(({ file, secret, ...finding }) => ({
      ...finding,
      ...(secret === undefined ? {} : { secret }),
      file: shortPath(file),
    })),
  };
}

/** As compilers have it, so that editors and people find the place. */
function page(finding: LintFinding): string {
  const { severity, rule, message, remedy } = finding;
  return `${formatPlace(finding)}: ${severity}: ${message} [${rule}]\n    ${remedy}`;
}

function tellEnd(terminal: Terminal, { errors, warnings }: LintResult, files: number): void {
  const read = `${counted(files, "file")} read`;
  if (errors + warnings === 0) terminal.say(`${read}, nothing found`);
  else terminal.say(`${read}: ${counted(errors, "error")}, ${counted(warnings, "warning")}`);
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
