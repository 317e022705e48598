import pg from "pg";
import { expect, test } from "vitest";
import { RevokeResult } from "../../../cli/results/revoke.ts";
import { installation } from "./installation.ts";
import { keyturn } from "./keyturn.ts";
import { atRest, begun, current, letsIn, record } from "./stage.ts";

const { postgres } = installation;
const ref = "revoked/db";
test("`keyturn revoke --leaked` knows a leaked password by its value: refused within the minute, its sessions ended, a successor out", async () => {
  const before = await begun(ref);
  const { username: user, password } = JSON.parse(before.value);
  const { host, port, ca } = postgres;
  const session = new pg.Client({ host, port, user, password, database: "postgres", ssl: { ca } });
  await session.connect();
  const errors: unknown[] = [];
  session.on("error", (error) => errors.push(error));
  const started = Date.now();
  const { code, stdout, stderr } = await keyturn(
    ["revoke", "--leaked", "--yes", "--json"],
    `DATABASE_URL=postgres://${user}:${password}@db.internal/billing\n`,
  );
  const tookMs = Date.now() - started;
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  const { found, revoked, containedMs = Number.NaN, searchedAll } = RevokeResult.parse(JSON.parse(stdout));
  console.log(
    `keyturn revoke --leaked: refused ${containedMs} ms after the value was given; the command took ${tookMs} ms`,
  );
  expect({ found, searchedAll }).toEqual({ found: 1, searchedAll: true });
  const after = await current(ref);
  expect(revoked).toMatchObject([
    { ref, version: before.version, refused: true, sessionsEnded: 1, successor: after?.version },
  ]);
  expect(containedMs).toBeLessThan(60_000);
  expect(after?.version).not.toBe(before.version);
  expect([await letsIn(before.value), await letsIn(after?.value)]).toEqual([false, true]);
  // The server's word that an administrator has ended it.
  expect(errors[0]).toMatchObject({ code: "57P01" });
  await atRest(ref);
  expect((await record(ref))?.compromised).toMatchObject([{ version: before.version }]);
  const said = stdout + stderr;
  for (const value of [password, JSON.parse(after?.value ?? "{}").password]) {
    expect(value.length).toBeGreaterThan(20);
    expect(said).not.toContain(value);
  }
}, 300_000);
