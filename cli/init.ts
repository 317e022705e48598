import { X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { relative, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { Command } from "commander";
import { KeyturnError } from "../core/errors.ts";
import { storeValue } from "../core/operate.ts";
import type { Secret } from "../core/secret.ts";
import { openLocal } from "../local/open.ts";
import { addToManifest, createManifest, type NewSecret } from "../manifest/document.ts";
import { loadManifest } from "../manifest/load.ts";
import type { AwsStoreEntry } from "../manifest/manifest.ts";
import { setupSql } from "../rotators/postgres/setup.ts";
import { loadRotator, rotatorTypes } from "../rotators/registry.ts";
import { readAdminLogin } from "./admin-login.ts";
import { action, type CommandContext } from "./command.ts";
import { exitCodes } from "./exit.ts";
import { openManifest } from "./open.ts";
import type { Terminal } from "./terminal.ts";

interface InitOptions {
  readonly host: string;
  readonly port: string;
  readonly database: string;
  readonly owner: string;
  readonly ca?: string;
  readonly fleet: readonly string[];
  readonly admin?: string;
}

export function initCommand(): Command {
  const command = new Command("init")
    .description(
      "put a PostgreSQL database under Keyturn: manifest, store, administering login, and the SQL to run once",
    )
    .argument("<secret>", "the reference that the secret gets, such as billing/db")
    .requiredOption("--host <name>", "the server, by the name that its certificate is for")
    .option("--port <number>", "its port", "5432")
    .requiredOption("--database <name>", "the database")
    .requiredOption(
      "--owner <role>",
      "the role that owns what the agents use; its logins are <role>_a and <role>_b",
    )
    .option("--ca <file>", "the CA that signed the server's certificate; without it, the CAs that Node knows")
    .requiredOption("-f, --fleet <fleet...>", "the fleets that may read it")
    .option(
      "--admin <secret>",
      "the reference of the administering login; default: the secret's, with -admin",
    )
    .addHelpText(
      "after",
      `
The administering login is read from standard input, as JSON or as a user's name and a password on two lines. Where the
manifest's store is on AWS, it is only looked at: what is left to do there is said.

Example:
  $ printf 'keyturn_admin\\n%s\\n' "$(cat admin.password)" | keyturn init billing/db \\
      --host db.internal --database billing --owner billing --ca ca.pem --fleet invoice-agents > setup.sql`,
    );
  return command.action(action(command, init));
}

async function init(
  { manifestPath, terminal }: CommandContext,
  ref: string,
  options: InitOptions,
): Promise<number> {
  const type = "postgres-alternating";
  const adminRef = options.admin ?? `${ref}-admin`;
  const admin = await readAdminLogin();
  const path = resolve(manifestPath);
  const rotator = await loadRotator(type);
  rotator.checkAdmin(admin);

  const entry = {
    path,
    ref,
    type,
    adminRef,
    fleets: options.fleet,
    config: {
      host: options.host,
      port: portOf(options.port),
      database: options.database,
      owner: options.owner,
      ...(options.ca === undefined ? {} : { tls: { ca: resolve(options.ca) } }),
    },
  };
  rotator.checkConfig(entry.config);
  if (options.ca !== undefined) checkCertificate(options.ca);
  if (!existsSync(path)) createManifest(entry);
  else keepOrAdd(entry, terminal);

  const manifest = loadManifest(path, { types: rotatorTypes });
  const store = manifest.stores.get(manifest.secrets.get(ref)?.store ?? "");
  if (store === undefined) throw new KeyturnError("manifest-invalid", `${path} names no store for ${ref}`);
  const sql = setupSql({ owner: options.owner, database: options.database, admin: usernameOf(admin) });
  if (store.kind === "aws") return leftToYou(ref, { adminRef, path, store, sql }, terminal);
  const local = await openLocal({ path: store.path, key: store.key, create: true });
  terminal.say(`store ${store.name}: ${store.path}, its key: ${local.keyPlace}`);
  await local.close();

  await using opened = await openManifest(path);
  const { ports } = await opened.store(store.name);
  await storeValue(adminRef, ports, admin, rotator.adminFields(admin));
  terminal.say(`stored the administering login as ${adminRef}`);
  terminal.say(`Run this SQL once, as a superuser; then: keyturn rotate ${ref}`);
  terminal.show(sql);
  terminal.result({ ref, admin: adminRef, manifest: path, store: store.path, sql });
  return exitCodes.done;
}

/** On AWS secrets are made by whoever has the right to: the manifest has its entry, and the rest is said. */
function leftToYou(
  ref: string,
  made: {
    readonly adminRef: string;
    readonly path: string;
    readonly store: AwsStoreEntry;
    readonly sql: string;
  },
  terminal: Terminal,
): number {
  const { adminRef, path, store, sql } = made;
  const place = `AWS: ${store.account}, ${store.region}`;
  terminal.say(`store ${store.name} (${place}): nothing was stored there. What is left to do:`);
  terminal.say(
    `1. the administering login into Secrets Manager as ${adminRef}, as JSON with username and password`,
  );
  terminal.say(`2. the secret ${ref} there, with the value that works now, or without one`);
  terminal.say("3. run this SQL once, as a superuser, and deploy the manifest");
  terminal.say(`4. keyturn import ${ref} --from-store, or keyturn rotate ${ref} where it has no value`);
  terminal.show(sql);
  terminal.result({ ref, admin: adminRef, manifest: path, store: place, sql });
  return exitCodes.done;
}

/** An entry that is there stays as it is; one that says something else than the command is not argued with. */
function keepOrAdd(entry: NewSecret, terminal: Terminal): void {
  const known = loadManifest(entry.path, { types: rotatorTypes }).secrets.get(entry.ref);
  if (known === undefined) {
    addToManifest(entry);
    return;
  }
  const { tls: _, ...said } = Object(known.config);
  const { tls: __, ...asked } = Object(entry.config);
  if (!isDeepStrictEqual(said, asked) || known.admin !== entry.adminRef) {
    throw new KeyturnError(
      "input-invalid",
      `${known.where} has ${entry.ref} with other values: change the manifest, or give the options that it has`,
    );
  }
  terminal.say(`${entry.ref} is in ${relative(".", entry.path)} already; its entry stays as it is`);
}

function checkCertificate(path: string): void {
  try {
    new X509Certificate(readFileSync(path));
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new KeyturnError("input-invalid", `--ca ${path} is not a certificate that can be read: ${why}`);
  }
}

function portOf(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port;
  throw new KeyturnError("input-invalid", `--port is not a port: ${text}`);
}

function usernameOf(admin: Secret): string {
  const { username }: { readonly username: string } = JSON.parse(admin.reveal());
  return username;
}
