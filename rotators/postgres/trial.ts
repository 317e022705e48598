import { KeyturnError } from "../../core/errors.ts";
import type { StepContext } from "../../core/rotator.ts";
import type { Admin, Connection, Credential } from "./config.ts";
import { administer, openSession, type Session } from "./connection.ts";
import { sqlStateOf } from "./errors.ts";
import { literal } from "./names.ts";

type Context = StepContext<Connection, Admin>;

/** Agents connect where the credential says, so that has to be where it was set. */
export function checkAddress(pending: Credential, config: Connection): void {
  for (const field of ["host", "port", "database"] as const) {
    if (pending[field] !== undefined && pending[field] !== config[field]) {
      throw new KeyturnError(
        "credential-invalid",
        `${field}: the stored value says ${pending[field]}, the manifest ${config[field]}`,
      );
    }
  }
}

/** What the fleet may not do is a difference in access, whatever PostgreSQL calls it; an outage is still an outage. */
export async function runProbe(session: Session, text: string): Promise<void> {
  try {
    await session.query(text);
  } catch (error) {
    if (error instanceof KeyturnError && error.code === "target-rejected") {
      throw new KeyturnError("access-differs", `the probe failed: ${error.message}`, { cause: error.cause });
    }
    throw error;
  }
}

/** Tries a credential. Refused is what the server says of a password; of anything else it is no answer. */
export async function tryLogin(
  credential: Credential,
  context: Context,
): Promise<"refused" | "accepted" | "unknown"> {
  try {
    const session = await openSession(credential, "credential", context);
    await session.close();
    return "accepted";
  } catch (error) {
    const state = sqlStateOf(error);
    if (state === "28P01") return "refused";
    // Also said of an address or a database that the rules leave out: only the administrator can tell.
    if (state === "28000" && (await isShut(credential.username, context))) return "refused";
    return "unknown";
  }
}

async function isShut(username: string, context: Context): Promise<boolean> {
  try {
    const session = await administer(context);
    const rows = await session.query<{ shut: boolean }>(
      `SELECT NOT rolcanlogin AS shut FROM pg_roles WHERE rolname = ${literal(username)}`,
    );
    return rows[0]?.shut === true;
  } catch {
    return false;
  }
}
