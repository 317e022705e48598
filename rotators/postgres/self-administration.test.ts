import { afterAll, beforeAll, expect, test } from "vitest";
import type { Secret } from "../../core/secret.ts";
import { mostTalkative, type PostgresServer, startPostgres } from "../../integration/postgres-server.ts";
import { createPasswordTarget, type PasswordTarget } from "../../integration/postgres-target.ts";
import { rotator } from "../postgres-password.ts";
import { type StepOptions, Steps } from "../steps.contract.ts";
import { fenceRoleOf } from "./names.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await startPostgres({ maxConnections: 60, settings: mostTalkative });
});

afterAll(async () => {
  await server.stop();
});

const code = (expected: string) => expect.objectContaining({ code: expected });

interface Self {
  readonly target: PasswordTarget;
  readonly steps: Steps;
  readonly value: Secret;
  readonly name: string;
  /** One step of it, with that administering login. */
  by(admin: Secret): StepOptions;
}

/** An administering login that changes itself: not even its own comment may it write. */
async function arrange(attributes = ""): Promise<Self> {
  const target = await createPasswordTarget(server);
  const name = target.administrator.username;
  if (attributes !== "") await target.superuser.query(`ALTER ROLE "${name}" ${attributes}`);
  const config = { ...target.config, username: name };
  const steps = new Steps(rotator, target);
  const by = (admin: Secret): StepOptions => ({ admin, config });
  return { target, steps, value: target.admin, name, by };
}

function adopt({ steps, by }: Self, epoch: number, value: Secret): Promise<void> {
  return steps.run(epoch, value, by(value), async (context) => rotator.adopt?.(value, context));
}

test.each(["", "SUPERUSER"])("it is imported, and rotates from then on; %s", async (attributes) => {
  const self = await arrange(attributes);
  const { target, steps, value, name, by } = self;
  await expect(steps.set(1, await steps.create(value, by(value)), value, by(value))).rejects.toEqual(
    code("not-managed"),
  );
  await adopt(self, 0, value);
  await adopt(self, 0, value);
  const holder = await target.client(value);
  const next = await steps.create(value, by(value));
  await steps.set(1, next, value, by(value));
  await steps.set(1, next, value, by(next));
  await steps.test(1, next, value, by(value));
  expect(await steps.refused(value, by(next))).toBe("refused");
  await holder.query("SELECT");
  expect((await steps.retire(2, value, by(next))).sessionsEnded).toBe(1);
  await expect(holder.query("SELECT")).rejects.toThrow();
  const { rows } = await target.superuser.query(
    "SELECT shobj_description(oid, 'pg_authid') AS comment, rolcanlogin AS login FROM pg_roles WHERE rolname = $1",
    [fenceRoleOf(name)],
  );
  expect(rows).toMatchObject([
    { comment: expect.stringMatching(/^\[keyturn v1 set epoch=1 /), login: false },
  ]);
  const marks = await steps.run(2, next, by(next), async (context) => (await rotator.inspect(context)) ?? []);
  expect(marks).toMatchObject([{ login: name, verb: "set", epoch: 1, seen: 2, accepts: true }]);
  expect((await steps.preflight(by(next))).filter(({ ok }) => !ok)).toEqual([]);
});

test("it is never shut out, and its stale steps change nothing", async () => {
  const self = await arrange();
  const { steps, value, by } = self;
  await adopt(self, 0, value);
  await expect(steps.retire(1, value, by(value))).rejects.toEqual(code("not-proven"));
  const [next, late] = [await steps.create(value, by(value)), await steps.create(value, by(value))];
  await steps.set(3, next, value, by(value));
  await expect(steps.set(2, late, value, by(next))).rejects.toEqual(code("superseded"));
  await expect(steps.set(3, late, value, by(next))).rejects.toEqual(code("fence-conflict"));
  expect(await steps.refused(next, by(next))).toBe("accepted");
});

test("another secret, or another installation, does not get it", async () => {
  const self = await arrange();
  const { steps, value, by } = self;
  await adopt(self, 0, value);
  const next = await steps.create(value, by(value));
  for (const fence of [{ ref: "team/other" }, { installation: "other" }]) {
    await expect(steps.set(5, next, value, { ...by(value), fence })).rejects.toEqual(code("not-managed"));
  }
  expect(await steps.refused(value, by(value))).toBe("accepted");
});

test("who is refused tries what else it may be, as long as there is something", async () => {
  const self = await arrange();
  const { target, steps, value, by } = self;
  await adopt(self, 0, value);
  const next = await steps.create(value, by(value));
  await steps.set(1, next, value, by(value));
  const retire = (others: readonly Secret[]) => {
    const left = [...others];
    return steps.run(2, value, by(value), (context) =>
      rotator.retire(value, { ...context, nextAdmin: async () => left.shift() }),
    );
  };
  await expect(retire([])).rejects.toEqual(code("admin-refused"));
  await expect(retire([target.wrongAdmin])).rejects.toEqual(code("admin-refused"));
  expect(await retire([target.wrongAdmin, next])).toEqual({ sessionsEnded: 0, survives: [] });
  for (const said of steps.said) for (const secret of steps.secrets) expect(said).not.toContain(secret);
});
