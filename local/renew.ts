import { renameSync } from "node:fs";
import { join } from "node:path";
import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import { openAuditLog } from "./audit-log.ts";
import { systemClock } from "./clock.ts";
import { Database } from "./database.ts";
import { openEventBus } from "./event-bus.ts";
import { exists } from "./files.ts";
import { type LocalJournal, openJournal } from "./journal.ts";
import { systemRandom } from "./random.ts";
import { openSecretsFile } from "./secret-store.ts";
import { openTokens } from "./tokens.ts";
import { Waker } from "./wake.ts";

/** A part of a store's folder that cannot be used as it is. */
export interface DamagedPart {
  readonly name: string;
  readonly problem: string;
  /** What its loss means to whoever reads on. */
  readonly loses: string;
}

/** What can be made anew without losing a credential. The secrets themselves cannot: they come from a backup only. */
const parts = [
  {
    name: "journal.db",
    loses:
      "how far each rotation had come: the doctor makes it anew from the store, the audit and the targets",
    open: openJournal,
  },
  {
    name: "events.db",
    loses: "events that were not delivered yet: agents read on their own pulse",
    open: (path: string, isNew: boolean) =>
      openEventBus(path, isNew, { clock: systemClock, waker: new Waker(`${path}.sock`) }),
  },
  {
    name: "audit.db",
    loses: "nothing where the folder `audit` is still there; otherwise the past of the audit",
    open: (path: string, isNew: boolean) => openAuditLog(path.replace(/\.db$/, ""), isNew),
  },
  {
    name: "tokens.db",
    loses: "the enrolments: every host of agents needs a new token by `keyturn enrol`",
    open: (path: string, isNew: boolean) =>
      openTokens(path, isNew, { clock: systemClock, random: systemRandom }),
  },
] as const;

/** A part of the journal of which single rows can be dropped: nothing else in the file depends on them. */
const fingerprints = {
  name: "fingerprints in journal.db",
  loses: "that a leak of the value is recognised, until the doctor remembers it again, from the store",
} as const;

/**
 * Looks at the parts of a store's folder, each of them as a whole. A folder without secrets is no store, and nothing is said of it here;
 * damaged secrets are thrown, for nothing but a backup brings them back.
 */
export async function damagedParts(folder: string): Promise<readonly DamagedPart[]> {
  const secrets = join(folder, "secrets.db");
  if (!exists(secrets)) return [];
  (await openSecretsFile(secrets, false)).close();
  await Database.check(secrets);
  const damaged: DamagedPart[] = [];
  for (const { name, loses, open } of parts) {
    const path = join(folder, name);
    const problem = await problemOf(async () => {
      (await open(path, false))[Symbol.dispose]();
      await Database.check(path);
    });
    if (problem !== undefined) damaged.push({ name, problem, loses });
    if (name !== "journal.db" || problem !== undefined) continue;
    const changed = await problemOf(() => inJournal(path, (journal) => journal.assertWhole()));
    if (changed !== undefined) damaged.push({ ...fingerprints, problem: changed });
  }
  return damaged;
}

/**
 * Moves what is damaged aside, where it stays for whoever wants to look, and makes it anew, empty. Gives the names under which the old
 * ones are kept, of those that were there. Of fingerprints only those are dropped that were changed.
 */
export async function renewParts(folder: string, now: number): Promise<readonly string[]> {
  const kept: string[] = [];
  const damaged = new Set((await damagedParts(folder)).map(({ name }) => name));
  for (const { name, open } of parts.filter((part) => damaged.has(part.name))) {
    const aside = `${name}.damaged-${new Date(now).toISOString().replaceAll(":", "")}`;
    for (const suffix of ["", "-wal", "-shm"]) {
      const path = join(folder, `${name}${suffix}`);
      if (!exists(path)) continue;
      renameSync(path, join(folder, `${aside}${suffix}`));
      if (suffix === "") kept.push(aside);
    }
    (await open(join(folder, name), true))[Symbol.dispose]();
  }
  if (damaged.has(fingerprints.name))
    await inJournal(join(folder, "journal.db"), (journal) => journal.dropChanged());
  return kept;
}

async function inJournal(path: string, work: (journal: LocalJournal) => Promise<void>): Promise<void> {
  using journal = await openJournal(path, false);
  await work(journal);
}

/** Damage is a finding; an outage, or a file of a newer Keyturn, is not for us to mend. */
async function problemOf(look: () => Promise<void>): Promise<string | undefined> {
  try {
    await look();
    return undefined;
  } catch (thrown) {
    const error = asKeyturnError(thrown);
    if (error.code === "data-broken") return error.message;
    throw new KeyturnError(error.code, error.message);
  }
}
