import { Command } from "commander";
import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import { storeValue } from "../core/operate.ts";
import { Secret } from "../core/secret.ts";
import type { HeldSecret, Manifest } from "../manifest/manifest.ts";
import { loadRotator } from "../rotators/registry.ts";
import { action, type CommandContext } from "./command.ts";
import { exitCodes } from "./exit.ts";
import { noteStored } from "./note-stored.ts";
import { type OpenManifest, openManifest } from "./open.ts";
import { assertLockedOut, assertSelfAdministering } from "./put-rotated.ts";
import type { PutResult } from "./results/put.ts";
import { readSecret } from "./standard-input.ts";
import { short } from "./terminal.ts";
import { person } from "./who.ts";

export function putCommand(): Command {
  const command = new Command("put")
    .description(
      "store the value of a secret that is only held: a signing secret, an address, an administering login",
    )
    .argument("<held-secret>", "its reference; the manifest says `type: held` of it")
    .addHelpText(
      "after",
      `
The value is read from standard input, and at a terminal asked for without showing it. A JSON object is stored as it is;
any other text has to be one line, and is stored as {"value": …}.

What is rotated takes a value by hand in one case: an administering login that rotates itself, and that its target refuses with what
is stored, gets one that the target accepts.

Example:
  $ keyturn put notify/pager < routing.key
  $ printf '{"username": "keyturn_admin", "password": "%s"}' "$(cat admin.password)" | keyturn put billing/db-admin`,
    );
  return command.action(action(command, put));
}

async function put({ manifestPath, terminal }: CommandContext, ref: string): Promise<number> {
  await using opened = await openManifest(manifestPath);
  const { manifest } = opened;
  const secret = manifest.secrets.get(ref) === undefined ? undefined : await opened.secret(ref);
  if (secret !== undefined) assertSelfAdministering(secret);
  const store = secret ?? (await opened.store(heldIn(manifest, ref).store));
  terminal.say(`${ref} in store ${store.name} (${store.place})`);
  const given = givenIn(await readSecret("value: "));
  await checkAdmin(opened, ref, given.value);
  if (secret !== undefined) await assertLockedOut(secret, given.value);
  const { ports } = store;
  const replaced = (await ports.store.read(ref, "current")) !== undefined;
  const version = await storeValue(ref, ports, given.value, given.secrets);
  const detail = `stored by hand: ${given.fields.join(", ")}`;
  await noteStored(ports, { ref, version, actor: person(), detail }).catch((thrown: unknown) => {
    // The value is stored, whatever becomes of the word about it.
    terminal.warn(`the audit could not be written: ${asKeyturnError(thrown).message}`);
  });
  await store.wake([ref]);
  terminal.show(`${ref} is at version ${short(version)}`);
  const result: PutResult = { ref, store: store.name, version, fields: [...given.fields], replaced };
  terminal.result(result);
  return exitCodes.done;
}

function heldIn({ held, path }: Manifest, ref: string): HeldSecret {
  const found = held.get(ref);
  if (found !== undefined) return found;
  const known = [...held.keys()];
  const list = known.length === 0 ? "it holds none" : `it holds ${known.slice(0, 10).join(", ")}`;
  throw new KeyturnError("input-invalid", `${path} has no secret ${ref} of type held; ${list}`);
}

interface Given {
  readonly value: Secret;
  /** The names of all its fields. */
  readonly fields: readonly string[];
  /** Those that may be found again when they leak. */
  readonly secrets: Readonly<Record<string, Secret>>;
}

/** No message quotes the text: it is the secret. */
function givenIn(input: Secret): Given {
  const text = input.reveal().trim();
  if (text.startsWith("{")) return givenObject(text);
  if (/[\r\n]/.test(text)) {
    throw new KeyturnError("input-invalid", 'a value of several lines has to be JSON: {"value": "…\\n…"}');
  }
  const value = new Secret(JSON.stringify({ value: text }));
  return { value, fields: ["value"], secrets: { value: new Secret(text) } };
}

function givenObject(text: string): Given {
  const members = Object.entries(parsed(text));
  if (members.length === 0) throw new KeyturnError("input-invalid", "the JSON object is empty");
  const secrets = members.flatMap(([name, member]): [string, Secret][] =>
    typeof member === "string" && !isPublic(name) ? [[name, new Secret(member)]] : [],
  );
  return {
    value: new Secret(text),
    fields: members.map(([name]) => name),
    secrets: Object.fromEntries(secrets),
  };
}

/** A user's name is no secret, and many may have it. */
function isPublic(name: string): boolean {
  return /^(user(name)?|login|host|port|database)$/i.test(name);
}

function parsed(text: string): object {
  try {
    return Object(JSON.parse(text));
  } catch {
    throw new KeyturnError("input-invalid", "standard input begins as a JSON object and is none");
  }
}

/** An administering login has to be one for the types of all that it administers. */
async function checkAdmin({ manifest }: OpenManifest, ref: string, value: Secret): Promise<void> {
  const administered = manifest.secrets.refs().flatMap((one) => manifest.secrets.get(one) ?? []);
  const types = new Set(administered.filter(({ admin }) => admin === ref).map(({ type }) => type));
  for (const type of types) (await loadRotator(type)).checkAdmin(value);
}
