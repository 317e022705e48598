import { Command } from "commander";
import { type ChainFault, verifyChain } from "../core/audit.ts";
import type { Ports } from "../core/ports.ts";
import { action, type CommandContext } from "./command.ts";
import { exitCodes } from "./exit.ts";
import { openManifest } from "./open.ts";

export function auditCommand(): Command {
  const verify = new Command("verify")
    .description("read every hash chain to its end, and say what was changed, taken out, put in or cut off")
    .addHelpText("after", "\nExample:\n  $ keyturn audit verify");
  verify.action(action(verify, verifyAll));
  return new Command("audit").description("who did what, when, to which secret").addCommand(verify);
}

interface ChainResult {
  readonly ref: string;
  readonly entries: number;
  readonly fault: ChainFault | undefined;
}

async function verifyAll({ manifestPath, terminal }: CommandContext): Promise<number> {
  await using opened = await openManifest(manifestPath);
  const results: ChainResult[] = [];
  for (const { ports } of await opened.stores()) {
    const refs = new Set([...(await ports.audit.refs()), ...(await ports.journal.refs())]);
    for (const ref of [...refs].sort()) results.push(await verifyOne(ports, ref));
  }
  for (const { ref, entries, fault } of results) {
    const verdict = fault === undefined ? "unbroken" : `BROKEN: ${fault.kind} at entry ${fault.sequence}`;
    terminal.show(`${ref}  ${entries} entries  ${verdict}`);
  }
  const verified = results.every(({ fault }) => fault === undefined);
  if (results.length === 0) terminal.show("no secret has an audit yet");
  terminal.result({ verified, chains: results });
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
