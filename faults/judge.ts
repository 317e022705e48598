import { setTimeout as sleep } from "node:timers/promises";
import { verifyChain } from "../core/audit.ts";
import type { PostgresServer } from "../integration/postgres-server.ts";
import type { Ending } from "./cases.ts";
import type { Told } from "./run.ts";
import type { World } from "./world.ts";

interface Verdict {
  readonly ending: Ending;
  readonly why: string;
}

/** A session of a process that was killed ends when the server notices. */
const patienceMs = 5_000;

/** What a run came to: what was lost first, then what is stuck, then how it has ended well. */
export async function judge(world: World, server: PostgresServer, told: Told): Promise<Verdict> {
  await world.reader.look("at the end");
  const lost = await losses(world, told);
  const story = `the audit has: ${(await audited(world)).join(", ")}`;
  if (lost.length > 0) return { ending: "lost", why: [...lost, story].join("; ") };
  const stuck = [...(await leftInRecord(world, told)), ...(await leftAtTarget(world, server))];
  if (stuck.length > 0) return { ending: "stuck", why: [...stuck, story].join("; ") };
  return { ending: told.cancelled === true ? "undone" : "converged", why: "" };
}

async function audited({ ports, ref }: World): Promise<readonly string[]> {
  const actions: string[] = [];
  for await (const { action, detail, version } of ports.audit.read(ref))
    actions.push(`${action} ${version ?? ""} ${detail}`);
  return actions;
}

async function losses({ reader, ports, ref }: World, { leaked }: Told): Promise<readonly string[]> {
  const lost = reader.failures.map((where) => `no credential works ${where}`);
  const current = await reader.current();
  if (current === undefined || !(await reader.accepts(current))) lost.push("current is not accepted");
  if (leaked === undefined) return lost;
  const compromised = await ports.store.read(ref, leaked);
  const now = await ports.store.read(ref, "current");
  if (compromised !== undefined && now?.value.equals(compromised.value) === true) {
    lost.push("a compromised value is current");
  }
  return lost;
}

async function leftInRecord(world: World, told: Told): Promise<readonly string[]> {
  const { ports, ref } = world;
  const record = await world.record();
  const [pending, current] = [await ports.store.read(ref, "pending"), await ports.store.read(ref, "current")];
  const { fault } = await verifyChain(ref, ports.audit.read(ref), record.audit);
  const { outbox, compromised, debts } = record;
  const expected = told.leaked === undefined ? (told.second ?? told.first) : undefined;
  const found: readonly (readonly [string, boolean])[] = [
    [`it is in ${record.state.phase}`, record.state.phase !== "idle"],
    ["something is owed", debts.length > 0],
    ["it is still somebody's lease", record.lease !== undefined],
    ["something is still to be told", outbox.entries.length + outbox.events.length > 0],
    ["a candidate is pending", pending !== undefined],
    ["the record and the store differ on what is current", current?.version !== record.current?.version],
    [
      "another version is current than was asked for",
      expected !== undefined && current?.version !== expected,
    ],
    ["what was cancelled is current", told.cancelled === true && current?.version === told.first],
    ["the leak is not proven refused", compromised.some(({ refusedAt }) => refusedAt === undefined)],
    ["the leak is not in the record", compromised.length !== (told.leaked === undefined ? 0 : 1)],
    [`the audit's chain is broken: ${fault}`, fault !== undefined],
  ];
  return found.flatMap(([what, isSo]) => (isSo ? [what] : []));
}

async function leftAtTarget({ reader, target }: World, server: PostgresServer): Promise<readonly string[]> {
  const current = await reader.current();
  const live = await reader.live();
  const dead = live.filter(({ password }) => password !== current?.password);
  const left = dead.map(({ username }) => `a value of ${username} is accepted that should be refused`);
  const superuser = await server.client();
  try {
    const { rows: roles } = await superuser.query<{ rolname: string; rolcanlogin: boolean }>(
      "SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname ~ ('(^|_)(' || $1 || ')(_|$)')",
      [target.bases.join("|")],
    );
    for (const { rolname, rolcanlogin } of roles) {
      if (!target.roles.includes(rolname)) left.push(`the role ${rolname} was left behind`);
      const mayLogIn = rolname === current?.username || target.mayLogIn.includes(rolname);
      if (rolcanlogin && !mayLogIn) left.push(`the role ${rolname} may log in`);
    }
    const giveUpAt = performance.now() + patienceMs;
    for (;;) {
      // Whoever has no session holds no lock.
      const { rows } = await superuser.query<{ usename: string }>(
        "SELECT usename FROM pg_stat_activity WHERE usename = ANY($1)",
        [target.roles],
      );
      if (rows.length === 0) return left;
      if (performance.now() > giveUpAt)
        return [...left, `${rows.length} sessions of ${rows[0]?.usename} are left`];
      await sleep(20);
    }
  } finally {
    await superuser.end();
  }
}
