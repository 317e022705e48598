import { DatabaseSync } from "node:sqlite";

/** What a file says of its own tables and indexes, in the words by which they were made. */
export const schemaSql =
  "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%' ORDER BY name";

const made = new WeakMap<readonly string[], readonly unknown[]>();

/** What a file says after these migrations. */
export function schemaMadeBy(migrations: readonly string[]): readonly unknown[] {
  const known = made.get(migrations);
  if (known !== undefined) return known;
  using sqlite = new DatabaseSync(":memory:");
  for (const script of migrations) sqlite.exec(script);
  const told = sqlite
    .prepare(schemaSql)
    .all()
    .map(({ sql }) => sql);
  made.set(migrations, told);
  return told;
}
