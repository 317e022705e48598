import { createHash } from "node:crypto";

/** What a role's name may have, in bytes of UTF-8; PostgreSQL cuts a longer one off in silence. */
export const nameBytesMax = 63;

/** The two logins of an owner role. */
export function slotsOf(owner: string): readonly [string, string] {
  return [withEnding(owner, "_a"), withEnding(owner, "_b")];
}

/** The role whose comment is touched first by everything that changes a login of this owner: a lock of our own. */
export function markerOf(owner: string): string {
  return withEnding(`keyturn_lock_${owner}`, "");
}

/** The role whose comment holds the fence of an administering login that changes itself: nobody but a superuser may comment on himself. */
export function fenceRoleOf(username: string): string {
  return withEnding(`keyturn_fence_${username}`, "");
}

/** What is wrong with a name for a role, or undefined. */
export function roleNameProblem(name: string): string | undefined {
  const bytes = Buffer.byteLength(name);
  if (bytes > nameBytesMax) return `is ${bytes} bytes long; PostgreSQL cuts names after ${nameBytesMax}`;
  if (name.startsWith("pg_")) return "begins with pg_, which PostgreSQL reserves";
  if (name === "public" || name === "none") return "is a word that PostgreSQL reserves";
  return undefined;
}

/** Text as a literal, whatever the server's settings say of backslashes. */
export function literal(text: string): string {
  const quoted = `'${text.replaceAll("'", "''").replaceAll("\\", "\\\\")}'`;
  return text.includes("\\") ? ` E${quoted}` : quoted;
}

export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A name that would be too long is cut between two characters and told apart by a hash of the whole. */
function withEnding(name: string, ending: string): string {
  if (Buffer.byteLength(name + ending) <= nameBytesMax) return name + ending;
  const hash = createHash("sha256").update(name, "utf8").digest("hex").slice(0, 8);
  const room = nameBytesMax - Buffer.byteLength(`_${hash}${ending}`);
  let kept = "";
  for (const character of name) {
    if (Buffer.byteLength(kept + character) > room) break;
    kept += character;
  }
  return `${kept}_${hash}${ending}`;
}
