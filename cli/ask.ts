import { InvalidArgumentError } from "commander";
import { errorCodes, KeyturnError } from "../core/errors.ts";
import { request } from "../core/operate.ts";
import type { Ports } from "../core/ports.ts";
import type { RotationRecord } from "../core/record.ts";
import type { Answer, Request } from "../core/request.ts";
import { rotationOf } from "../core/transition.ts";
import type { CommandContext } from "./command.ts";
import { drive } from "./drive.ts";
import { exitCodeOf, exitCodes } from "./exit.ts";
import { openSecret } from "./open.ts";
import { duration, short, type Terminal } from "./terminal.ts";
import { person, workerName } from "./who.ts";

export interface AskOptions {
  readonly wait?: boolean;
  /** Seconds. */
  readonly timeout: number;
}

/** For `--timeout`: a number of seconds above zero. */
export function seconds(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError("It must be a number of seconds above 0.");
}

/** Records a request, carries it out or watches it carried out, and says what came of it. */
export async function ask(
  { manifestPath, terminal, signal }: CommandContext,
  ref: string,
  wanted:
    | { readonly kind: "rotate" | "resume" }
    | { readonly kind: "cancel" | "rollback"; readonly insist: boolean },
  options: AskOptions,
): Promise<number> {
  await using opened = await openSecret(manifestPath, ref);
  const { ports, local } = opened;
  terminal.say(`${ref} in store ${opened.storeName} (${opened.place})`);
  const what: Request = { ...wanted, by: person() };
  const answered = await request(ref, ports, what);
  terminal.say(`${answered.answer}: ${answered.why}`);
  if (answered.answer === "refused" || answered.answer === "nothing")
    return notBegun(answered, ref, terminal);
  await local.bus.wake();
  if (answered.answer === "waiting" && options.wait !== true) return waits(answered, ref, terminal);

  const started = ports.clock.now();
  const rotationId = answered.answer === "waiting" ? undefined : rotationOf(answered.record.state)?.id;
  const record = await drive(ref, ports, {
    worker: workerName("cli"),
    terminal,
    signal,
    timeoutMs: options.timeout * 1_000,
    reached: (now) => isReached(now, rotationId, options.wait === true),
  });
  const ms = ports.clock.now() - started;
  const phase = record.state.phase;
  const version = record.current?.version;
  const published = rotationId === undefined || version === rotationId;
  const debts = record.debts.length;
  terminal.result({ ref, answer: answered.answer, rotated: published, phase, version, ms, debts });
  if (record.state.phase === "halted") {
    terminal.warn(`halted in ${record.state.from}: ${record.state.code}: ${record.state.reason}`);
    terminal.warn("  look at the cause; then `keyturn resume`, or `keyturn cancel --insist` before finish");
    return exitCodes.halted;
  }
  if (published) {
    terminal.show(`${ref} is at version ${short(version)} after ${duration(ms)}${rest(record)}`);
    return exitCodes.done;
  }
  if (answered.record.state.phase === "undo" && debts === 0) {
    terminal.show(`${ref} is at version ${short(version)}; the candidate is taken back`);
    return exitCodes.done;
  }
  return undone(record, ports, rotationId, terminal);
}

/** Done with everything; or, for who does not wait for the end, the new version is out. */
function isReached(record: RotationRecord, rotationId: string | undefined, waits: boolean): boolean {
  const { phase } = record.state;
  if (phase === "idle") return record.wish === undefined;
  return !waits && record.current?.version === rotationId && phase !== "announce";
}

function notBegun({ answer, why }: Answer, ref: string, terminal: Terminal): number {
  if (answer === "refused") terminal.warn(`refused: ${why}`);
  else terminal.show(why);
  terminal.result({ ref, answer, why });
  return answer === "refused" ? exitCodes.refused : exitCodes.done;
}

function waits({ answer, why, record }: Answer, ref: string, terminal: Terminal): number {
  terminal.show(`${ref} waits: ${why}`);
  terminal.result({
    ref,
    answer,
    why,
    rotated: false,
    phase: record.state.phase,
    version: record.current?.version,
  });
  return exitCodes.done;
}

/** Why it was undone is in the audit; how that is mended is in the table of errors. */
async function undone(
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

function rest({ state, debts }: RotationRecord): string {
  if (debts.length > 0)
    return `; not yet proven refused: ${debts.map((debt) => short(debt.version)).join(", ")}`;
  return state.phase === "idle"
    ? "; nothing else of it is accepted any more"
    : "; the old one lives until the fleet has released it, while `keyturn serve` runs";
}
