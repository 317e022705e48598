import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CommandPlace } from "../command-place.ts";
import { type PostgresServer, startPostgres } from "../postgres-server.ts";

/** Two installations are given one role, which is the first one's: what each is told, what each may do, and how the role goes over to the other. */
const adminPassword = "canary-two-installations-admin-6Rw4";
const ref = "billing/db";

interface Login {
  readonly username: string;
  readonly password: string;
}

interface Report {
  readonly healthy: boolean;
  readonly secrets: readonly {
    readonly fixed: boolean;
    readonly diagnoses: readonly {
      readonly ailment: string;
      readonly what: string;
      readonly advice: string;
    }[];
  }[];
}

let server: PostgresServer;
let superuser: pg.Client;

beforeAll(async () => {
  server = await startPostgres();
  superuser = await server.client();
  await superuser.query(`CREATE ROLE keyturn_admin LOGIN CREATEROLE PASSWORD '${adminPassword}'`);
});

afterAll(async () => {
  await superuser.end();
  await server.stop();
});

describe.each([
  ["two logins that take turns", "turn"],
  ["one role with one password", "place"],
])("%s", (_, kind) => {
  let mine: CommandPlace;
  let theirs: CommandPlace;
  const claimed = kind === "turn" ? ["turn_a", "turn_b"] : ["place"];
  /** Of two logins one is shut. */
  const cleared = async (login: string): Promise<string> =>
    (await mine.current(ref)).username === login
      ? `take the mark of Keyturn off ${login}`
      : `remove ${login}, which is shut,`;

  beforeAll(async () => {
    [mine, theirs] = [new CommandPlace(server, adminPassword), new CommandPlace(server, adminPassword)];
    for (const place of [mine, theirs]) {
      if (kind === "turn") await place.init(ref, "turn");
      else {
        await place.init("another/db", "another");
        place.manage(ref, "db-admin", { username: "place", create: true });
      }
    }
    await mine.json(["rotate", ref, "--wait"]);
    await mine.json(["rotate", ref, "--wait"]);
  });

  afterAll(() => {
    for (const place of [mine, theirs]) {
      expect(place.leaked()).toEqual([]);
      place.remove();
    }
  });

  test("the newcomer is told whose the role is and what to do, and nothing that it tries changes anything", async () => {
    const current = await mine.current(ref);
    await expectClaimed(theirs, claimed);
    for (const args of [
      ["rotate", ref, "--wait"],
      ["rotate", ref, "--wait"],
      ["import", ref],
    ]) {
      const input = args[0] === "import" ? JSON.stringify(current) : "";
      await expectRefused(theirs, args, input);
      expect(await mine.current(ref)).toEqual(current);
      expect(await mine.logsIn(current)).toBe(true);
    }
    await expectClaimed(theirs, claimed);
  });

  test("the one whose it is hears of nothing wrong, for nothing is, and rotates as ever", async () => {
    expect(await mine.json<Report>(["doctor", ref])).toMatchObject({ healthy: true });
    expect(await mine.json<Report>(["doctor", ref, "--fix"])).toMatchObject({ healthy: true });
    await expectRotates(mine);
    expect(await mine.json<Report>(["doctor", ref])).toMatchObject({ healthy: true });
  });

  test("both rotate at once: the one whose it is gets there, and the other is refused", async () => {
    const old = await mine.current(ref);
    const both = [mine, theirs].map((place) => place.keyturn(["rotate", ref, "--wait"]));
    const [done, refused] = await Promise.all(both);
    expect(done).toMatchObject({ code: 0 });
    expect(refused).toMatchObject({ code: 3 });
    const current = await mine.current(ref);
    expect([await mine.logsIn(old), await mine.logsIn(current)]).toEqual([false, true]);
  });

  test("it is handed over as the advice says: then the other rotates, and the first is told, and changes nothing", async () => {
    const { username, password } = await mine.current(ref);
    for (const login of claimed)
      await superuser.query(login === username ? `COMMENT ON ROLE ${login} IS NULL` : `DROP ROLE ${login}`);
    const imported = await theirs.json(["import", ref], { input: JSON.stringify({ username, password }) });
    expect(imported).toMatchObject({ answer: "imported" });
    await expectClaimed(mine, [username]);
    await expectRefused(mine, ["rotate", ref, "--wait"]);
    expect(await mine.logsIn({ username, password })).toBe(true);
    await expectRotates(theirs);
    expect(await theirs.json<Report>(["doctor", ref])).toMatchObject({ healthy: true });
    // What the first has in its store is refused now; it is told so, and nobody is let in again by its doing.
    await expectRefused(mine, ["rotate", ref, "--wait"]);
    const told = await mine.json<Report>(["doctor", ref, "--fix"], { code: 6 });
    expect(told.secrets).toMatchObject([{ fixed: false }]);
    expect(await mine.logsIn({ username, password })).toBe(false);
    expect(await theirs.logsIn(await theirs.current(ref))).toBe(true);
    expect(await theirs.json<Report>(["doctor", ref])).toMatchObject({ healthy: true });
  });

  /** The doctor names each login that is another's, leaves it alone, and says what a person does. */
  async function expectClaimed(place: CommandPlace, logins: readonly string[]): Promise<void> {
    for (const args of [
      ["doctor", ref],
      ["doctor", ref, "--fix"],
    ]) {
      const { secrets } = await place.json<Report>(args, { code: 6 });
      const found = secrets.flatMap(({ diagnoses }) => diagnoses);
      expect(secrets).toMatchObject([{ fixed: false }]);
      const said = found.filter(({ ailment }) => ailment === "other-installation");
      const clearing = new Map<string, string>();
      for (const login of logins) clearing.set(login, await cleared(login));
      expect(said).toEqual(
        logins.map((login) => ({
          ailment: "other-installation",
          what: expect.stringMatching(
            new RegExp(`^${login} is marked by secret billing/db of installation \\S+; this is \\S+$`),
          ),
          advice: `Two installations claim one login. Take the secret out of the manifest of the one that is not to have it, or give each a login of its own. To hand it over, ${clearing.get(login)} at the target, and \`keyturn import billing/db\` in the one that is to have it.`,
        })),
      );
    }
  }

  async function expectRefused(place: CommandPlace, args: readonly string[], input = ""): Promise<void> {
    const ended = await place.keyturn(args, input);
    expect(ended).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/belongs to secret billing\/db of installation/),
    });
  }

  async function expectRotates(place: CommandPlace): Promise<void> {
    const old: Login = await place.current(ref);
    expect(await place.json(["rotate", ref, "--wait"])).toMatchObject({ rotated: true, debts: 0 });
    expect([await place.logsIn(old), await place.logsIn(await place.current(ref))]).toEqual([false, true]);
  }
});
