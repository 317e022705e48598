import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { commandsPage } from "./commands-page.ts";
import { keyturnProgram } from "./main.ts";
import { jsonSchema } from "./results/json-schema.ts";
import { failureSchema, resultSchemas } from "./results/table.ts";

/** What is written from the program itself, by path from the root: the schemas of the results, and the page of the commands. */
export async function generated(): Promise<ReadonlyMap<string, string>> {
  const schemas = Object.entries({ ...resultSchemas, failure: failureSchema }).map(
    ([name, schema]): [string, string] => {
      const title = name === "failure" ? "keyturn: no result" : `keyturn ${name}`;
      return [
        `schemas/cli/${name.replaceAll(" ", "-")}.schema.json`,
        `${JSON.stringify({ ...jsonSchema(schema), title }, null, 2)}\n`,
      ];
    },
  );
  return new Map([...schemas, ["docs/commands.md", commandsPage(await keyturnProgram())]]);
}

if (import.meta.main) {
  const root = join(import.meta.dirname, "..");
  mkdirSync(join(root, "schemas/cli"), { recursive: true });
  for (const [path, text] of await generated()) {
    const file = join(root, path);
    if (readFileSync(file, { encoding: "utf8", flag: "a+" }) !== text) writeFileSync(file, text);
  }
}
