import { Command } from "commander";
import * as z from "zod/mini";
import { adopt, adoptable } from "../core/adopt.ts";
import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import { reconcile } from "../core/reconcile.ts";
import type { Finding } from "../core/rotator.ts";
import type { Secret } from "../core/secret.ts";
import { type MigrationStep, migrationOf, takeoverOf } from "../rotators/postgres/migration.ts";
import { action, type CommandContext } from "./command.ts";
import { exitCodeOf, exitCodes } from "./exit.ts";
import { credentialFrom } from "./import-value.ts";
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
user's name and a password on two lines. \`keyturn init\` puts the secret into the manifest.

Example:
  $ printf 'billing\\n%s\\n' "$(cat billing.password)" | keyturn import billing/db --plan
  $ printf 'billing\\n%s\\n' "$(cat billing.password)" | keyturn import billing/db`,
    );
  return command.action(action(command, bringIn));
}

/** What every type of PostgreSQL has in its configuration. */
const AddressConfig = z.object({
  host: z.string(),
  port: z._default(z.number(), 5432),
  database: z.string(),
  owner: z.optional(z.string()),
});

async function bringIn(
  { manifestPath, terminal }: CommandContext,
  ref: string,
  options: ImportOptions,
): Promise<number> {
  await using opened = await openManifest(manifestPath);
  const secret = await opened.secret(ref);
  const { managed, ports } = secret;
  terminal.say(`${ref} in store ${secret.storeName} (${secret.place})`);
  const rotator = await ports.rotators.load(managed.type);
  rotator.checkConfig(managed.config);
  const config = z.safeParse(AddressConfig, managed.config);
  if (rotator.adopt === undefined || !config.success) {
    throw new KeyturnError("request-refused", `type ${managed.type} cannot take over what is there`);
  }
  const { owner, ...address } = config.data;
  const value = credentialFrom(await givenValue(options, ref, opened), address);
  rotator.checkCredential(value);
  const login = usernameOf(value);
  const steps = owner === undefined ? takeoverOf(ref, login) : migrationOf(ref, owner, login);
  if (options.plan === true) {
    return showPlan(ref, steps, await adoptable(ref, ports, value), terminal);
  }
  const adopted = await adopt(ref, ports, value, person());
  await settle(ref, secret, terminal);
  const { answer, version, findable } = adopted;
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

function usernameOf(value: Secret): string {
  const { username }: { readonly username?: unknown } = JSON.parse(value.reveal());
  return String(username);
}
