import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { Command } from "commander";
import { KeyturnError } from "../core/errors.ts";
import { loadManifest } from "../manifest/load.ts";
import { approve, personOf, readPrivateKey, readRequest } from "./approval.ts";
import { action, type CommandContext } from "./command.ts";
import { credentialTypes } from "./credential-types.ts";
import { exitCodes } from "./exit.ts";
import type { NewKeyResult, RevokeRequest } from "./results/revoke.ts";
import { readSecret } from "./standard-input.ts";
import type { Terminal } from "./terminal.ts";

interface ApproveOptions {
  readonly key?: string;
  readonly newKey?: string;
}

export function approveCommand(): Command {
  const command = new Command("approve")
    .description("agree, as the second person, to what `keyturn revoke` has asked for")
    .option("--key <file>", "your private key; without it the request is only shown")
    .option(
      "--new-key <file>",
      "make a key pair: the private key into the file, the public one to the output",
    )
    .addHelpText(
      "after",
      `
The request is read from standard input, and the approval goes to standard output, for \`keyturn revoke --approval\`.

Examples:
  $ keyturn approve --new-key ~/.config/keyturn/me.pem
  $ keyturn approve < request.json
  $ keyturn approve --key ~/.config/keyturn/me.pem < request.json > approval.json`,
    );
  return command.action(action(command, run));
}

async function run({ terminal, manifestPath }: CommandContext, options: ApproveOptions): Promise<number> {
  if (options.newKey !== undefined) return makeKey(options.newKey, terminal);
  const manifest = loadManifest(manifestPath, { facts: await credentialTypes() });
  const request = readRequest((await readSecret("request: ")).reveal(), Date.now());
  for (const line of words(request)) terminal.warn(line);
  if (options.key === undefined) {
    throw new KeyturnError(
      "request-refused",
      "nothing is approved yet: say --key with your private key to agree",
    );
  }
  const key = readPrivateKey(options.key);
  const approval = approve(request, personOf(manifest, key), key);
  terminal.say(`${approval.by} agrees, until ${request.until}`);
  terminal.show(JSON.stringify(approval));
  terminal.result(approval);
  return exitCodes.done;
}

function words({ by, secrets, agent, cutFirst, until }: RevokeRequest): readonly string[] {
  const how = cutFirst ? ", before their successors exist: agents fail until they do" : "";
  return [
    `${by} asks, until ${until}, to cut off ${secrets.length} versions${how}:`,
    ...secrets.map(({ ref, version }) => `  ${ref}  ${version}`),
    ...(agent === undefined ? [] : [`and to end every token of ${agent}`]),
  ];
}

/** A file that is there is never replaced: it may be somebody's only key. */
function makeKey(path: string, terminal: Terminal): number {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(path, privateKey.export({ format: "pem", type: "pkcs8" }), { mode: 0o600, flag: "wx" });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new KeyturnError("input-invalid", `--new-key ${path}: ${why}`, { cause });
  }
  const key = publicKey.export({ format: "der", type: "spki" }).toString("base64");
  terminal.say("for the manifest: `people: { <your name>: { key: … } }`");
  terminal.show(key);
  terminal.result({ key } satisfies NewKeyResult);
  return exitCodes.done;
}
