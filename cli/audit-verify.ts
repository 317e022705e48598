import { Command } from "commander";
import { verifyChain } from "../core/audit.ts";
import type { Ports } from "../core/ports.ts";
import { action, type CommandContext } from "./command.ts";
import { exitCodes } from "./exit.ts";
import { openManifest } from "./open.ts";
import type { AuditVerifyResult } from "./results/audit.ts";

type ChainResult = AuditVerifyResult["chains"][number];

export function auditVerifyCommand(): Command {
  const command = new Command("verify")
    .description("read every hash chain to its end, and say what was changed, taken out, put in or cut off")
    .addHelpText("after", "\nExample:\n  $ keyturn audit verify");
  return command.action(action(command, verifyAll));
}

async function verifyAll({ manifestPath, terminal }: CommandContext): Promise<number> {
  await using opened = await openManifest(manifestPath);
  const chains: ChainResult[] = [];
  for (const { ports } of await opened.stores()) {
    const refs = new Set([...(await ports.audit.refs()), ...(await ports.journal.refs())]);
    for (const ref of [...refs].sort()) chains.push(await verifyOne(ports, ref));
  }
  for (const { ref, entries, fault } of chains) {
    const verdict = fault === undefined ? "unbroken" : `BROKEN: ${fault.kind} at entry ${fault.sequence}`;
    terminal.show(`${ref}  ${entries} entries  ${verdict}`);
  }
  const verified = chains.every(({ fault }) => fault === undefined);
  if (chains.length === 0) terminal.show("no secret has an audit yet");
  const result: AuditVerifyResult = { verified, chains };
  terminal.result(result);
  return verified ? exitCodes.done : exitCodes.failed;
}

/** The journal knows where a chain ends; what still waits in the outbox is not yet part of it. */
async function verifyOne(ports: Ports, ref: string): Promise<ChainResult> {
  const record = (await ports.journal.load(ref))?.record;
  const unsent = record?.outbox.entries[0];
  const end =
    unsent === undefined ? record?.audit : { sequence: unsent.sequence - 1, hash: unsent.previousHash };
  const { length, fault } = await verifyChain(ref, ports.audit.read(ref), end);
  return { ref, entries: length, fault };
}
