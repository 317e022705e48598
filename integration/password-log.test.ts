import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Secret } from "../core/secret.ts";
import { rotator } from "../rotators/postgres-password.ts";
import { openNetwork, type Trace } from "./network-world.ts";
import { mostTalkative, type PostgresServer, startPostgres } from "./postgres-server.ts";
import { createPasswordTarget, type PasswordTarget } from "./postgres-target.ts";

/** The log of a server at its most talkative, while somebody else rotates the one password of a role. */
let server: PostgresServer;
let target: PasswordTarget;

beforeAll(async () => {
  server = await startPostgres({ settings: mostTalkative });
  target = await createPasswordTarget(server);
});

afterAll(async () => {
  await target.superuser.end();
  await server.stop();
});

/** All that the server has said so far, of which the last is by a statement of that session. */
async function logOnce(value: Secret, said: string): Promise<string> {
  const session = await target.client(value);
  await session.query("SELECT $1::text", [said]);
  await session.end();
  const read = () => readFile(server.logPath, "latin1");
  await expect.poll(read, { timeout: 20_000 }).toContain(said);
  return read();
}

const passwordOf = (value: Secret): string => JSON.parse(value.reveal()).password;

test("no rotation of one password leaves a value in it: to the end, taken back, or brought back", async () => {
  // Enough for a server that has so much to write: it is not time that is tried here.
  const limits = { connectTimeoutMs: 10_000, lockTimeoutMs: 5_000, statementTimeoutMs: 10_000 };
  const policy = { stepDeadlineMs: 30_000, graceAtLeastMs: 600_000, graceAtMostMs: 600_000 };
  await using world = await openNetwork(rotator, target, { limits, policy });
  const values = new Set<Secret>();
  const trace: Trace = async (_, carryOut) => {
    const outcome = await carryOut();
    for (const value of [await world.pending(), await world.current()])
      if (value !== undefined) values.add(value);
    return outcome;
  };
  const come = async (to: string): Promise<void> => {
    while ((await world.record()).state.phase !== to) await world.step(trace);
  };

  await world.ask("rotate");
  await world.settle(trace);
  await world.ask("rotate");
  await come("test");
  await world.ask("cancel");
  await come("idle");
  await world.ask("rotate");
  await come("grace");
  await world.ask("rollback");
  await come("finish");
  await come("grace");
  await world.ask("retire");
  await come("idle");
  expect((await world.record()).debts).toEqual([]);
  const current = await world.current();
  if (current === undefined) throw new Error("nothing is current");

  const passwords = [...new Set([...values].map(passwordOf)), target.administrator.password];
  // The one that is brought back is the first one.
  expect(passwords).toHaveLength(4);
  const log = await logOnce(current, "the end of what was rotated");
  // It was as talkative as it can be about each of the statements.
  expect(log).toMatch(new RegExp(`ALTER ROLE "?${target.username}`));
  for (const told of ["DEBUG: ", "parse tree:", "rewritten parse tree:", "plan:"])
    expect(log).toContain(told);
  const forms = passwords.flatMap((one) => [one, encodeURIComponent(one), btoa(one).replaceAll("=", "")]);
  expect(forms.some((form) => log.includes(form))).toBe(false);

  // Of what a session says, its log is silent about nothing: the search finds what is there.
  const planted = randomBytes(18).toString("base64url");
  expect(await logOnce(current, planted)).toContain(planted);
});
