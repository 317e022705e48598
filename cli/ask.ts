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
import { goesOn, openSecret } from "./open.ts";
import type { RotationResult } from "./results/request.ts";
import { pausedBy } from "./standstill.ts";
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
  const { ports } = opened;
  terminal.say(`${ref} in store ${opened.storeName} (${opened.place})`);
  const what: Request = { ...wanted, by: person() };
  const answered = await request(ref, ports, what);
  terminal.say(`${answered.answer}: ${answered.why}`);
  if (answered.answer === "refused" || answered.answer === "nothing")
    return notBegun(answered, ref, terminal);
  await opened.wake([ref]);
  if (wanted.kind === "resume" && isAtRest(answered.record)) return resumed(answered, ref, terminal);
  if (answered.answer === "waiting" && options.wait !== true) return waits(answered, ref, terminal);

  const started = ports.clock.now();
  const asked = answered.record.audit.sequence;
  const joined = answered.answer === "waiting" ? undefined : rotationOf(answered.record.state)?.id;
  const record = await drive(ref, opened, {
    worker: workerName("cli"),
    terminal,
    signal,
    timeoutMs: options.timeout * 1_000,
    reached: (now) => isReached(now, joined, options.wait === true),
  }).finally(() => opened.wake([ref]));
  const outcome = await outcomeOf(ports, ref, joined, asked);
  const isAwaited = options.wait === true;
  return conclude(
    { answered, record, isAwaited, ...outcome, ms: ports.clock.now() - started, goesOn: goesOn(opened) },
    ref,
    terminal,
  );
}

interface Concluded {
  readonly answered: Answer;
  readonly record: RotationRecord;
  /** Until everything is done, and not only until it is published. */
  readonly isAwaited: boolean;
  readonly published: boolean;
  /** Why the rotation was undone. */
  readonly undone: string | undefined;
  readonly ms: number;
  /** How it goes on when the command has ended. */
  readonly goesOn: string;
}

/** Says what came of it, and with which exit code. */
function conclude(concluded: Concluded, ref: string, terminal: Terminal): number {
  const { answered, record, isAwaited, published, undone, ms } = concluded;
  const { state, current, debts } = record;
  const paused = isAwaited || !published ? pausedBy(record) : undefined;
  const error =
    paused === undefined
      ? errorOf(record, published ? undefined : undone)
      : new KeyturnError("request-refused", paused);
  const result: RotationResult = {
    ref,
    answer: answered.answer,
    rotated: published,
    phase: state.phase,
    version: current?.version,
    ms,
    debts: debts.length,
    ...(error === undefined ? {} : { error: shown(error) }),
  };
  terminal.result(result);
  if (state.phase === "halted" && error !== undefined) {
    terminal.warn(`halted in ${state.from}: ${error.code}: ${error.message}`);
    terminal.warn(
      `  ${error.remedy} Then \`keyturn resume ${ref}\`; before finish, \`keyturn cancel --insist ${ref}\` takes it back.`,
    );
    return exitCodes.halted;
  }
  if (published) {
    terminal.show(
      `${ref} is at version ${short(current?.version)} after ${duration(ms)}${rest(record, concluded.goesOn)}`,
    );
    if (paused !== undefined) terminal.warn(paused);
    return paused === undefined ? exitCodes.done : exitCodes.refused;
  }
  if (paused !== undefined) {
    terminal.warn(`${ref} waits: ${paused}`);
    return exitCodes.refused;
  }
  return notPublished(concluded, error, ref, terminal);
}

function notPublished(
  { answered, record: { state, current }, undone }: Concluded,
  error: KeyturnError | undefined,
  ref: string,
  terminal: Terminal,
): number {
  const now = current === undefined ? "it has no credential" : `current is ${short(current.version)}`;
  if (answered.record.state.phase === "undo") {
    terminal.show(`${ref}: the candidate is taken back; ${now}`);
    return exitCodes.done;
  }
  if (state.phase === "idle" && undone === undefined) {
    terminal.show(`${ref}: nothing was published; ${now}`);
    return exitCodes.refused;
  }
  terminal.warn(`${ref} was not rotated: ${undone ?? "it was undone"}`);
  if (error !== undefined) terminal.warn(`  ${error.remedy}`);
  terminal.warn(`  ${now}, and works as before`);
  return error === undefined ? exitCodes.refused : exitCodeOf(error.code);
}

/** What became of the rotation: of the one that was joined or begun, or of the first that began after the request. The audit knows. */
async function outcomeOf(ports: Ports, ref: string, joined: string | undefined, asked: number) {
  let id = joined;
  let published = false;
  let undone: string | undefined;
  for await (const { sequence, action, version, detail } of ports.audit.read(ref)) {
    if (id === undefined && sequence > asked && action.endsWith(".began") && action.startsWith("ro"))
      id = version;
    if (id === undefined || version !== id) continue;
    if (action === "finish.done") published = true;
    if (action === "undo.began") undone = detail;
  }
  return { published, undone };
}

/** Why it halted, or was undone, as one of our errors: it knows the remedy. */
export function errorOf({ state }: RotationRecord, undone: string | undefined): KeyturnError | undefined {
  const reason = state.phase === "halted" ? `${state.code}: ${state.reason}` : undone;
  const code = errorCodes.find((known) => reason?.startsWith(`${known}: `) === true);
  return code && new KeyturnError(code, (reason ?? "").slice(code.length + 2));
}

function shown({ code, message, remedy }: KeyturnError) {
  return { code, message, remedy };
}

/** Done with everything; or, for who does not wait for the end, the new version is out. */
function isReached(record: RotationRecord, rotationId: string | undefined, waits: boolean): boolean {
  const { phase } = record.state;
  // What is paused waits for a person, and no command waits with it.
  if (pausedBy(record) !== undefined) return true;
  if (phase === "idle") return record.wish === undefined;
  return !waits && record.current?.version === rotationId && phase !== "announce";
}

function notBegun({ answer, why }: Answer, ref: string, terminal: Terminal): number {
  if (answer === "refused") terminal.warn(`refused: ${why}`);
  else terminal.show(why);
  const result: RotationResult = { ref, answer, why };
  terminal.result(result);
  return answer === "refused" ? exitCodes.refused : exitCodes.done;
}

/** Nothing was under way: what the pause has held back begins by itself. */
function resumed({ answer, why, record }: Answer, ref: string, terminal: Terminal): number {
  terminal.show(`${ref} is resumed: ${why}`);
  const result: RotationResult = {
    ref,
    answer,
    why,
    rotated: false,
    phase: record.state.phase,
    version: record.current?.version,
    debts: record.debts.length,
  };
  terminal.result(result);
  return exitCodes.done;
}

function isAtRest({ state, wish }: RotationRecord): boolean {
  return state.phase === "idle" && wish === undefined;
}

function waits({ answer, why, record }: Answer, ref: string, terminal: Terminal): number {
  const paused = pausedBy(record);
  terminal.show(`${ref} waits: ${why}${paused === undefined ? "" : `; ${paused}`}`);
  const result: RotationResult = {
    ref,
    answer,
    why,
    rotated: false,
    phase: record.state.phase,
    version: record.current?.version,
  };
  terminal.result(result);
  return exitCodes.done;
}

function rest({ state, debts }: RotationRecord, how: string): string {
  if (debts.length > 0)
    return `; not yet proven refused: ${debts.map((debt) => short(debt.version)).join(", ")}`;
  return state.phase === "idle"
    ? "; nothing else of it is accepted any more"
    : `; the old one lives until the fleet has released it: it goes on ${how}`;
}
