import { Argument, Command } from "commander";
import type { Rotator } from "../core/rotator.ts";
import { loadRotator, rotatorTypes } from "../rotators/registry.ts";
import { action, type CommandContext } from "./command.ts";
import { exitCodes } from "./exit.ts";
import type { FieldDescription, RotatorDescription } from "./results/rotators.ts";
import { describeFields } from "./schema-fields.ts";

export function rotatorsCommand(): Command {
  const command = new Command("rotators")
    .description(
      "the credential types that there are: what they need, what the manifest says of them, what agents read",
    )
    .addArgument(new Argument("[type]", "everything of one type").choices(rotatorTypes))
    .addHelpText("after", "\nExample:\n  $ keyturn rotators\n  $ keyturn rotators postgres-alternating");
  return command.action(action(command, rotators));
}

/** It reads no manifest: whoever writes the first one asks here. */
async function rotators({ terminal }: CommandContext, type: string | undefined): Promise<number> {
  if (type !== undefined) {
    const one = describeRotator(await loadRotator(type));
    terminal.show(page(one));
    terminal.result(one);
    return exitCodes.done;
  }
  const types = (await Promise.all(rotatorTypes.map(loadRotator))).map(describeRotator);
  terminal.show(types.map(page).join("\n\n"));
  terminal.result({ types });
  return exitCodes.done;
}

function describeRotator(rotator: Rotator): RotatorDescription {
  const config = describeFields(rotator.config);
  return {
    type: rotator.type,
    overlap: rotator.overlap,
    needs: {
      network: [...rotator.needs.network],
      aws: (rotator.needs.aws ?? []).map(({ actions, resource }) => ({ actions: [...actions], resource })),
      admin: rotator.needsAdmin,
    },
    takesOver: rotator.adopt !== undefined,
    config,
    credential: describeFields(rotator.credential),
    admin: describeFields(rotator.admin),
    example: exampleOf(rotator, config),
  };
}

const overlaps = {
  "both-live": "the old and the new credential work side by side while the fleet changes over",
  cutover: "the target holds one credential: it changes at once, and readers try the other one",
} as const;

function page(one: RotatorDescription): string {
  const needs = [...one.needs.network, ...(one.needs.admin ? ["an administering login"] : [])];
  return [
    one.type,
    `  ${one.overlap}: ${overlaps[one.overlap]}`,
    `  needs ${needs.join(", ")}; ${one.takesOver ? "can take over" : "cannot take over"} a credential that exists already`,
    ...one.needs.aws.map(({ actions, resource }) => `  on AWS: ${actions.join(", ")} on ${resource}`),
    ...section("config", one.config),
    ...section("what agents read", one.credential),
    ...section("the administering login", one.admin),
    "  in the manifest, under `secrets:`",
    ...one.example
      .trimEnd()
      .split("\n")
      .map((line) => `    ${line}`),
  ].join("\n");
}

function section(title: string, fields: readonly FieldDescription[]): readonly string[] {
  if (fields.length === 0) return [];
  const nameWidth = Math.max(...fields.map(({ name }) => name.length));
  const typeWidth = Math.max(...fields.map(({ type }) => type.length));
  return [
    `  ${title}`,
    ...fields.map((field) => {
      const marks = [
        ...(field.secret === true ? ["secret"] : []),
        ...(field.required ? ["required"] : []),
        ...(field.default === undefined ? [] : [`default ${JSON.stringify(field.default)}`]),
        ...(field.description === undefined ? [] : [field.description]),
      ];
      return `    ${field.name.padEnd(nameWidth)}  ${field.type.padEnd(typeWidth)}  ${marks.join("; ")}`.trimEnd();
    }),
  ];
}

/** Values that show what is meant; a field that has none here shows its own name. */
const samples: Readonly<Record<string, string>> = {
  host: "db.internal",
  database: "billing",
  owner: "billing",
  username: "billing",
  user: "billing",
  role: "billing",
  login: "billing",
  userName: "billing",
  region: "eu-west-1",
};

function exampleOf({ type, needsAdmin }: Rotator, config: readonly FieldDescription[]): string {
  const required = config.filter((field) => field.required && !field.name.includes("."));
  return [
    "billing/db:",
    "  store: here",
    `  type: ${type}`,
    "  config:",
    ...required.map(({ name }) => `    ${name}: ${JSON.stringify(samples[name] ?? name)}`),
    ...(needsAdmin ? ["  admin: { secret: billing/db-admin }"] : []),
    "  schedule: { every: 30d }",
    "  fleets: [invoice-agents]",
  ].join("\n");
}
