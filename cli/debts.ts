import Table from "cli-table3";
import { Command } from "commander";
import { asKeyturnError, type KeyturnError } from "../core/errors.ts";
import { inParallel } from "../core/parallel.ts";
import type { Ports } from "../core/ports.ts";
import type { Debt, RotationRecord } from "../core/record.ts";
import { action, type CommandContext } from "./command.ts";
import { failureOf } from "./each-secret.ts";
import { exitCodeOf, exitCodes } from "./exit.ts";
import { type OpenManifest, type OpenStore, openManifest } from "./open.ts";
import type { DebtsResult, OwedCredential } from "./results/debts.ts";
import { borderless, duration, oneLine, short } from "./terminal.ts";

export function debtsCommand(): Command {
  const command = new Command("debts")
    .description("every credential that should be refused by its target and is not yet proven so")
    .argument(
      "[secret]",
      "one secret; without it, all that the stores know, also those that left the manifest",
    )
    .addHelpText(
      "after",
      `
A debt is overdue when as many tries have failed as the policy allows, or when nobody tries because its
secret left the manifest. Then the exit code is 6: a person has to look.

Example:
  $ keyturn debts
  $ keyturn debts billing/db --json`,
    );
  return command.action(action(command, debts));
}

async function debts({ manifestPath, terminal }: CommandContext, ref: string | undefined): Promise<number> {
  await using opened = await openManifest(manifestPath);
  const found =
    ref === undefined ? await inAllStores(opened) : await inStore(await opened.secret(ref), [ref]);
  const owed = found.owed.toSorted((a, b) => b.sinceMs - a.sinceMs);
  if (owed.length > 0) terminal.show(table(owed));
  else if (found.failures.length === 0) terminal.show("nothing is owed");
  for (const failure of found.failures) {
    terminal.warn(`${failure.ref}  ${failure.error.code}: ${failure.error.message}`);
    terminal.warn(`  ${failure.error.remedy}`);
  }
  const overdue = owed.filter((one) => one.overdue).length;
  if (overdue > 0) terminal.warn(`${overdue} overdue: \`keyturn retire <secret>\` tries now`);
  const unreadable = found.failures.map((one) => ({ ref: one.ref, error: failureOf(one.error) }));
  const result: DebtsResult = { debts: owed, overdue, unreadable };
  terminal.result(result);
  const codes = found.failures.map(({ error }) => exitCodeOf(error.code));
  return Math.max(overdue > 0 ? exitCodes.failed : exitCodes.done, ...codes);
}

interface Found {
  readonly owed: readonly OwedCredential[];
  readonly failures: readonly { readonly ref: string; readonly error: KeyturnError }[];
}

/** What left the manifest is looked at too: nobody pays it any more, and it must not be forgotten. */
async function inAllStores(opened: OpenManifest): Promise<Found> {
  const names = [...opened.manifest.stores.keys()];
  const found = await inParallel(names, names.length, async (name) => {
    const store = await opened.store(name);
    return inStore(store, await store.ports.journal.refs());
  });
  return together(
    found.map((one, index) => {
      if (one.status === "fulfilled") return one.value;
      return { owed: [], failures: [{ ref: `store ${names[index]}`, error: asKeyturnError(one.reason) }] };
    }),
  );
}

async function inStore({ ports, name }: OpenStore, refs: readonly string[]): Promise<Found> {
  const found = await inParallel(refs, 16, async (ref) => {
    const record = (await ports.journal.load(ref))?.record;
    const owed = record === undefined ? [] : await owedBy(record, name, ports);
    return { owed, failures: [] };
  });
  return together(
    found.map((one, index) => {
      if (one.status === "fulfilled") return one.value;
      return { owed: [], failures: [{ ref: refs[index] ?? "", error: asKeyturnError(one.reason) }] };
    }),
  );
}

function together(found: readonly Found[]): Found {
  return { owed: found.flatMap(({ owed }) => owed), failures: found.flatMap(({ failures }) => failures) };
}

async function owedBy(record: RotationRecord, store: string, ports: Ports): Promise<OwedCredential[]> {
  if (record.debts.length === 0) return [];
  const failures = await lastFailures(record.ref, ports);
  const policy = ports.secrets.get(record.ref)?.policy;
  const now = ports.clock.now();
  const managed = policy !== undefined;
  const paused = record.paused !== undefined;
  const tried = ({ reason }: Debt): boolean => managed && (!paused || reason === "leaked");
  return record.debts.map((debt) => ({
    ref: record.ref,
    store,
    version: debt.version,
    reason: debt.reason,
    sinceMs: now - debt.since,
    attempts: debt.attempts,
    nextTryInMs: tried(debt) ? Math.max(0, debt.notBefore - now) : undefined,
    lastFailure: failures.get(debt.version),
    overdue: !managed || debt.attempts >= policy.attemptsMax,
    managed,
    paused,
  }));
}

/** By version. An audit that cannot be read is no reason to hide what is owed. */
async function lastFailures(ref: string, ports: Ports): Promise<ReadonlyMap<string, string>> {
  const last = new Map<string, string>();
  try {
    for await (const { action: what, version, detail } of ports.audit.read(ref)) {
      const failed = what === "retire.failed" || what === "retire.waits";
      if (failed && version !== undefined) last.set(version, detail);
    }
  } catch {
    return last;
  }
  return last;
}

function table(owed: readonly OwedCredential[]): string {
  const rows = new Table({
    ...borderless,
    head: ["SECRET", "VERSION", "WHY", "OWED FOR", "TRIES", "NEXT TRY", "LAST FAILURE"],
  });
  for (const one of owed) {
    rows.push(
      [
        one.ref,
        short(one.version),
        one.reason,
        duration(one.sinceMs),
        `${one.attempts}${one.overdue ? ", overdue" : ""}`,
        nextTry(one),
        one.lastFailure ?? "",
      ].map(oneLine),
    );
  }
  return rows.toString().replaceAll(/ +$/gm, "");
}

function nextTry({ managed, nextTryInMs }: OwedCredential): string {
  if (!managed) return "never: it left the manifest";
  if (nextTryInMs === undefined) return "paused";
  return nextTryInMs === 0 ? "now" : `in ${duration(nextTryInMs)}`;
}
