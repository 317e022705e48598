import { Command } from "commander";
import { request } from "../core/operate.ts";
import type { RotationRecord } from "../core/record.ts";
import { type AskOptions, errorOf, seconds } from "./ask.ts";
import { action, type CommandContext } from "./command.ts";
import { drive } from "./drive.ts";
import { exitCodes } from "./exit.ts";
import { goesOn, openSecret } from "./open.ts";
import type { RetireResult } from "./results/request.ts";
import { short } from "./terminal.ts";
import { person, workerName } from "./who.ts";

interface RetireOptions extends AskOptions {
  readonly insist?: boolean;
}

export function retireCommand(): Command {
  const command = new Command("retire")
    .description(
      "end the grace now and make the target refuse the old credential; try now to pay what is owed",
    )
    .argument("<secret>", "its reference")
    .option("--insist", "though agents still use the old one, or a person holds it: they are cut off")
    .option("--wait", "until the old credential is proven refused")
    .option("--timeout <seconds>", "give up waiting after this long; it goes on by itself", seconds, 600)
    .addHelpText("after", "\nExample:\n  $ keyturn retire billing/db --wait");
  return command.action(action(command, retire));
}

async function retire(
  { manifestPath, terminal, signal }: CommandContext,
  ref: string,
  options: RetireOptions,
): Promise<number> {
  await using opened = await openSecret(manifestPath, ref);
  const { ports } = opened;
  terminal.say(`${ref} in store ${opened.storeName} (${opened.place})`);
  const insist = options.insist === true;
  const { answer, why, record: asked } = await request(ref, ports, { kind: "retire", by: person(), insist });
  if (answer === "refused" || answer === "nothing") {
    if (answer === "refused") terminal.warn(`refused: ${ref}: ${why}`);
    else terminal.show(`${ref}: ${why}`);
    terminal.result(resultOf(asked, answer, why));
    return answer === "refused" ? exitCodes.refused : exitCodes.done;
  }
  terminal.say(`${answer}: ${why}`);
  await opened.wake([ref]);
  const started = ports.clock.now();
  const record = await drive(ref, opened, {
    worker: workerName("cli"),
    terminal,
    signal,
    timeoutMs: options.timeout * 1_000,
    // One look at it does all that can be done now; where functions look, the work is ordered from them.
    reached: (now) => options.wait !== true || isPaid(now),
  }).finally(() => opened.wake([ref]));
  const halt = errorOf(record, undefined);
  terminal.result({
    ...resultOf(record, answer, why),
    ms: ports.clock.now() - started,
    ...(halt === undefined ? {} : { error: { code: halt.code, message: halt.message, remedy: halt.remedy } }),
  });
  if (isPaid(record)) {
    terminal.show(`${ref}: nothing but version ${short(record.current?.version)} is accepted any more`);
    return exitCodes.done;
  }
  if (halt !== undefined) {
    terminal.warn(`halted: ${halt.code}: ${halt.message}`);
    terminal.warn(`  ${halt.remedy}`);
    return exitCodes.halted;
  }
  const owed = record.debts.map((debt) => short(debt.version)).join(", ") || "the old credential";
  const ordered =
    opened.local === undefined && options.wait !== true ? "ordered from the functions (--wait waits); " : "";
  terminal.show(`${ref}: ${ordered}not yet proven refused: ${owed}; it goes on ${goesOn(opened)}`);
  return exitCodes.done;
}

function resultOf(record: RotationRecord, answer: RetireResult["answer"], why: string): RetireResult {
  return { ref: record.ref, answer, why, phase: record.state.phase, debts: record.debts.length };
}

function isPaid({ state, debts }: RotationRecord): boolean {
  return debts.length === 0 && state.phase !== "grace" && state.phase !== "retire";
}
