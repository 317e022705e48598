import { expect, test } from "vitest";
import type { Session } from "./connection.ts";
import { cutLogin } from "./sessions.ts";

const login = {
  owner: "app",
  username: "app_a",
  fence: { installation: "i", ref: "r", rotationId: "x", epoch: 1, fingerprint: "f" },
};

/** A server that shows these sessions, one list for each look, and the last one for ever. */
async function cut(looks: readonly (readonly number[])[]): Promise<{ ended: number; slept: number[] }> {
  let look = 0;
  let now = 0;
  const slept: number[] = [];
  const session: Session = {
    authenticated: true,
    usable: true,
    query: async <Row extends object>(text: string): Promise<readonly Row[]> => {
      if (text.startsWith("DO")) return [];
      const pids = looks[Math.min(look++, looks.length - 1)] ?? [];
      return JSON.parse(JSON.stringify(pids.map((pid) => ({ pid }))));
    },
    close: async () => undefined,
  };
  const clock = {
    now: () => now,
    sleep: async (ms: number) => {
      now += ms;
      slept.push(ms);
    },
  };
  const config = {
    host: "db",
    port: 1,
    database: "d",
    tls: {},
    connectTimeoutMs: 1,
    lockTimeoutMs: 1,
    statementTimeoutMs: 1_000,
  };
  const context = { config, clock, signal: new AbortController().signal, log: () => undefined };
  return { ended: await cutLogin(session, login, "retire", context), slept };
}

test("nobody there: there is one more look, soon", async () => {
  expect(await cut([[]])).toEqual({ ended: 0, slept: [20] });
});

test("a session that was being let in when the door was shut is found by the last look", async () => {
  expect(await cut([[], [7], []])).toMatchObject({ ended: 1 });
});

test("each session counts once, however long it takes to end", async () => {
  expect(await cut([[1, 2], [1, 2], [2], []])).toMatchObject({ ended: 2 });
});

test("where somebody was, the last look comes later", async () => {
  expect((await cut([[1], []])).slept.at(-1)).toBe(100);
});

test("sessions that do not end are not waited for without end", async () => {
  await expect(cut([[1, 2]])).rejects.toMatchObject({
    code: "target-busy",
    message: "2 sessions of app_a do not end",
  });
});
