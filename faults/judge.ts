import { type AuditEntry, verifyChain } from "../core/audit.ts";
import type { Ending } from "./cases.ts";
import { dueEnding, objections, type Told } from "./due.ts";
import type { World } from "./world.ts";

interface Verdict {
  readonly ending: Ending;
  readonly why: string;
}

/** What a run came to: what was lost first, then what is stuck or not as it was due, then how it has ended well. */
export async function judge(world: World, told: Told): Promise<Verdict> {
  await world.reader.look("at the end");
  const entries: AuditEntry[] = [];
  for await (const entry of world.ports.audit.read(world.ref)) entries.push(entry);
  const story = `the audit has: ${entries.map(({ action, detail, version }) => `${action} ${version ?? ""} ${detail}`).join(", ")}`;
  const lost = await losses(world, told);
  if (lost.length > 0) return { ending: "lost", why: [...lost, story].join("; ") };
  const stuck = [...(await leftInRecord(world, told, entries)), ...(await leftAtTarget(world))];
  if (stuck.length > 0) return { ending: "stuck", why: [...stuck, story].join("; ") };
  return { ending: dueEnding(told), why: "" };
}

async function losses({ reader, target, ports, ref }: World, { leaked }: Told): Promise<readonly string[]> {
  // Whoever asks for a cut before there is a successor asks for this.
  const asked = (current: string | undefined) => leaked?.cutFirst === true && current === leaked.version;
  const lost = reader.failures.flatMap(({ where, current }) =>
    asked(current) ? [] : [`no credential works ${where}`],
  );
  const current = await reader.current();
  if (current === undefined || !(await target.accepts(current))) lost.push("current is not accepted");
  if (leaked === undefined) return lost;
  const compromised = await ports.store.read(ref, leaked);
  const now = await ports.store.read(ref, "current");
  if (compromised !== undefined && now?.value.equals(compromised.value) === true) {
    lost.push("a compromised value is current");
  }
  return lost;
}

async function leftInRecord(
  world: World,
  told: Told,
  entries: readonly AuditEntry[],
): Promise<readonly string[]> {
  const { ports, ref } = world;
  const record = await world.record();
  const [pending, current] = [await ports.store.read(ref, "pending"), await ports.store.read(ref, "current")];
  const { fault } = await verifyChain(ref, ports.audit.read(ref), record.audit);
  const { outbox, compromised, debts, lease, state } = record;
  const leaks = told.leaked === undefined ? [] : [told.leaked.version];
  const wasUndone = entries.some(({ action, version }) => action === "undo.done" && version === told.first);
  const found: readonly (readonly [string, boolean])[] = [
    [`it is in ${state.phase}`, state.phase !== "idle"],
    ["something is owed", debts.length > 0],
    ["it is still somebody's lease", lease !== undefined],
    ["something is still to be told", outbox.entries.length + outbox.events.length > 0],
    ["a candidate is pending", pending !== undefined],
    ["the record and the store differ on what is current", current?.version !== record.current?.version],
    ["the leak is not proven refused", compromised.some(({ refusedAt }) => refusedAt === undefined)],
    ["the leak is not in the record", compromised.map(({ version }) => version).join() !== leaks.join()],
    ["what was cancelled was not taken back", told.answer === "began" && !wasUndone],
    ["what was not cancelled was taken back", told.answer !== "began" && wasUndone],
    [`the audit's chain is broken: ${fault}`, fault !== undefined],
  ];
  return [...found.flatMap(([what, isSo]) => (isSo ? [what] : [])), ...objections(told, current?.version)];
}

async function leftAtTarget({ reader, target }: World): Promise<readonly string[]> {
  const current = await reader.current();
  const dead = (await reader.live()).filter((value) => value !== current);
  const left = dead.map(() => "a value is accepted that should be refused");
  return [...left, ...(await target.left(current))];
}
