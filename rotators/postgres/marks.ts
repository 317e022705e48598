import type { Fence, Mark } from "../../core/rotator.ts";
import type { Session } from "./connection.ts";
import { readFence } from "./fence.ts";
import { literal, slotsOf } from "./names.ts";

/**
 * What the comments of an owner role and of its slots say, whoever wrote them, and that of a login which was imported for this secret;
 * and which of them may log in.
 */
export async function marksOf(session: Session, owner: string, fence: Fence): Promise<readonly Mark[]> {
  const rows = await session.query<{ login: string; comment: string; accepts: boolean }>(
    `SELECT r.rolname::text AS login, d.description AS comment, r.rolcanlogin AS accepts
     FROM pg_roles r JOIN pg_shdescription d ON d.objoid = r.oid AND d.classoid = 'pg_authid'::regclass
       LEFT JOIN pg_roles o ON o.rolname = ${literal(owner)}
     WHERE strpos(d.description, '[keyturn v1 ') > 0 AND (r.rolname IN (${slotsOf(owner).map(literal).join(", ")})
       OR pg_has_role(r.oid, o.oid, 'MEMBER')) ORDER BY r.rolname`,
  );
  const own: readonly string[] = [owner, ...slotsOf(owner)];
  return rows.flatMap(({ login, comment, accepts }) => {
    const mark = readFence(comment);
    const isOurs = mark?.ref === fence.ref && mark.installation === fence.installation;
    return mark !== undefined && (isOurs || own.includes(login)) ? [{ login, accepts, ...mark }] : [];
  });
}
