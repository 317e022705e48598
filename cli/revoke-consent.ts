import { readFileSync } from "node:fs";
import { createInterface } from "node:readline/promises";
import { KeyturnError } from "../core/errors.ts";
import { personOf, readApproval, readPrivateKey, writeRequest } from "./approval.ts";
import type { CommandContext } from "./command.ts";
import type { OpenManifest } from "./open.ts";
import type { RevokeRequest } from "./results/revoke.ts";
import type { Target } from "./revoke-aim.ts";
import type { Chosen } from "./revoke-choose.ts";
import { commandAgain, type RevokeOptions, type Selector } from "./revoke-options.ts";
import { short, type Terminal } from "./terminal.ts";
import { person } from "./who.ts";

/** How many secrets one command may affect where neither it nor a policy says. */
const affectedMax = 10;

/** Nothing may begin: why, and what to type instead. */
export interface Withheld {
  readonly error: KeyturnError;
  /** Undefined: no such command would help. */
  readonly command: string | undefined;
  /** What a second person has to sign. */
  readonly request: RevokeRequest | undefined;
}

/** It may begin: in whose names. */
export interface Agreed {
  readonly by: string;
}

interface Wanted {
  readonly opened: OpenManifest;
  readonly selector: Selector;
  readonly options: RevokeOptions;
  readonly chosen: Chosen;
  readonly targets: readonly Target[];
}

/** The cap, the second person, and the word of the one who asks, in this order; nothing has changed before all three are there. */
export async function consent(context: CommandContext, wanted: Wanted): Promise<Agreed | Withheld> {
  const { opened, selector, options, chosen, targets } = wanted;
  // What goes on with something, or is done, has been agreed to before.
  const isFresh = ({ affected: { standing } }: Target): boolean =>
    standing === "live" || (standing === "under way" && options.cutFirst === true);
  const fresh = targets.filter(isFresh);
  const isMany = chosen.isWide || targets.length > 1;
  if (isMany) for (const line of blastRadius(targets, chosen)) context.terminal.say(line);
  if (isMany && fresh.length === 0) {
    context.terminal.say(
      "all of it was begun before, and goes on; `--since` with the present time means the successors, too",
    );
  }
  const most = options.maxAffected ?? capOf(opened, fresh);
  if (fresh.length > most) {
    return withheld(
      `it affects ${fresh.length} secrets, and no more than ${most} are allowed at once`,
      commandAgain(selector, options, ["--max-affected", String(fresh.length)]),
    );
  }
  const isBegin = fresh.length > 0 || chosen.agent !== undefined;
  if (!isMany || !isBegin) return { by: person() };
  const second = needsSecond(opened, fresh) ? secondPerson(wanted, fresh) : { by: person() };
  if ("error" in second || options.yes === true) return second;
  return (await confirmed(context, fresh.length))
    ? second
    : withheld("it is not confirmed", commandAgain(selector, options, ["--yes"]));
}

function capOf({ manifest }: OpenManifest, targets: readonly Target[]): number {
  const caps = targets.flatMap(({ ref }) => manifest.secrets.get(ref)?.maxAffected ?? []);
  return caps.length === 0 ? affectedMax : Math.min(...caps);
}

/** One leaked credential of one secret never waits for another person. */
function needsSecond({ manifest }: OpenManifest, fresh: readonly Target[]): boolean {
  return fresh.some(({ ref }) => manifest.secrets.get(ref)?.secondPerson.includes("revoke") === true);
}

function secondPerson(
  { opened: { manifest }, selector, options, chosen }: Wanted,
  fresh: readonly Target[],
): Agreed | Withheld {
  const by = requester(manifest, options.key);
  const cutFirst = options.cutFirst === true;
  const agent = chosen.agent?.principal;
  if (options.approval === undefined) {
    const secrets = fresh.map(({ ref, version }) => ({ ref, version }));
    const request = writeRequest(
      { secrets, cutFirst, by, ...(agent === undefined ? {} : { agent }) },
      Date.now(),
    );
    const others = [...manifest.people.keys()].filter((name) => name !== by).join(", ");
    return withheld(
      `the policy asks for a second person: ${others || "the manifest's people have no other"}; the request is on standard output, and ends in 15 minutes`,
      commandAgain(selector, options, ["--approval", "<file>"]),
      request,
    );
  }
  const approval = readApproval(readText(options.approval), manifest, by, Date.now());
  const { request } = approval;
  const approved = new Set(request.secrets.map(({ ref, version }) => `${ref} ${version}`));
  const more = fresh.filter(({ ref, version }) => !approved.has(`${ref} ${version}`)).map(({ ref }) => ref);
  const differs =
    more.length > 0
      ? `it does not speak of the versions that these have now: ${more.join(", ")}`
      : cutFirst && !request.cutFirst
        ? "it does not speak of --cut-first"
        : agent !== request.agent
          ? `it is for ${request.agent ?? "no host"}`
          : undefined;
  if (differs !== undefined) {
    throw new KeyturnError(
      "request-refused",
      `${approval.by} has agreed to something else: ${differs}; ask again`,
    );
  }
  return { by: `${person()} as ${by}, agreed to by ${approval.by} (${request.nonce})` };
}

/** The person whose key it is; else whose name the login has. */
function requester(manifest: OpenManifest["manifest"], keyPath: string | undefined): string {
  if (keyPath !== undefined) return personOf(manifest, readPrivateKey(keyPath)).name;
  const login = person().replace(/^person:/, "");
  if (manifest.people.has(login)) return login;
  throw new KeyturnError(
    "request-refused",
    `the policy asks for a second person, and ${login} is none of the manifest's people: say who you are by --key with your private key`,
  );
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new KeyturnError("input-invalid", `--approval ${path}: ${why}`, { cause });
  }
}

function withheld(message: string, command: string | undefined, request?: RevokeRequest): Withheld {
  return { error: new KeyturnError("request-refused", message), command, request };
}

/** At a terminal a number is typed, not a letter: whoever types it has read it. */
async function confirmed({ terminal, signal }: CommandContext, number: number): Promise<boolean> {
  if (terminal.json || !process.stdin.isTTY || !process.stderr.isTTY) return false;
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const typed = await reader.question(`Type ${number} to cut off ${number} secrets: `, { signal });
    return typed.trim() === String(number);
  } finally {
    reader.close();
  }
}

/** What it touches, a line for each secret. */
function blastRadius(targets: readonly Target[], { agent }: Chosen): readonly string[] {
  const lost = targets.flatMap(({ affected }) => affected.holders);
  return [
    ...(agent === undefined
      ? []
      : [`host ${agent.principal}: its tokens end, enrolled for ${agent.fleets.join(", ") || "no fleet"}`]),
    ...targets.map(({ affected }) => line(affected)),
    `${targets.length} secrets, ${new Set(targets.flatMap(({ affected }) => affected.fleets)).size} fleets, ${lost.length} long tasks are lost`,
  ];
}

function line({
  ref,
  version,
  standing,
  type,
  tenant,
  fleets,
  agents,
  holders,
  administers,
}: Target["affected"]): string {
  const parts = [
    type,
    ...(tenant === undefined ? [] : [`tenant ${tenant}`]),
    `fleets ${fleets.join(", ") || "none"}`,
    `${agents} live agents`,
    ...(holders.length === 0 ? [] : [`held by ${holders.join(", ")}`]),
    ...(administers.length === 0 ? [] : [`administers ${administers.join(", ")}`]),
    ...(standing === "live" ? [] : [standing]),
  ];
  return `  ${ref}  ${short(version)}  ${parts.join("; ")}`;
}

/** Says why nothing has begun, and what to type. */
export function tellWithheld(
  terminal: Terminal,
  { error, command, request }: Withheld,
  targets: readonly Target[],
): void {
  const { code, message, remedy } = error;
  terminal.warn(`${code}: ${message}`);
  if (request !== undefined) terminal.show(JSON.stringify(request));
  if (command !== undefined) terminal.warn(`  nothing has changed; then: ${command}`);
  terminal.result({
    error: { code, message, remedy },
    affected: targets.map(({ affected }) => affected),
    ...(command === undefined ? {} : { command }),
    ...(request === undefined ? {} : { request }),
  });
}
