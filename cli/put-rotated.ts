import { KeyturnError } from "../core/errors.ts";
import { inquire } from "../core/inquire.ts";
import type { Secret } from "../core/secret.ts";
import { contextOf, protect } from "../core/stand.ts";
import type { OpenSecret } from "./open.ts";

/** What is rotated is Keyturn's to change, but for a login that has nobody else to change it. */
export function assertSelfAdministering({ managed: { ref, admin } }: OpenSecret): void {
  if (admin !== ref) throw rotated(ref);
}

/**
 * A login that administers itself, and is refused with what is stored, is beyond Keyturn's reach: whoever can give it a password at the target stores that
 * one here. Throws where it is not so, or where the target does not accept the given value either.
 */
export async function assertLockedOut({ ports, managed }: OpenSecret, given: Secret): Promise<void> {
  const { ref } = managed;
  const stored = await ports.store.read(ref, "current");
  if (stored === undefined) throw rotated(ref);
  const loaded = await ports.journal.load(ref);
  await inquire(ref, ports, loaded?.record, async (stand) => {
    stand.rotator.checkCredential(given);
    for (const value of [given, stored.value]) protect(stand, value);
    const context = await contextOf(stand, stored.version, "");
    if ((await stand.rotator.refused(stored.value, context)) !== "refused") throw rotated(ref);
    if ((await stand.rotator.refused(given, context)) === "accepted") return;
    throw new KeyturnError(
      "request-refused",
      `the target does not accept this value of ${ref} either: give the login a password there first, and store that one`,
    );
  });
}

function rotated(ref: string): KeyturnError {
  return new KeyturnError(
    "request-refused",
    `${ref} is rotated, and a value that its target does not know would break it: \`keyturn import\` takes over what is there, \`keyturn rotate\` makes a new one`,
  );
}
