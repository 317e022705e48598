import fc from "fast-check";
import type pg from "pg";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { asKeyturnError } from "../core/errors.ts";
import type { Rotator } from "../core/rotator.ts";
import { Secret } from "../core/secret.ts";
import { literal, nameBytesMax } from "../rotators/postgres/names.ts";
import { rotator as alternating } from "../rotators/postgres-alternating.ts";
import { rotator as password } from "../rotators/postgres-password.ts";
import { Steps, type Target } from "../rotators/steps.contract.ts";
import { type PostgresServer, startPostgres } from "./postgres-server.ts";
import { createPasswordTarget, createTarget } from "./postgres-target.ts";

/** Values that nobody thought of, on a real server. `SEED` tries others, or a failure again. */
const seed = Number(process.env.SEED ?? 63);
/** Other texts for names than for passwords: what is also somebody's name would be found everywhere. */
const passwords = { numRuns: 100, seed } as const;
const names = { numRuns: 40, seed: seed + 1 } as const;

vi.setConfig({ testTimeout: 180_000 });

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

/** What breaks quoting, and what is no ASCII and yet the same to every client. */
const awkward = fc.oneof(
  fc.constantFrom(..."'\"\\%$;`&|<>{}[]()*?#@!~^=+,:/ _-aZ0"),
  fc.constantFrom("%s", "$$", "E'", "\\'", "--", "/*", "${", " ", "  ", "é", "ß", "密", "🔑", "א"),
);
/** That, what SASLprep maps, drops or forbids, and everything else. */
const odd = fc.oneof(
  awkward,
  fc.constantFrom("\t", "\n", "\u0000", "\u007F", "\u00A0", "\u00AD", "\u200B", "\u2028", "\uFEFF", "\u1680"),
  fc.constantFrom(
    "\u3000",
    "\uFF21",
    "ﬁ",
    "ª",
    "e\u0301",
    "İ",
    "👩‍💻",
    "\u202E",
    "\uFFFD",
    "\u{E0001}",
    "\uD800",
  ),
  fc.string({ unit: "binary", minLength: 1, maxLength: 3 }),
);
const some = fc.array(awkward, { maxLength: 8 });
const text = fc
  .oneof(
    fc.array(awkward, { minLength: 1, maxLength: 24 }),
    // Where there is only one of them, nothing else gives it away.
    fc.tuple(some, odd, some).map(([before, one, after]) => [...before, one, ...after]),
    fc.array(odd, { minLength: 1, maxLength: 24 }),
  )
  .map((parts) => parts.join(""));

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

/**
 * Tries so many values, and says how many were accepted and how many refused. No clock ends it early: what was not tried has not passed. A failure is
 * told as it is, with its seed, before a search for a smaller one could take all the time that there is.
 */
async function tally(
  { numRuns, seed }: { readonly numRuns: number; readonly seed: number },
  come: (chosen: string) => Promise<"accepted" | "refused">,
): Promise<{ readonly accepted: number; readonly refused: number }> {
  const count = { accepted: 0, refused: 0 };
  const property = fc.asyncProperty(text, async (chosen) => {
    count[await come(chosen)] += 1;
  });
  await fc.assert(property, { seed, numRuns, endOnFailure: true });
  expect(count.accepted + count.refused, `seed ${seed}`).toBe(numRuns);
  return count;
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
  `$rotator.type: any password is refused before anything changes, or works for every client (seed ${seed})`,
  async ({ rotator, arrange }) => {
    const target = await arrange();
    const steps = new Steps(rotator, target);
    let live = await steps.first();
    let epoch = 1;
    const { accepted, refused } = await tally(passwords, async (chosen) => {
      const pending = new Secret(JSON.stringify({ ...JSON.parse(live.reveal()), password: chosen }));
      epoch += 1;
      const thrown = await steps.set(epoch, pending).catch(asKeyturnError);
      if (thrown !== undefined) {
        expect(thrown.code).toBe("credential-invalid");
        expect(thrown.message.includes(chosen) && chosen.length > 3).toBe(false);
        expect(await logsIn(JSON.parse(live.reveal()))).toBe(true);
        return "refused";
      }
      await steps.test(epoch, pending);
      expect(await logsIn(JSON.parse(pending.reveal()))).toBe(true);
      // The server prepares a password that it is given in clear: whoever prepares it himself says the same.
      await superuser.query(`ALTER ROLE prepared PASSWORD ${literal(chosen)}`);
      expect(await logsIn({ username: "prepared", password: chosen })).toBe(true);
      live = pending;
      return "accepted";
    });
    expect(Math.min(accepted, refused), `seed ${seed}`).toBeGreaterThan(10);
  },
);

test.each(types)(
  `$rotator.type: any name is refused by the configuration, or rotates under exactly that name (seed ${seed})`,
  async ({ rotator, arrange, field }) => {
    let count = 0;
    const { accepted, refused } = await tally(names, async (chosen) => {
      count += 1;
      const name = cut(`${field}${count}${chosen}`);
      const { host, port } = server;
      const config = { host, port, database: "postgres", [field]: name };
      try {
        rotator.checkConfig(config);
      } catch (thrown) {
        expect(asKeyturnError(thrown).code).toBe("config-invalid");
        return "refused";
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
      return "accepted";
    });
    expect(Math.min(accepted, refused), `seed ${seed}`).toBeGreaterThan(2);
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
