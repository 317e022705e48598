import { identifier, slotsOf } from "./names.ts";

/** One step of a migration, in words. */
export interface MigrationStep {
  /** Who does it: a command, or what goes on by itself. */
  readonly step: string;
  readonly does: string;
  /** How to go back from there. */
  readonly back: string;
}

/** What becomes of an existing login that stays the only one. */
export function takeoverOf(ref: string, login: string): readonly MigrationStep[] {
  return [
    importOf(ref, login),
    {
      step: `keyturn rotate ${ref}`,
      does: `${login} gets a new password. It stays what it is, and owns what it owns.`,
      back: `keyturn cancel ${ref} before the new password is out, keyturn rollback ${ref} in grace.`,
    },
  ];
}

/** What becomes of an existing login when it is imported into two that alternate: who gets what at which step, and every way back. */
export function migrationOf(ref: string, owner: string, login: string): readonly MigrationStep[] {
  const [first, second] = slotsOf(owner);
  const name = identifier(login);
  const steps = [importOf(ref, login)];
  if (login === first || login === second) return steps;
  return [
    ...steps,
    {
      step: `keyturn rotate ${ref}`,
      does: `${first} is made: a member of ${owner} that acts as ${owner} from its login on, with a password of its own and with the limits and settings of ${login}. It has to log in, and to have all that ${login} has. ${login} works as before.`,
      back: `keyturn cancel ${ref}: ${first} is made NOLOGIN, without a password.`,
    },
    {
      step: "grace",
      does: `The fleet changes over to ${first}. Both log in; ${login} keeps its password until every agent has released it.`,
      back: `keyturn rollback ${ref}: the fleet gets the value of ${login} again, and ${first} is retired.`,
    },
    {
      step: "retire",
      does: `${login} is made NOLOGIN PASSWORD NULL and its sessions end; those of ${first} go on, although they act as ${owner}. A login with the old value is tried, and has to be refused.`,
      back: `By hand, as an administrator: ALTER ROLE ${name} LOGIN PASSWORD '…'. Keyturn then waits with rotations until ${owner === login ? `${login} is NOLOGIN again` : "nobody needs it any more"}.`,
    },
    {
      step: "every rotation after that",
      does: `${second} and ${first} take turns, and both act as ${owner}.${owner === login ? ` ${owner} owns what it always owned, and nobody logs in as it.` : ` Nobody logs in as ${login} any more; it can be dropped.`}`,
      back: `keyturn rollback ${ref}, while a rotation is in grace.`,
    },
  ];
}

function importOf(ref: string, login: string): MigrationStep {
  return {
    step: `keyturn import ${ref}`,
    does: `${login} logs in once with the value, which becomes current in the store; it is marked as managed by Keyturn, in a role's comment. Its password, rights and sessions stay as they are.`,
    back: `Take ${ref} out of the manifest, and the mark out of the comment: COMMENT ON ROLE. Nothing else has changed.`,
  };
}
