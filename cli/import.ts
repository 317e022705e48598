import { Command } from "commander";
import { adopt, adoptable } from "../core/adopt.ts";
import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import { reconcile } from "../core/reconcile.ts";
import type { Finding } from "../core/rotator.ts";
import type { Secret } from "../core/secret.ts";
import { type MigrationStep, migrationOf, takeoverOf } from "../rotators/postgres/migration.ts";
import { takenOver } from "../rotators/postgres/takeover.ts";
import { action, type CommandContext } from "./command.ts";
import { exitCodeOf, exitCodes } from "./exit.ts";
import type { DoneThere, ImportedThere } from "./import-there.ts";
import { type OpenManifest, type OpenSecret, openManifest } from "./open.ts";
import type { Imported, ImportPlan } from "./results/import.ts";
import { readSecret } from "./standard-input.ts";
import { short, type Terminal } from "./terminal.ts";
import { isGone, person, workerName } from "./who.ts";

interface ImportOptions {
  readonly plan?: boolean;
  /** True: the secret's own value there. */
  readonly fromStore?: string | true;
}

export function importCommand(): Command {
  const command = new Command("import")
    .description("bring an existing credential under Keyturn, without resetting it")
    .argument("<secret>", "its reference, which the manifest has: such as billing/db")
    .option(
      "--plan",
      "say what will happen and how to go back at each step, look at everything, and change nothing",
    )
    .option(
      "--from-store [secret]",
      "take the value that somebody has put into the store: as this secret, or as another",
    )
    .addHelpText(
      "after",
      `
The value is read from standard input: as JSON, of which every field is kept, as a PostgreSQL connection string or URL, or as a
user's name and a password on two lines. \`keyturn init\` puts the secret into the manifest. Of a store on AWS the function of
the secret's type imports what is there, and only that: --from-store.

Example:
  $ printf 'billing\\n%s\\n' "$(cat billing.password)" | keyturn import billing/db --plan
  $ printf 'billing\\n%s\\n' "$(cat billing.password)" | keyturn import billing/db`,
    );
  return command.action(action(command, bringIn));
}

async function bringIn(
  { manifestPath, terminal, signal }: CommandContext,
  ref: string,
  options: ImportOptions,
): Promise<number> {
  await using opened = await openManifest(manifestPath);
  const secret = await opened.secret(ref);
  terminal.say(`${ref} in store ${secret.storeName} (${secret.place})`);
  const { importThere } = secret;
  const done =
    importThere === undefined
      ? await importHere(secret, opened, options)
      : await importThere(thereOnly(secret, options), signal);
  const { login } = done;
  const { owner }: { readonly owner?: unknown } = Object(secret.managed.config);
  const steps = typeof owner === "string" ? migrationOf(ref, owner, login) : takeoverOf(ref, login);
  if ("findings" in done) return showPlan(ref, steps, done.findings, terminal);
  if (importThere === undefined) await settle(ref, secret, terminal);
  return showImported(ref, steps, { login, ...done.imported }, terminal);
}

/** On this machine the command reads the value, and imports it itself. */
async function importHere(
  { managed, ports }: OpenSecret,
  opened: OpenManifest,
  options: ImportOptions,
): Promise<ImportedThere> {
  const { ref, type, config } = managed;
  const rotator = await ports.rotators.load(type);
  const { value, login } = await takenOver(rotator, config, () => givenValue(options, ref, opened));
  if (options.plan === true) return { login, findings: await adoptable(ref, ports, value) };
  return { login, imported: await adopt(ref, ports, value, person()) };
}

/** A value that a person gives would have to travel to whoever imports it: it goes into the store by the store's own way, and no other. */
function thereOnly({ managed: { ref, type }, place }: OpenSecret, { fromStore, plan }: ImportOptions) {
  if (fromStore === true || fromStore === ref) return { ref, type, by: person(), plan: plan === true };
  throw new KeyturnError(
    "input-invalid",
    `${place} imports only what the store has as ${ref}: put the value there, for example by \`aws secretsmanager put-secret-value --secret-id ${ref} --secret-string file:///dev/stdin\`, and then \`keyturn import ${ref} --from-store\``,
  );
}

function showImported(
  ref: string,
  steps: readonly MigrationStep[],
  { login, answer, version, findable }: DoneThere & { readonly login: string },
  terminal: Terminal,
): number {
  terminal.show(
    answer === "known"
      ? `${ref} was imported before, as version ${short(version)}; nothing has changed`
      : `${ref} is under Keyturn, as version ${short(version)}: ${login} logs in as before`,
  );
  if (!findable) {
    terminal.warn(
      "its password is too short or too plain to be found by its fingerprint: should it leak, `keyturn revoke` it by name",
    );
  }
  if (steps.length > 1)
    terminal.say(`next: keyturn rotate ${ref}; what becomes of ${login}: keyturn import ${ref} --plan`);
  const result: Imported = { ref, answer, version, login, findable };
  terminal.result(result);
  return exitCodes.done;
}

async function givenValue({ fromStore }: ImportOptions, ref: string, opened: OpenManifest): Promise<Secret> {
  if (fromStore === undefined) return readSecret("credential, as JSON or as a connection URL: ");
  const name = fromStore === true ? ref : fromStore;
  const { manifest } = opened;
  const store = manifest.held.get(name)?.store ?? manifest.secrets.get(name)?.store;
  if (store === undefined) throw new KeyturnError("input-invalid", `${manifest.path} has no secret ${name}`);
  const { ports, place } = await opened.store(store);
  const stored = await ports.store.read(name, "current");
  if (stored === undefined) throw new KeyturnError("secret-missing", `${place} has no value of ${name}`);
  return stored.value;
}

/** Writes what is in the outbox, and finds when the secret is due. It is imported whatever becomes of this. */
async function settle(ref: string, secret: OpenSecret, terminal: Terminal): Promise<void> {
  try {
    await reconcile(ref, secret.ports, {
      worker: workerName("cli"),
      isGone,
      until: secret.ports.clock.now(),
    });
    await secret.wake([ref]);
  } catch (thrown) {
    terminal.warn(`imported; the audit follows: ${asKeyturnError(thrown).message}`);
  }
}

function showPlan(
  ref: string,
  steps: readonly MigrationStep[],
  findings: readonly Finding[],
  terminal: Terminal,
): number {
  const wrong = findings.filter(({ ok }) => !ok);
  for (const { ok, check, message } of findings) terminal.show(`${ok ? "ok " : "NO "} ${check}: ${message}`);
  for (const [index, { step, does, back }] of steps.entries()) {
    terminal.show(`\n${index + 1}. ${step}\n   ${does}\n   Back: ${back}`);
  }
  const ready = wrong.length === 0;
  terminal.show(ready ? "\nNothing has changed." : "\nNothing has changed, and an import would be refused.");
  const checks = findings.map(({ check, ok, message }) => ({ check, ok, message }));
  const result: ImportPlan = { ref, ready, checks, steps: [...steps] };
  terminal.result(result);
  if (ready) return exitCodes.done;
  const codes = new Set(wrong.map(({ code }) => exitCodeOf(code ?? "target-rejected")));
  const [only, ...others] = codes;
  return only !== undefined && others.length === 0 ? only : exitCodes.refused;
}
