import type { Mark } from "../../core/rotator.ts";
import type { Session } from "./connection.ts";
import { readFence } from "./fence.ts";
import { literal } from "./names.ts";
import { type FencedRole, placeOf } from "./password-fence.ts";

/** What the fence of a role says, whoever wrote it, and whether the role may log in. */
export async function passwordMarks(session: Session, role: FencedRole): Promise<readonly Mark[]> {
  const login = role.username;
  const [found] = await session.query<{ comment: string | null; accepts: boolean | null }>(
    `SELECT (SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = ${literal(placeOf(role))}) AS comment,
       (SELECT rolcanlogin FROM pg_roles WHERE rolname = ${literal(login)}) AS accepts`,
  );
  const mark = readFence(found?.comment ?? "");
  return mark === undefined ? [] : [{ login, accepts: found?.accepts === true, ...mark }];
}
