import { Command } from "commander";
import { errorCodes, KeyturnError } from "../core/errors.ts";
import { request } from "../core/operate.ts";
import type { Ports } from "../core/ports.ts";
import type { RotationRecord } from "../core/record.ts";
import { action, type CommandContext } from "./command.ts";
import { drive } from "./drive.ts";
import { exitCodeOf, exitCodes } from "./exit.ts";
import { openSecret } from "./open.ts";
import { duration, short, type Terminal } from "./terminal.ts";
import { person, workerName } from "./who.ts";

export function rotateCommand(): Command {
  const command = new Command("rotate")
    .description("make a new version of a secret, and let the fleet change over")
    .argument("<secret>", "its reference, such as billing/db")
    .option(
      "--wait",
      "until the old credential is proven refused, and not only until the new one is announced",
    )
    .option("--timeout <seconds>", "give up waiting after this long", "600")
    .addHelpText("after", "\nExample:\n  $ keyturn rotate billing/db --wait");
  return command.action(action(command, rotate));
}

async function rotate(
  { manifestPath, terminal, signal }: CommandContext,
  ref: string,
  options: { readonly wait?: boolean; readonly timeout: string },
): Promise<number> {
  await using opened = await openSecret(manifestPath, ref);
  const { ports } = opened;
  terminal.say(`${ref} in store ${opened.storeName} (${opened.place})`);
  const answered = await request(ref, ports, { kind: "rotate", by: person() });
  terminal.say(`${answered.answer}: ${answered.why}`);
  if (answered.answer === "refused") {
    terminal.warn(answered.why);
    terminal.result({ ref, answer: answered.answer, why: answered.why });
    return exitCodes.refused;
  }
  const { state } = answered.record;
  const rotationId = state.phase === "idle" || answered.answer === "waiting" ? undefined : state.rotation?.id;
  const started = ports.clock.now();
  const record = await drive(ref, ports, {
    worker: workerName("cli"),
    terminal,
    signal,
    timeoutMs: Number(options.timeout) * 1_000,
    reached: (now) =>
      now.state.phase === "idle" ||
      (options.wait !== true && now.current?.version === rotationId && now.state.phase !== "announce"),
  });
  const rotated =
    rotationId === undefined ? answered.answer === "waiting" : record.current?.version === rotationId;
  const phase = record.state.phase;
  terminal.result({
    ref,
    answer: answered.answer,
    rotated,
    phase,
    version: record.current?.version,
    ms: ports.clock.now() - started,
    debts: record.debts.length,
  });
  if (record.state.phase === "halted") {
    terminal.warn(`halted in ${record.state.from}: ${record.state.code}: ${record.state.reason}`);
    return exitCodes.halted;
  }
  if (!rotated) return notRotated(record, ports, rotationId, terminal);
  const after = duration(ports.clock.now() - started);
  terminal.show(`${ref} is at version ${short(record.current?.version)} after ${after}${rest(phase)}`);
  return exitCodes.done;
}

/** Why it was undone is in the audit; how that is mended is in the table of errors. */
async function notRotated(
  record: RotationRecord,
  ports: Ports,
  rotationId: string | undefined,
  terminal: Terminal,
): Promise<number> {
  const { ref, current } = record;
  let reason = "";
  for await (const entry of ports.audit.read(ref)) {
    if (entry.action === "undo.began" && entry.version === rotationId) reason = entry.detail;
  }
  terminal.warn(`${ref} was not rotated: ${reason}`);
  const code = errorCodes.find((known) => reason.startsWith(`${known}:`));
  if (code !== undefined) terminal.warn(`  ${new KeyturnError(code, reason).remedy}`);
  terminal.warn(
    current === undefined
      ? "  it still has no credential"
      : `  current is still ${short(current.version)}, and works as before`,
  );
  return code === undefined ? exitCodes.refused : exitCodeOf(code);
}

function rest(phase: string): string {
  return phase === "idle"
    ? "; the old one is proven refused"
    : "; the old one lives until the fleet has released it, while `keyturn serve` runs";
}
