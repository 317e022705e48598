import { verifyChain } from "../core/audit.ts";
import type { Ports } from "../core/ports.ts";
import type { RotationRecord } from "../core/record.ts";
import { isCompromised } from "../core/transition.ts";

export interface Login {
  readonly username: string;
  readonly password: string;
}

export function loginOf(json: string): Login {
  const { username, password }: Login = JSON.parse(json);
  return { username, password };
}

export function isSame(one: Login, other: Login | undefined): boolean {
  return one.username === other?.username && one.password === other.password;
}

/** What must be true when everything has come to rest: one value is accepted, it is current, it has not leaked, and nothing is owed. */
export async function expectSettled(
  ref: string,
  ports: Ports,
  logins: ReadonlyMap<string, Login>,
  accepts: (login: Login) => boolean,
): Promise<void> {
  const record = (await ports.journal.load(ref))?.record;
  if (record === undefined) throw new Error("the record is gone");
  if (record.state.phase !== "idle") throw new Error(`it ends in ${record.state.phase}`);
  if (record.debts.length > 0) throw new Error("a debt is left");
  const current = await ports.store.read(ref, "current");
  if (current === undefined) throw new Error("there is no current version");
  if ((await ports.store.read(ref, "pending")) !== undefined) throw new Error("a candidate is left pending");
  const expected = JSON.stringify(loginOf(current.value.reveal()));
  const live = new Set([...logins.values()].filter(accepts).map((login) => JSON.stringify(login)));
  if (live.size !== 1 || !live.has(expected))
    throw new Error(`${live.size} logins are live, and current alone should be`);
  for (const { version } of record.compromised) {
    const stored = await ports.store.read(ref, { version }).catch(() => undefined);
    const login = logins.get(version) ?? (stored && loginOf(stored.value.reveal()));
    if (login !== undefined && JSON.stringify(login) === expected) throw new Error("current is compromised");
  }
  const { fault } = await verifyChain(ref, ports.audit.read(ref), record.audit);
  if (fault !== undefined) throw new Error(`the audit is broken: ${fault.kind}`);
}

/** Whether there is anything left to do or to tell. */
export function isBusy(record: RotationRecord): boolean {
  const { state, outbox, debts, wish, current } = record;
  const leaked = isCompromised(record, current);
  const unsaid = outbox.entries.length + outbox.events.length > 0;
  return state.phase !== "idle" || debts.length > 0 || wish !== undefined || leaked || unsaid;
}

/** Lets every promise that can go on do so. */
export async function settle(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}
