import { styleText } from "node:util";
import Table from "cli-table3";
import type { SecretStatus } from "./results/status.ts";
import { borderless, duration, oneLine, short } from "./terminal.ts";

/** All that there is to say of one secret, for a person. */
export function page(secret: SecretStatus): string {
  const { current, rotation } = secret;
  const lines = [
    `${secret.ref}  ${secret.phase}${secret.reason === undefined ? "" : `: ${secret.reason}`}`,
    `  type      ${secret.type}`,
    `  store     ${secret.store} (${secret.place})`,
    `  current   ${current === undefined ? "none yet: keyturn rotate makes the first" : `${short(current.version)}, ${duration(current.ageMs)} old`}`,
  ];
  if (secret.compromised) lines.push("            COMPROMISED: its successor is not out yet");
  if (secret.paused !== undefined) {
    const { by, agoMs, reason } = secret.paused;
    lines.push(`  PAUSED    by ${by}, ${duration(agoMs)} ago: ${reason}`);
  }
  if (rotation !== undefined) {
    lines.push(
      `  rotation  ${rotation.kind} to ${short(rotation.version)}, requested by ${rotation.requestedBy}`,
    );
  }
  return [...lines, ...fleetLines(secret), ...troubleLines(secret), ...nextLines(secret)].join("\n");
}

function fleetLines(secret: SecretStatus): readonly string[] {
  const byVersion = Object.entries(secret.onVersion).map(
    ([version, count]) => `${count} on ${short(version)}`,
  );
  const lines = [
    `  agents    ${secret.agents.live} live${byVersion.length === 0 ? "" : `: ${byVersion.join(", ")}`}`,
  ];
  if (secret.laggards.length > 0) lines.push(`  waits for ${some(secret.laggards)}`);
  if (secret.holders.length > 0) lines.push(`  held by   ${some(secret.holders)}`);
  for (const { by, reason, untilInMs } of secret.holds) {
    lines.push(`  hold      by ${by}, for ${duration(untilInMs)} more: ${reason}`);
  }
  if (secret.graceEndsInMs !== undefined) {
    lines.push(
      `  grace     ends when every live agent has changed over, at the latest in ${duration(secret.graceEndsInMs)}`,
    );
  }
  return lines;
}

function troubleLines(secret: SecretStatus): readonly string[] {
  const lines = secret.leaked.map((version) => `  LEAKED    ${short(version)} is not yet proven refused`);
  if (secret.lastFailure !== undefined) {
    const { what, agoMs, nextInMs } = secret.lastFailure;
    const next = nextInMs === undefined ? "" : `; next try in ${duration(nextInMs)}`;
    lines.push(`  failed    ${what} (${duration(agoMs)} ago${next})`);
  }
  for (const debt of secret.debts) {
    lines.push(
      `  owed      ${short(debt.version)} (${debt.reason}) for ${duration(debt.sinceMs)}, ${debt.attempts} tries`,
    );
  }
  return lines;
}

function nextLines(secret: SecretStatus): readonly string[] {
  const lines = secret.waits === undefined ? [] : [`  next      ${secret.waits}`];
  if (secret.nextRotationInMs !== undefined) {
    lines.push(`  scheduled ${nextRotation(secret.nextRotationInMs)}`);
  }
  return lines;
}

function nextRotation(inMs: number): string {
  return inMs === 0 ? "now" : `in ${duration(inMs)}`;
}

function some(names: readonly string[]): string {
  const more = names.length > 10 ? ` and ${names.length - 10} more` : "";
  return `${names.slice(0, 10).join(", ")}${more}`;
}

/** One line for each secret, none longer than there are columns. */
export function table(secrets: readonly SecretStatus[], columns = Number.POSITIVE_INFINITY): string {
  const rows = new Table({
    head: ["SECRET", "PHASE", "CURRENT", "AGE", "AGENTS", "OWED", "NEXT"],
    ...borderless,
  });
  for (const secret of secrets) rows.push(row(secret).map(oneLine));
  const text = rows.toString().replaceAll(/ +$/gm, "");
  return text
    .split("\n")
    .map((line) => (line.length > columns ? `${line.slice(0, columns - 1)}…` : line))
    .map((line, index) => (index === 0 ? line : highlighted(line, secrets[index - 1])))
    .join("\n");
}

function row(secret: SecretStatus): string[] {
  const { current, agents, debts } = secret;
  return [
    secret.ref,
    secret.paused === undefined ? secret.phase : `${secret.phase}, paused`,
    short(current?.version),
    current === undefined ? "" : duration(current.ageMs),
    agents.live === 0 ? "" : `${agents.adopted}/${agents.live}`,
    debts.length === 0 ? "" : String(debts.length),
    note(secret),
  ];
}

/** The most urgent thing that there is to say. */
function note(secret: SecretStatus): string {
  if (secret.compromised) return "COMPROMISED: its successor is not out yet";
  if (secret.reason !== undefined) return secret.reason;
  if (secret.leaked.length > 0) return "LEAKED, and not yet proven refused";
  if (secret.paused !== undefined) return `${secret.paused.by}: ${secret.paused.reason}`;
  if (secret.lastFailure !== undefined) return secret.lastFailure.what;
  const [hold] = secret.holds;
  if (hold !== undefined) return `held by ${hold.by} for ${duration(hold.untilInMs)}`;
  if (secret.laggards.length > 0) return `waits for ${secret.laggards.length} agents`;
  if (secret.graceEndsInMs !== undefined) return `grace: ${duration(secret.graceEndsInMs)} at the most`;
  if (secret.waits !== undefined) return secret.waits;
  return secret.nextRotationInMs === undefined ? "" : `rotates ${nextRotation(secret.nextRotationInMs)}`;
}

function highlighted(line: string, secret: SecretStatus | undefined): string {
  if (secret === undefined) return line;
  if (isAlarming(secret)) return styleText("red", line, { stream: process.stdout });
  return isAtRest(secret) ? line : styleText("yellow", line, { stream: process.stdout });
}

/** A person has to look. */
export function isAlarming({ phase, compromised, leaked }: SecretStatus): boolean {
  return phase === "halted" || compromised || leaked.length > 0;
}

export function isAtRest({ phase, paused, debts, waits }: SecretStatus): boolean {
  const rests = phase === "idle" || phase === "not begun";
  return rests && paused === undefined && debts.length === 0 && waits === undefined;
}
