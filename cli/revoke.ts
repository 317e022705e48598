import { Command } from "commander";
import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import { identify, request, versionMark } from "../core/operate.ts";
import type { FingerprintMatch } from "../core/ports.ts";
import type { RotationRecord } from "../core/record.ts";
import { isCompromised } from "../core/transition.ts";
import { seconds } from "./ask.ts";
import { action, type CommandContext } from "./command.ts";
import { drive } from "./drive.ts";
import { exitCodeOf, exitCodes } from "./exit.ts";
import { type OpenManifest, type OpenSecret, openManifest } from "./open.ts";
import { readSecret } from "./standard-input.ts";
import { duration, short } from "./terminal.ts";
import { person, workerName } from "./who.ts";

interface RevokeOptions {
  readonly which: string;
  readonly leaked?: boolean;
  readonly cutFirst?: boolean;
  readonly yes?: boolean;
  readonly timeout: number;
}

export function revokeCommand(): Command {
  const command = new Command("revoke")
    .description("cut a leaked credential off at its target, now, and give the fleet its successor")
    .argument("[secret]", "its reference; leave it out with --leaked")
    .option("--which <version>", "current, previous, pending or a version's id", "current")
    .option("--leaked", "find the secret by the leaked value, which is read from standard input")
    .option("--cut-first", "refuse the leaked one before its successor exists: agents fail until it does")
    .option("--yes", "go on though the value belongs to several secrets")
    .option("--timeout <seconds>", "give up waiting after this long; it goes on by itself", seconds, 60)
    .addHelpText("after", "\nExample:\n  $ pbpaste | keyturn revoke --leaked\n  $ keyturn revoke billing/db");
  return command.action(action(command, revoke));
}

/** One version to cut off, and what came of it. Times count from the command's start, or from the end of its standard input. */
interface Revoked {
  readonly ref: string;
  readonly version: string;
  readonly refused: boolean;
  readonly identifiedMs: number;
  readonly refusedMs: number | undefined;
  readonly sessionsEnded: number;
  readonly survives: readonly string[];
  readonly successor: string | undefined;
  readonly phase: string;
  /** Why it is halted. */
  readonly reason: string | undefined;
}

async function revoke(
  context: CommandContext,
  ref: string | undefined,
  options: RevokeOptions,
): Promise<number> {
  const { terminal } = context;
  if ((ref === undefined) !== (options.leaked === true)) {
    throw new KeyturnError(
      "input-invalid",
      "give either a secret, or --leaked with the value on standard input",
    );
  }
  await using opened = await openManifest(context.manifestPath);
  const leaked = ref === undefined ? await readSecret("leaked value: ") : undefined;
  const started = Date.now();
  const found: readonly FingerprintMatch[] =
    leaked === undefined ? [await named(opened, ref ?? "", options.which)] : await search(opened, leaked);
  const identifiedMs = Date.now() - started;
  if (found.length === 0) {
    terminal.warn("no secret under Keyturn has, or ever had, this value");
    terminal.result({ found: 0, revoked: [] });
    return exitCodes.failed;
  }
  if (found.length > 1 && options.yes !== true) {
    const list = found.map((match) => `${match.ref} ${short(match.version)}`).join(", ");
    throw new KeyturnError(
      "request-refused",
      `the value belongs to ${list}; say --yes to cut all of them off`,
    );
  }
  // Every one is reported before the first is waited for: a target that is down must not keep the others alive.
  const struck = await Promise.allSettled(found.map((match) => strike(opened, match, options)));
  const cuts = await Promise.allSettled(
    struck.map((settled, index) => follow(context, settled, found[index], options, started, identifiedMs)),
  );
  const revoked = cuts.flatMap((settled) => (settled.status === "fulfilled" ? [settled.value] : []));
  for (const one of revoked) terminal.show(report(one));
  const failures = cuts.flatMap((settled) =>
    settled.status === "rejected" ? [asKeyturnError(settled.reason)] : [],
  );
  for (const failure of failures) {
    terminal.warn(`${failure.code}: ${failure.message}`);
    terminal.warn(`  ${failure.remedy}`);
  }
  const errors = failures.map(({ code, message, remedy }) => ({ code, message, remedy }));
  terminal.result({ found: found.length, revoked, ...(errors.length > 0 ? { errors } : {}) });
  const codes = failures.map(({ code }) => exitCodeOf(code));
  if (revoked.some(({ reason }) => reason !== undefined)) codes.push(exitCodes.halted);
  if (revoked.some(({ refused, successor }) => !refused || successor === undefined))
    codes.push(exitCodes.unavailable);
  return Math.max(exitCodes.done, ...codes);
}

async function named(opened: OpenManifest, ref: string, version: string): Promise<FingerprintMatch> {
  const { ports } = await opened.secret(ref);
  const mark = await versionMark(ref, ports, version);
  return { ref, version: mark.version, field: "" };
}

/** In every store; a version whose several fields match is one. */
async function search(
  opened: OpenManifest,
  leaked: Parameters<typeof identify>[1],
): Promise<FingerprintMatch[]> {
  const stores = await opened.stores();
  const matches = (await Promise.all(stores.map(({ ports }) => identify(ports, leaked)))).flat();
  return [...new Map(matches.map((match) => [`${match.ref} ${match.version}`, match])).values()];
}

interface Struck {
  readonly secret: OpenSecret;
  readonly match: FingerprintMatch;
  /** It was retired before, and is proven refused. */
  readonly gone: boolean;
}

/** Marks the version as compromised: from here on the service, or whoever comes next, cuts it off. */
async function strike(
  opened: OpenManifest,
  match: FingerprintMatch,
  options: RevokeOptions,
): Promise<Struck> {
  const secret = await opened.secret(match.ref);
  const { ports } = secret;
  const stored = await ports.store.read(match.ref, { version: match.version });
  if (stored === undefined) return { secret, match, gone: true };
  const fingerprint = ports.fingerprinter.fingerprint(stored.value.reveal());
  const version = { version: match.version, fingerprint };
  const cutFirst = options.cutFirst === true;
  await request(match.ref, ports, { kind: "emergency", by: person(), version, cutFirst });
  return { secret, match, gone: false };
}

async function follow(
  { terminal, signal }: CommandContext,
  settled: PromiseSettledResult<Struck>,
  match: FingerprintMatch | undefined,
  options: RevokeOptions,
  started: number,
  identifiedMs: number,
): Promise<Revoked> {
  if (settled.status === "rejected") {
    const error = asKeyturnError(settled.reason);
    throw new KeyturnError(error.code, `${match?.ref}: ${error.message}`, { cause: error });
  }
  const { secret, gone } = settled.value;
  const { ref, version } = settled.value.match;
  const { ports, local, place } = secret;
  terminal.say(`${ref} version ${short(version)} in ${place}, found after ${duration(identifiedMs)}`);
  if (gone) {
    const record = (await ports.journal.load(ref))?.record;
    terminal.say(
      "it was retired before: the store has disabled it, as it does once the target is proven to refuse it",
    );
    const successor = record?.current?.version;
    const done = { refused: true, identifiedMs, refusedMs: 0, sessionsEnded: 0, survives: [] };
    return { ref, version, ...done, successor, phase: "idle", reason: undefined };
  }
  const driven = drive(ref, ports, {
    worker: workerName("cli"),
    terminal,
    signal,
    timeoutMs: options.timeout * 1_000,
    reached: (now) => isRefused(now, version) && !isCompromised(now, now.current),
  }).finally(() => local.bus.wake());
  const record = await driven.catch(async (thrown: unknown) => {
    const known = (await ports.journal.load(ref))?.record;
    // Out of time is not out of hand: what is done and what is owed is told all the same.
    if (known === undefined || asKeyturnError(thrown).code !== "timeout") throw thrown;
    return known;
  });
  const entry = record.compromised.find((one) => one.version === version);
  return {
    ref,
    version,
    refused: isRefused(record, version),
    identifiedMs,
    refusedMs: entry?.refusedAt === undefined ? undefined : Math.max(0, entry.refusedAt - started),
    sessionsEnded: entry?.sessionsEnded ?? 0,
    survives: entry?.survives ?? [],
    successor: isCompromised(record, record.current) ? undefined : record.current?.version,
    phase: record.state.phase,
    reason: record.state.phase === "halted" ? `${record.state.code}: ${record.state.reason}` : undefined,
  };
}

function isRefused(record: RotationRecord, version: string): boolean {
  return record.compromised.some((entry) => entry.version === version && entry.refusedAt !== undefined);
}

function report(one: Revoked): string {
  const name = `${one.ref}  ${short(one.version)}`;
  if (one.reason !== undefined) {
    return `${name} is NOT proven refused: halted, ${one.reason}; --cut-first cuts it off without a successor`;
  }
  if (!one.refused) {
    return `${name} is NOT yet proven refused (${one.phase}); \`keyturn serve\` or this command again goes on`;
  }
  const when = one.refusedMs === undefined ? "" : ` after ${duration(one.refusedMs)}`;
  const survives = one.survives.length === 0 ? "nothing survives" : `survives: ${one.survives.join(", ")}`;
  return `${name} is refused by its target${when}; ${one.sessionsEnded} sessions ended; ${survives}; successor ${one.successor === undefined ? "NOT out yet" : short(one.successor)}`;
}
