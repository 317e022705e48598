import { afterAll, beforeAll, expect, test } from "vitest";
import { Secret } from "../../core/secret.ts";
import nasty from "../../integration/fixtures/nasty-values.json" with { type: "json" };
import { type PostgresServer, startPostgres } from "../../integration/postgres-server.ts";
import {
  createPasswordTarget,
  createTarget,
  type PostgresTarget,
} from "../../integration/postgres-target.ts";
import { rotator } from "../postgres-alternating.ts";
import { rotator as passwordRotator } from "../postgres-password.ts";
import { Steps } from "../steps.contract.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await startPostgres({ maxConnections: 100 });
});

afterAll(async () => {
  await server.stop();
});

async function arrange(): Promise<[PostgresTarget, Steps]> {
  const target = await createTarget(server);
  return [target, new Steps(rotator, target)];
}

const passwords: readonly { name: string; value: string; mustBe: string }[] = nasty.passwords;

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

test.each(passwords)("the stored password of one role: $name", async ({ value, mustBe }) => {
  const target = await createPasswordTarget(server);
  const steps = new Steps(passwordRotator, target);
  const pending = withPassword(await steps.create(), value);
  if (mustBe.startsWith("refused")) {
    await expect(steps.set(1, pending)).rejects.toMatchObject({ code: "credential-invalid" });
    // Nor is it replaced: it could not be set back.
    await expect(steps.create(pending)).rejects.toMatchObject({ code: "credential-invalid" });
    return;
  }
  await steps.set(1, pending);
  await steps.test(1, pending);
  const next = await steps.create(pending);
  await steps.set(2, next, pending);
  expect(await steps.refused(pending)).toBe("refused");
  await steps.set(3, pending, next);
  expect(await steps.refused(pending)).toBe("accepted");
});
