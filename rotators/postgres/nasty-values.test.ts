import { afterAll, beforeAll, expect, test } from "vitest";
import { Secret } from "../../core/secret.ts";
import nasty from "../../integration/fixtures/nasty-values.json" with { type: "json" };
import { type PostgresServer, startPostgres } from "../../integration/postgres-server.ts";
import { createTarget, type PostgresTarget } from "../../integration/postgres-target.ts";
import { rotator } from "../postgres-alternating.ts";
import { Steps } from "../steps.contract.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await startPostgres({ maxConnections: 100 });
});

afterAll(async () => {
  await server.stop();
});

async function arrange(options: { owner?: string } = {}): Promise<[PostgresTarget, Steps]> {
  const target = await createTarget(server, options);
  return [target, new Steps(rotator, target)];
}

const passwords: readonly { name: string; value: string; mustBe: string }[] = nasty.passwords;
const usernames: readonly { name: string; value: string; mustBe: string }[] = nasty.usernames;

function withPassword(value: Secret, password: string): Secret {
  return new Secret(JSON.stringify({ ...JSON.parse(value.reveal()), password }));
}

test.each(passwords)("a stored password: $name", async ({ value, mustBe }) => {
  const [target, steps] = await arrange();
  const pending = withPassword(await steps.create(), value);
  if (mustBe.startsWith("refused")) {
    await expect(steps.set(1, pending)).rejects.toMatchObject({ code: "credential-invalid" });
    const { rowCount } = await target.superuser.query("SELECT FROM pg_roles WHERE rolname = $1", [
      target.slots[0],
    ]);
    expect(rowCount).toBe(0);
    return;
  }
  await steps.set(1, pending);
  await steps.test(1, pending);
  await (await target.client(pending)).end();
  expect(await steps.refused(withPassword(pending, `${value}x`))).toBe("refused");
});

test.each(usernames)("an owner role's name: $name", async ({ value: owner, mustBe }) => {
  if (mustBe.startsWith("refused")) {
    const config = { host: "localhost", database: "postgres", owner };
    expect(() => rotator.checkConfig(config)).toThrow(/owner: /);
    return;
  }
  const [target, steps] = await arrange({ owner });
  const one = await steps.first();
  const two = await steps.create(one);
  await steps.set(2, two, one);
  await steps.test(2, two, one);
  const agent = await target.client(two);
  expect((await agent.query("SELECT current_user AS me")).rows).toEqual([{ me: owner }]);
  await steps.retire(3, one);
  expect(await steps.refused(one)).toBe("refused");
  expect((await steps.preflight()).filter(({ ok }) => !ok)).toEqual([]);
  await agent.end();
});
