import { Command } from "commander";
import type { KeyturnError } from "../core/errors.ts";
import { LeakedText } from "../core/leaked.ts";
import { seconds } from "./ask.ts";
import { action, type CommandContext } from "./command.ts";
import { exitCodeOf, exitCodes } from "./exit.ts";
import { type OpenManifest, openManifest } from "./open.ts";
import type { RevokeResult } from "./results/revoke.ts";
import { revokeTokens } from "./revoke-agent.ts";
import { type Aimed, aim, type Target } from "./revoke-aim.ts";
import { type Chosen, choose } from "./revoke-choose.ts";
import { consent, tellWithheld } from "./revoke-consent.ts";
import { cutAll } from "./revoke-cut.ts";
import { revokeDirectly } from "./revoke-direct.ts";
import { pastTime, type RevokeOptions, selectorOf, wholeNumber } from "./revoke-options.ts";
import { containedMs, revokedVersion, showReport, type Times } from "./revoke-report.ts";
import { readSecretText } from "./standard-input.ts";
import { duration, short } from "./terminal.ts";

/** Whoever repeats a revocation within this time goes on with it; `--since` says it exactly. */
const sameIncidentMs = 15 * 60_000;
/** A whole file may be pasted. */
const leakedBytesMax = 8_000_000;

export function revokeCommand(): Command {
  const command = new Command("revoke")
    .description("cut leaked credentials off at their targets, now, and give the fleets their successors")
    .argument("[secret...]", "their references; left out with --fleet, --tenant, --agent and --leaked")
    .option("--which <version>", "current, previous, pending or a version's id", "current")
    .option("--fleet <fleet>", "every secret that this fleet may read")
    .option(
      "--tenant <tenant>",
      "every secret of this tenant; beside another choice: refuse what is not the tenant's",
    )
    .option("--agent <host>", "end this host's tokens, and cut off every secret that it may have read")
    .option("--leaked", "find the secrets by a text that holds the leaked value, read from standard input")
    .option("--cut-first", "refuse the leaked one before its successor exists: agents fail until it does")
    .option("--yes", "go on though it affects several secrets")
    .option(
      "--max-affected <number>",
      "refuse to affect more secrets than this (default: by the policies, else 10)",
      wholeNumber,
    )
    .option(
      "--approval <file>",
      "what the second person's `keyturn approve` has printed, where a policy asks for one",
    )
    .option(
      "--key <file>",
      "say by your private key which of the manifest's people you are, if your login name does not",
    )
    .option(
      "--since <time>",
      "when the alert came: what is reported counts from there, and what was begun since goes on",
      pastTime,
    )
    .option("--timeout <seconds>", "give up waiting after this long; it goes on by itself", seconds, 60)
    .option(
      "--direct",
      "while the store is out of reach: shut the secret's logins at its target with an administering login from standard input",
    )
    .option("--login <login...>", "with --direct: only these logins (default: all that the target lets in)")
    .addHelpText(
      "after",
      `
Examples:
  $ pbpaste | keyturn revoke --leaked
  $ keyturn revoke billing/db
  $ keyturn revoke --tenant acme --max-affected 200 --yes
  $ keyturn revoke --agent host-1 --since 2026-01-31T02:59:00Z --yes`,
    );
  return command.action(action(command, revoke));
}

async function revoke(
  context: CommandContext,
  refs: readonly string[],
  options: RevokeOptions,
): Promise<number> {
  const { terminal, manifestPath } = context;
  const selector = selectorOf(refs, options);
  if (options.direct === true) return revokeDirectly(context, selector, options);
  await using opened = await openManifest(manifestPath);
  const leaked =
    selector.kind === "leaked"
      ? new LeakedText(await readSecretText("leaked text, then Enter and Ctrl-D: ", leakedBytesMax))
      : undefined;
  const started = Date.now();
  const begunSince = options.since ?? started - sameIncidentMs;
  const chosen = await choose(opened, selector, options, leaked, begunSince);
  const aimed = await aim(opened, chosen, begunSince);
  const { targets } = aimed;
  const times = { alertAt: options.since ?? started, identifiedMs: Date.now() - started };
  if (targets.length === 0 && chosen.agent === undefined) return nothingFound(context, chosen, aimed, leaked);
  // Asked for by name, nothing is done with a part of them.
  const [unusable] = selector.kind === "secrets" ? aimed.failures : [];
  if (unusable !== undefined) throw unusable;
  tellOne(context, targets, times);
  const agreed = await consent(context, { opened, selector, options, chosen, targets });
  if ("error" in agreed) {
    tellWithheld(terminal, agreed, targets);
    return exitCodes.refused;
  }
  // Awaited here, for the stores are closed when this returns.
  return await contain(context, { opened, chosen, aimed, options, times, leaked, by: agreed.by });
}

/** Of several the blast radius tells it. */
function tellOne({ terminal }: CommandContext, targets: readonly Target[], { identifiedMs }: Times): void {
  const [target, ...more] = targets;
  if (target === undefined || more.length > 0) return;
  const { ref, version, secret, affected } = target;
  terminal.say(`${ref} version ${short(version)} in ${secret.place}, found after ${duration(identifiedMs)}`);
  if (affected.standing === "under way") {
    terminal.say(
      "somebody has begun to cut it off, and this goes on with it; a successor is only touched if --which names it",
    );
  } else if (affected.standing === "cut") {
    terminal.say("it was cut off before, and is proven refused");
  }
}

interface Incident {
  readonly opened: OpenManifest;
  readonly chosen: Chosen;
  readonly aimed: Aimed;
  readonly options: RevokeOptions;
  readonly times: Times;
  readonly leaked: LeakedText | undefined;
  readonly by: string;
}

/** Everything that was agreed to: the tokens first, then every version; what fails in one place stops none of the others. */
async function contain(context: CommandContext, incident: Incident): Promise<number> {
  const { terminal } = context;
  const { opened, chosen, aimed, options, times, leaked, by } = incident;
  const shut = chosen.agent === undefined ? undefined : await revokeTokens(opened, chosen.agent);
  const cuts = await cutAll(context, aimed.targets, {
    by,
    cutFirst: options.cutFirst === true,
    timeoutMs: options.timeout * 1_000,
  });
  const revoked = cuts.filter(({ error }) => error === undefined).map((cut) => revokedVersion(cut, times));
  const failures = [
    ...chosen.failures,
    ...aimed.failures,
    ...(shut?.failures ?? []),
    ...cuts.flatMap(({ error }) => error ?? []),
  ];
  const contained = failures.length === 0 ? containedMs(revoked) : undefined;
  const result: RevokeResult = {
    found: aimed.targets.length,
    revoked,
    ...(contained === undefined ? {} : { containedMs: contained }),
    ...(shut === undefined ? {} : { agent: shut.agent }),
    ...(leaked === undefined ? {} : { searchedAll: leaked.complete }),
    ...(failures.length === 0
      ? {}
      : { errors: failures.map(({ code, message, remedy }) => ({ code, message, remedy })) }),
  };
  showReport(terminal, result);
  warnOf(context, failures);
  terminal.result(result);
  const codes = failures.map(({ code }) => exitCodeOf(code));
  if (revoked.some(({ reason }) => reason !== undefined)) codes.push(exitCodes.halted);
  if (revoked.some(({ refused, successor }) => !refused || successor === undefined))
    codes.push(exitCodes.unavailable);
  return Math.max(exitCodes.done, ...codes);
}

function nothingFound(
  context: CommandContext,
  chosen: Chosen,
  aimed: Aimed,
  leaked: LeakedText | undefined,
): number {
  const { terminal } = context;
  const failures = [...chosen.failures, ...aimed.failures];
  const [first, ...more] = failures;
  if (first !== undefined && more.length === 0) throw first;
  warnOf(context, failures);
  const errors = failures.map(({ code, message, remedy }) => ({ code, message, remedy }));
  const searched = leaked === undefined ? {} : { searchedAll: leaked.complete };
  terminal.result({
    found: 0,
    revoked: [],
    ...searched,
    ...(errors.length === 0 ? {} : { errors }),
  } satisfies RevokeResult);
  if (failures.length > 0) return Math.max(...failures.map(({ code }) => exitCodeOf(code)));
  if (leaked === undefined) {
    terminal.show("none of these secrets has a value yet");
    return exitCodes.done;
  }
  terminal.warn("no secret under Keyturn has, or ever had, a value that is in this text");
  terminal.warn("  short and plain values are not found by their text: name the secret instead");
  if (!leaked.complete)
    terminal.warn("  the text is too large for every part of it to be tried: paste the line alone");
  return exitCodes.failed;
}

function warnOf({ terminal }: CommandContext, failures: readonly KeyturnError[]): void {
  for (const { code, message, remedy } of failures) {
    terminal.warn(`${code}: ${message}`);
    terminal.warn(`  ${remedy}`);
  }
}
