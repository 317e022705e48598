import { createServer, type Server, type Socket } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Secret } from "../../core/secret.ts";
import { createAuthority } from "../../integration/certificates.ts";
import { type PostgresServer, startPostgres } from "../../integration/postgres-server.ts";
import { createTarget, type PostgresTarget } from "../../integration/postgres-target.ts";
import { rotator } from "../postgres-alternating.ts";
import { Steps } from "../steps.contract.ts";

let server: PostgresServer;
let target: PostgresTarget;
let steps: Steps;

beforeAll(async () => {
  const hba = (login: string, method: string) => `hostssl all ${login} 127.0.0.1/32 ${method}`;
  server = await startPostgres({
    hba: [hba("trusted_a", "trust"), hba("clear_a", "password"), hba("barred_a", "reject")],
  });
  target = await createTarget(server);
  steps = new Steps(rotator, target);
});

afterAll(async () => {
  await server.stop();
});

const code = (expected: string) => expect.objectContaining({ code: expected });

/** A credential of an owner role of that name, set. */
async function liveOf(owner: string): Promise<[Steps, Secret]> {
  const mine = new Steps(rotator, await createTarget(server, { owner }));
  const value = await mine.create();
  await mine.set(1, value);
  return [mine, value];
}

test("a login that is let in without its password has proven nothing", async () => {
  const [mine, value] = await liveOf("trusted");
  await expect(mine.test(1, value)).rejects.toEqual(code("not-authenticated"));
  // Whatever the password: so nothing that is said of it here can be believed.
  const wrong = new Secret(JSON.stringify({ ...JSON.parse(value.reveal()), password: "no-such-password" }));
  expect(await mine.refused(wrong)).toBe("accepted");
  await mine.retire(2, value);
  // Under trust, a login is refused only by being no login any more, which the administrator sees.
  expect(await mine.refused(value)).toBe("refused");
});

test("a server that asks for the password in clear does not get it", async () => {
  const [mine, value] = await liveOf("clear");
  await expect(mine.test(1, value)).rejects.toEqual(code("not-authenticated"));
  expect(await mine.refused(value)).toBe("unknown");
});

test("a login that the server's rules leave out is not proven refused", async () => {
  const [mine, value] = await liveOf("barred");
  await expect(mine.test(1, value)).rejects.toEqual(code("login-refused"));
  expect(await mine.refused(value)).toBe("unknown");
});

test.each([
  ["another authority", () => ({ ca: createAuthority("somebody else").certificate })],
  ["no authority at all", () => ({})],
  ["another name", () => ({ ca: server.ca, servername: "db.example" })],
])("a certificate is checked: %s", async (_, tls) => {
  const config = { ...target.config, tls: tls() };
  await expect(steps.set(1, await steps.create(), undefined, { config })).rejects.toEqual(code("tls-failed"));
});

test("the name in the certificate is checked for an address too", async () => {
  const config = { ...target.config, host: "127.0.0.1", tls: { ca: server.ca } };
  const value = await steps.create(undefined, { config });
  await steps.set(1, value, undefined, { config });
  await steps.test(1, value, undefined, { config });
  const other = { ...config, tls: { ca: createAuthority().certificate } };
  await expect(steps.test(1, value, undefined, { config: other })).rejects.toEqual(code("tls-failed"));
});

test("an authority that cannot be read is a fault of the configuration", async () => {
  const config = { ...target.config, tls: { ca: "/nowhere/ca.pem" } };
  const error = expect.objectContaining({
    code: "config-invalid",
    message: expect.stringContaining("/nowhere/ca.pem"),
  });
  await expect(steps.set(1, await steps.create(), undefined, { config })).rejects.toEqual(error);
});

test("a database that does not exist is a fault of the configuration", async () => {
  const config = { ...target.config, database: "nowhere" };
  await expect(steps.set(1, await steps.create(), undefined, { config })).rejects.toEqual(
    code("config-invalid"),
  );
});

test("a server without TLS, one that is silent, and one that hangs up are told apart", async () => {
  const answers: [string, string, (socket: Socket) => void][] = [
    ["tls-failed", "does not support SSL", (socket) => socket.once("data", () => socket.write("N"))],
    ["unreachable", "no answer in time", () => undefined],
    ["unreachable", "", (socket) => socket.once("data", () => socket.destroy())],
  ];
  for (const [expected, words, answer] of answers) {
    const [stub, port] = await listen(answer);
    try {
      const config = { ...target.config, port, connectTimeoutMs: 200 };
      const error = expect.objectContaining({ code: expected, message: expect.stringContaining(words) });
      await expect(steps.set(1, await steps.create(), undefined, { config })).rejects.toEqual(error);
    } finally {
      stub.close();
    }
  }
});

test("a statement that takes too long is given up", async () => {
  const value = await steps.create();
  const config = { ...target.config, statementTimeoutMs: 100, probe: "SELECT pg_sleep(60)" };
  await steps.set(5, value);
  // By the server, so that nothing goes on there.
  const error = expect.objectContaining({
    code: "timeout",
    message: expect.stringContaining("statement timeout"),
  });
  await expect(steps.test(5, value, undefined, { config })).rejects.toEqual(error);
});

test("a server that freezes under a statement is given up by our own clock", async () => {
  const value = await steps.create();
  const config = { ...target.config, statementTimeoutMs: 400, probe: "SELECT pg_sleep(1) AS frozen" };
  await steps.set(6, value);
  const asked = steps.test(6, value, undefined, { config });
  const failed = expect(asked).rejects.toEqual(code("unreachable"));
  await expect.poll(isProbing, { interval: 5 }).toBe(true);
  server.kill("SIGSTOP");
  const began = performance.now();
  try {
    await failed;
    expect(performance.now() - began).toBeLessThan(5_000);
  } finally {
    server.kill("SIGCONT");
  }
});

async function isProbing(): Promise<boolean> {
  const { rowCount } = await target.superuser.query(
    "SELECT FROM pg_stat_activity WHERE query LIKE '%AS frozen' AND state = 'active'",
  );
  return rowCount === 1;
}

test("the administering session is one for all verbs of a step, and made again when it was torn", async () => {
  const value = await steps.create();
  await steps.run(9, value, {}, async (context) => {
    await rotator.set({ pending: value, current: undefined }, context);
    await rotator.usage(value, context);
    const [first, ...others] = await administrators();
    expect(others).toEqual([]);
    await target.superuser.query("SELECT pg_terminate_backend($1)", [first]);
    await expect.poll(administrators).toEqual([]);
    await settled();
    await rotator.usage(value, context);
    expect(await administrators()).not.toContain(first);
  });
  await expect.poll(administrators).toEqual([]);
});

/**
 * A server says farewell before it forgets a session, so its word has come by the time that it knows of none. It is read at the latest before the
 * next turn; until then a statement would still be sent on that connection, and fail with it, which the core tries again.
 */
async function settled(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}

async function administrators(): Promise<readonly number[]> {
  const { rows } = await target.superuser.query(
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'keyturn'",
  );
  return rows.map(({ pid }) => pid);
}

test("a server that has no connection left is busy", async () => {
  const value = await steps.create();
  await steps.set(10, value);
  await steps.test(10, value);
  await target.superuser.query(`ALTER ROLE "${target.slots[0]}" CONNECTION LIMIT 0`);
  await expect(steps.test(10, value)).rejects.toEqual(code("target-busy"));
  expect(await steps.refused(value)).toBe("unknown");
});

test("nothing stays open after all that", async () => {
  await expect.poll(administrators).toEqual([]);
});

async function listen(answer: (socket: Socket) => void): Promise<[Server, number]> {
  const stub = createServer((socket) => {
    socket.on("error", () => undefined);
    answer(socket);
  });
  await new Promise<void>((resolve) => stub.listen(0, "127.0.0.1", () => resolve()));
  const address = stub.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return [stub, address.port];
}
