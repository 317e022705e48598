import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import * as z from "zod/mini";
import { credentialTypes } from "../cli/credential-types.ts";
import type { Rotator } from "../core/rotator.ts";
import { lintRules } from "../manifest/lint.ts";
import { type DescribedField, fieldsOf } from "./fields.ts";
import { manifestSchema } from "./manifest-schema.ts";

/** The files that are written from the code, by their paths in the repository, as they should be. */
export async function generatedFiles(root: string): Promise<ReadonlyMap<string, string>> {
  const types = [...(await credentialTypes()).values()];
  const schema = manifestSchema(types);
  const page = readFileSync(join(root, pagePath), "utf8");
  const parts = {
    fields: fieldTable(fieldsOf(schema)),
    types: types.map(typeSection).join("\n"),
    rules: ruleTable(),
  };
  const written = Object.entries(parts).reduce((text, [name, part]) => withPart(text, name, part), page);
  return new Map([
    ["schemas/keyturn.schema.json", `${JSON.stringify(schema, undefined, 2)}\n`],
    [pagePath, written],
  ]);
}

const pagePath = "docs/manifest.md";

/** Puts a part between the marks that the page has for it. */
function withPart(page: string, part: string, table: string): string {
  const [begin, end] = [`<!-- ${part} -->\n`, `<!-- end of ${part} -->`];
  const [before, after] = [page.indexOf(begin), page.indexOf(end)];
  if (before < 0 || after < before) throw new Error(`${pagePath} has no place for ${part}: ${begin}${end}`);
  return `${page.slice(0, before)}${begin}\n${table}\n${page.slice(after)}`;
}

function fieldTable(fields: readonly DescribedField[]): string {
  const rows = fields.map(
    ({ path, kind, description }) => `| \`${path}\` | ${kind} | ${cell(description)} |`,
  );
  return ["| field | is | what it says |", "|---|---|---|", ...rows, ""].join("\n");
}

function typeSection({ type, config, overlap, needsAdmin }: Rotator): string {
  const schema = z.toJSONSchema(config, { io: "input", unrepresentable: "any" });
  const admin = needsAdmin ? "; it needs an `admin`" : "";
  return `### ${type}\n\nIts overlap is \`${overlap}\`${admin}.\n\n${fieldTable(fieldsOf(schema, "config"))}`;
}

function ruleTable(): string {
  const rows = lintRules.map(
    ({ id, severity, finds, remedy }) => `| \`${id}\` | ${severity} | ${cell(finds)} | ${cell(remedy)} |`,
  );
  return ["| rule | severity | what is found | what to do |", "|---|---|---|---|", ...rows, ""].join("\n");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

if (import.meta.main) {
  const root = join(import.meta.dirname, "..");
  for (const [path, text] of await generatedFiles(root)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
}
