import { identifier, literal } from "./names.ts";

/**
 * The SQL that a database administrator runs once, as a superuser, before Keyturn may rotate the logins of an owner role. It holds no
 * password, may be run again, and gives no more than what is needed: the administering login can neither act as the owner role nor
 * read its data.
 */
export function setupSql({
  owner,
  admin,
  database,
}: {
  owner: string;
  admin: string;
  database: string;
}): string {
  return `-- The owner role has all the rights, and nobody logs in as it. The logins that Keyturn makes act as it.
DO ${block(`
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = ${literal(owner)}) THEN
    CREATE ROLE ${identifier(owner)} NOLOGIN;
  END IF;
END`)};
-- The administering login makes and changes the logins. Give it a password afterwards, in psql: \\password ${identifier(admin)}
DO ${block(`
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = ${literal(admin)}) THEN
    CREATE ROLE ${identifier(admin)} LOGIN;
  END IF;
END`)};
ALTER ROLE ${identifier(admin)} CREATEROLE;
DO ${block(`
BEGIN
  IF pg_catalog.current_setting('server_version_num')::int >= 160000 THEN
    EXECUTE ${literal(`GRANT ${identifier(owner)} TO ${identifier(admin)} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE`)};
  ELSE
    GRANT ${identifier(owner)} TO ${identifier(admin)} WITH ADMIN OPTION;
  END IF;
END`)};
-- To see who uses a login, and to end its sessions.
GRANT pg_signal_backend, pg_read_all_stats TO ${identifier(admin)};
GRANT CONNECT ON DATABASE ${identifier(database)} TO ${identifier(owner)}, ${identifier(admin)};
`;
}

/** Dollar-quoted by a tag that the text does not have, so that a person can read it. */
function block(text: string): string {
  let tag = "$do$";
  while (text.includes(tag)) tag = `$${tag.replaceAll("$", "")}o$`;
  return `${tag}${text}\n${tag}`;
}
