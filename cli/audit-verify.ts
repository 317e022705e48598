import { readFileSync } from "node:fs";
import { Command } from "commander";
import { Anchor, hashOfLine } from "../core/audit-root.ts";
import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import { type AuditVerdict, verifyAudit } from "../core/verify-audit.ts";
import type { RootsVerdict } from "../core/verify-roots.ts";
import { action, type CommandContext } from "./command.ts";
import { exitCodes } from "./exit.ts";
import { type OpenStore, openManifest } from "./open.ts";
import type { AuditVerifyResult } from "./results/audit.ts";
import type { Terminal } from "./terminal.ts";

type ChainResult = AuditVerifyResult["chains"][number];
type RootsResult = AuditVerifyResult["roots"][number];

export function auditVerifyCommand(): Command {
  const command = new Command("verify")
    .description(
      "read every hash chain and the list of signed roots to their ends, and say what was changed, taken out, put in or cut off",
    )
    .option("--anchor <file>", "a root that was kept elsewhere, as `keyturn audit root` printed it")
    .addHelpText(
      "after",
      "\nExample:\n  $ keyturn audit verify\n  $ keyturn audit root > anchor.json\n  $ keyturn audit verify --anchor anchor.json",
    );
  return command.action(action(command, verifyAll));
}

async function verifyAll(
  { manifestPath, terminal }: CommandContext,
  options: { readonly anchor?: string },
): Promise<number> {
  const anchor = options.anchor === undefined ? undefined : readAnchor(options.anchor);
  await using opened = await openManifest(manifestPath);
  const stores = await opened.stores();
  if (anchor !== undefined && !stores.some(({ ports }) => ports.installation === anchor.installation)) {
    throw new KeyturnError(
      "input-invalid",
      `${options.anchor} is of the installation ${anchor.installation}, and the manifest has no store of it`,
    );
  }
  const chains: ChainResult[] = [];
  const roots: RootsResult[] = [];
  for (const store of stores) {
    const verdict = await verifyStore(store, anchor, terminal);
    chains.push(...verdict.chains);
    roots.push(resultOf(store.name, verdict.roots));
  }
  for (const chain of chains) showChain(chain, terminal);
  if (chains.length === 0) terminal.show("no secret has an audit yet");
  for (const list of roots) showRoots(list, terminal);
  const verified = [...chains, ...roots].every(({ fault }) => fault === undefined);
  const result: AuditVerifyResult = { verified, chains, roots };
  terminal.result(result);
  return verified ? exitCodes.done : exitCodes.failed;
}

/** Where the anchor is another store's, or there is none, the list is verified by itself and by this machine's key. */
async function verifyStore(
  { ports: { installation, audit, journal }, auditRoots, auditKeys }: OpenStore,
  anchor: Anchor | undefined,
  terminal: Terminal,
): Promise<AuditVerdict> {
  const publicKeys = await auditKeys.publicKeys().catch((thrown: unknown) => {
    terminal.warn(`the roots are not compared with this machine's key: ${asKeyturnError(thrown).message}`);
    return [];
  });
  const kept = anchor?.installation === installation ? anchor : undefined;
  return verifyAudit({ audit, journal, roots: auditRoots }, { installation, anchor: kept, publicKeys });
}

function resultOf(store: string, { lines, keys, last, fault, accepted }: RootsVerdict): RootsResult {
  return {
    store,
    lines,
    signedAt: last?.at,
    chains: last?.chains,
    root: last?.root,
    keyId: keys.at(-1)?.keyId,
    accepted: [...accepted],
    fault,
  };
}

function showChain({ ref, entries, fault }: ChainResult, terminal: Terminal): void {
  const by = fault?.root === undefined ? "" : `, as root ${fault.root} knows`;
  const verdict = fault === undefined ? "unbroken" : `BROKEN: ${fault.kind} at entry ${fault.sequence}${by}`;
  terminal.show(`${ref}  ${entries} entries  ${verdict}`);
}

function showRoots(
  { store, lines, signedAt, chains, accepted, fault }: RootsResult,
  terminal: Terminal,
): void {
  for (const { ref, root } of accepted) terminal.show(`${ref}  accepted as it was by root ${root}`);
  const verdict = fault === undefined ? "unbroken" : `BROKEN: ${fault.kind} at line ${fault.number}`;
  const newest =
    signedAt === undefined
      ? "nothing is signed yet"
      : `the newest of ${new Date(signedAt).toISOString()} over ${chains} chains`;
  terminal.show(`roots of store ${store}  ${lines} lines, ${newest}  ${verdict}`);
}

function readAnchor(path: string): Anchor {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new KeyturnError("input-invalid", `--anchor ${path}: ${why}`, { cause });
  }
  const anchor = Anchor.safeParse(jsonOf(text)).data;
  if (anchor !== undefined && hashOfLine(anchor) === anchor.hash) return anchor;
  throw new KeyturnError(
    "input-invalid",
    `--anchor ${path} is no root, or not as \`keyturn audit root\` printed it`,
  );
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
