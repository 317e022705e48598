import fc from "fast-check";
import type pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { asKeyturnError } from "../../core/errors.ts";
import type { Rotator } from "../../core/rotator.ts";
import { Secret } from "../../core/secret.ts";
import { type PostgresServer, startPostgres } from "../../integration/postgres-server.ts";
import { createPasswordTarget, createTarget } from "../../integration/postgres-target.ts";
import { rotator as alternating } from "../postgres-alternating.ts";
import { rotator as password } from "../postgres-password.ts";
import { Steps, type Target } from "../steps.contract.ts";
import { literal, nameBytesMax } from "./names.ts";

/** Values that nobody thought of, on a real server. `SEED` tries others, or a failure again; what does not fit into the time is left out. */
const seed = Number(process.env.SEED ?? 63);
const bounded = { seed, interruptAfterTimeLimit: 3_000 } as const;

let server: PostgresServer;
let superuser: pg.Client;

beforeAll(async () => {
  server = await startPostgres({ maxConnections: 60 });
  superuser = await server.client();
  await superuser.query("CREATE ROLE prepared LOGIN");
});

afterAll(async () => {
  await superuser.end();
  await server.stop();
});

/** What breaks quoting, what SASLprep maps, drops or forbids, and everything else. */
const odd = fc.oneof(
  fc.constantFrom(..."'\"\\%$;`&|<>{}[]()*?#@!~^=+,:/ _-aZ0"),
  fc.constantFrom("%s", "$$", "E'", "\\'", "--", "/*", "${", " ", "  ", "\t", "\n", "\u0000", "\u007F"),
  fc.constantFrom("\u00A0", "\u00AD", "\u200B", "\u2028", "\uFEFF", "\u1680", "\u3000", "\uFF21", "ﬁ", "ª"),
  fc.constantFrom(
    "é",
    "e\u0301",
    "ß",
    "İ",
    "密",
    "🔑",
    "👩‍💻",
    "\u202E",
    "א",
    "\uFFFD",
    "\u{E0001}",
    "\uD800",
  ),
  fc.string({ unit: "binary", minLength: 1, maxLength: 3 }),
);
const text = fc.array(odd, { minLength: 1, maxLength: 24 }).map((parts) => parts.join(""));

const types: readonly {
  readonly rotator: Rotator;
  readonly arrange: (name?: string) => Promise<Target & { roleOf(value: Secret): string }>;
  readonly field: string;
}[] = [
  {
    rotator: alternating,
    field: "owner",
    arrange: async (owner) => ({
      ...(await createTarget(server, owner === undefined ? {} : { owner })),
      roleOf: usernameOf,
    }),
  },
  {
    rotator: password,
    field: "username",
    arrange: async (username) => ({
      ...(await createPasswordTarget(server, username === undefined ? {} : { username })),
      roleOf: usernameOf,
    }),
  },
];

function usernameOf(value: Secret): string {
  return JSON.parse(value.reveal()).username;
}

async function logsIn(login: { username: string; password: string }): Promise<boolean> {
  try {
    const client = await server.client(login);
    await client.end();
    return true;
  } catch {
    return false;
  }
}

test.each(types)(
  "$rotator.type: any password is refused before anything changes, or works for every client",
  async ({ rotator, arrange }) => {
    const target = await arrange();
    const steps = new Steps(rotator, target);
    let live = await steps.first();
    let epoch = 1;
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(text, async (chosen) => {
        const pending = new Secret(JSON.stringify({ ...JSON.parse(live.reveal()), password: chosen }));
        epoch += 1;
        const thrown = await steps.set(epoch, pending).catch(asKeyturnError);
        if (thrown !== undefined) {
          expect(thrown.code).toBe("credential-invalid");
          expect(thrown.message.includes(chosen) && chosen.length > 3).toBe(false);
          expect(await logsIn(JSON.parse(live.reveal()))).toBe(true);
          return;
        }
        await steps.test(epoch, pending);
        expect(await logsIn(JSON.parse(pending.reveal()))).toBe(true);
        // The server prepares a password that it is given in clear: whoever prepares it himself says the same.
        await superuser.query(`ALTER ROLE prepared PASSWORD ${literal(chosen)}`);
        expect(await logsIn({ username: "prepared", password: chosen })).toBe(true);
        live = pending;
        accepted += 1;
      }),
      { ...bounded, numRuns: 50 },
    );
    expect(accepted).toBeGreaterThan(0);
  },
);

test.each(types)(
  "$rotator.type: any name is refused by the configuration, or rotates under exactly that name",
  async ({ rotator, arrange, field }) => {
    let count = 0;
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(text, async (chosen) => {
        count += 1;
        const name = cut(`${field}${count}${chosen}`);
        const { host, port } = server;
        const config = { host, port, database: "postgres", [field]: name };
        try {
          rotator.checkConfig(config);
        } catch (thrown) {
          expect(asKeyturnError(thrown).code).toBe("config-invalid");
          return;
        }
        const target = await arrange(name);
        const steps = new Steps(rotator, target);
        const one = await steps.first();
        const two = await steps.create(one);
        await steps.set(2, two, one);
        await steps.test(2, two, one);
        await steps.retire(3, one);
        expect(await steps.refused(one)).toBe("refused");
        expect(await logsIn(JSON.parse(two.reveal()))).toBe(true);
        const { rowCount } = await superuser.query("SELECT FROM pg_roles WHERE rolname = ANY ($1)", [
          [name, target.roleOf(two)],
        ]);
        expect(rowCount).toBe(new Set([name, target.roleOf(two)]).size);
        accepted += 1;
      }),
      { ...bounded, numRuns: 25 },
    );
    expect(accepted).toBeGreaterThan(0);
  },
);

/** So much of it as a role's name may have, and no half of a pair. */
function cut(name: string): string {
  let kept = "";
  for (const character of name.toWellFormed()) {
    if (Buffer.byteLength(kept + character) > nameBytesMax) break;
    kept += character;
  }
  return kept;
}

test("an owner whose name is another owner's login: neither takes the other's", async () => {
  const first = await createTarget(server, { owner: "twin" });
  const other = await createTarget(server, { owner: "twin_a" });
  const comments = async () =>
    (
      await superuser.query(
        `SELECT rolname, rolcanlogin, shobj_description(oid, 'pg_authid') AS comment FROM pg_roles WHERE rolname LIKE 'twin%' ORDER BY 1`,
      )
    ).rows;
  const others = new Steps(alternating, other);
  const live = await others.first();
  const before = await comments();
  const steps = new Steps(alternating, first);
  const pending = await steps.create();
  expect(usernameOf(pending)).toBe("twin_a");
  const blocked = (await steps.preflight()).filter(({ ok }) => !ok);
  expect(blocked.map(({ check, code }) => `${check}: ${code}`)).toContain("login twin_a: not-managed");
  await expect(steps.set(1, pending)).rejects.toMatchObject({ code: "not-managed" });
  await expect(steps.retire(2, pending)).rejects.toMatchObject({ code: "not-managed" });
  expect(await comments()).toEqual(before);
  expect(await logsIn(JSON.parse(live.reveal()))).toBe(true);

  // Nor does a secret of one role with one password take a login of an owner's pair.
  const single = await createPasswordTarget(server, { username: "twin_a_a" });
  const value = await new Steps(password, single).create();
  await expect(new Steps(password, single).set(9, value)).rejects.toMatchObject({
    code: "admin-lacks-rights",
  });
  expect(await comments()).toEqual(before);
});
