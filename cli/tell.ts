import { InvalidArgumentError } from "commander";
import { KeyturnError } from "../core/errors.ts";
import { request } from "../core/operate.ts";
import type { RotationRecord } from "../core/record.ts";
import type { Request } from "../core/request.ts";
import type { CommandContext } from "./command.ts";
import { type Each, eachSecret, failureOf } from "./each-secret.ts";
import { exitCodeOf, exitCodes } from "./exit.ts";
import { type OpenManifest, type OpenSecret, openManifest } from "./open.ts";
import type { Told } from "./results/request.ts";

/** Which secrets a request is for: one by its name, or all of the manifest. */
export interface Whom {
  readonly ref: string | undefined;
  readonly all: boolean;
}

interface What {
  /** May depend on when it is asked. */
  readonly request: (now: number) => Request;
  /** Why a secret is passed over when all are meant, by what its record says. */
  readonly passOver?: (record: RotationRecord | undefined) => string | undefined;
}

/** Records a request that needs no work of its own, for one secret or for all, tells the service, and says what each came to. */
export async function tell(context: CommandContext, { ref, all }: Whom, what: What): Promise<number> {
  const { terminal, manifestPath } = context;
  if ((ref === undefined) !== all) {
    throw new KeyturnError("input-invalid", "name one secret, or say --all");
  }
  await using opened = await openManifest(manifestPath);
  if (ref !== undefined) return await tellOne(context, await opened.secret(ref), what);

  const refs = opened.manifest.secrets.refs();
  terminal.say(`${refs.length} ${refs.length === 1 ? "secret" : "secrets"} of ${opened.manifest.path}`);
  const each = await eachSecret(opened, refs, (secret) => recorded(secret, what));
  const told = each.map((one) =>
    "error" in one ? { ref: one.ref, error: failureOf(one.error) } : one.result,
  );
  await wake(opened, told);
  const counts: Record<string, number> = {};
  for (const one of told) {
    const kind = one.answer ?? "failed";
    counts[kind] = (counts[kind] ?? 0) + 1;
    terminal.show(`${one.ref}  ${kind}: ${one.why ?? `${one.error?.code}: ${one.error?.message}`}`);
  }
  const summary = Object.entries(counts).map(([kind, number]) => `${number} ${kind}`);
  terminal.say(summary.length === 0 ? "the manifest has no secrets" : summary.join(", "));
  terminal.result({ secrets: told, counts });
  return Math.max(exitCodes.done, ...each.map(codeOf));
}

function codeOf(one: Each<Told>): number {
  if ("error" in one) return exitCodeOf(one.error.code);
  return one.result.answer === "refused" ? exitCodes.refused : exitCodes.done;
}

async function tellOne({ terminal }: CommandContext, secret: OpenSecret, what: What): Promise<number> {
  const { ports, managed } = secret;
  terminal.say(`${managed.ref} in store ${secret.storeName} (${secret.place})`);
  const told = await recorded(secret, { request: what.request });
  await secret.wake([managed.ref]);
  const line = `${managed.ref}: ${told.why}`;
  if (told.answer === "refused") terminal.warn(`refused: ${line}`);
  else terminal.show(line);
  terminal.result(told);
  const phase = (await ports.journal.load(managed.ref))?.record.state.phase;
  if (phase === "halted") terminal.warn(`it is halted: \`keyturn status ${managed.ref}\` says why`);
  return told.answer === "refused" ? exitCodes.refused : exitCodes.done;
}

async function recorded({ ports, managed }: OpenSecret, { request: ask, passOver }: What): Promise<Told> {
  const { ref } = managed;
  const left = passOver?.((await ports.journal.load(ref))?.record);
  if (left !== undefined) return { ref, answer: "refused", why: left };
  const { answer, why } = await request(ref, ports, ask(ports.clock.now()));
  return { ref, answer, why };
}

/** Each store's service once, however many of its secrets have changed. */
async function wake(opened: OpenManifest, told: readonly Told[]): Promise<void> {
  const changed = told.filter(({ answer }) => answer === "began");
  const stores = Map.groupBy(changed, ({ ref }) => opened.manifest.secrets.get(ref)?.store ?? "");
  for (const [name, its] of stores) await (await opened.store(name)).wake(its.map(({ ref }) => ref));
}

/** For `--reason`: one line of words. It goes to the audit and to whoever asks for the status. */
export function reason(text: string): string {
  const line = text.trim();
  if (line === "" || line.length > 200 || /\p{Cc}/u.test(line)) {
    throw new InvalidArgumentError("It must be one line of at most 200 characters.");
  }
  return line;
}
