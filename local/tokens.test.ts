import { readFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import { beforeEach, describe, expect, test } from "vitest";
import { filesIn, temporaryFolder } from "./folder.contract.ts";
import { steppedClock } from "./memory.ts";
import { systemRandom } from "./random.ts";
import { openTokens } from "./tokens.ts";

describe("agents' tokens", () => {
  let folder: string;
  let clock: ReturnType<typeof steppedClock>;
  let tokens: Awaited<ReturnType<typeof openTokens>>;
  beforeEach(async () => {
    folder = temporaryFolder();
    clock = steppedClock(1_000);
    tokens = await openTokens(join(folder, "tokens.db"), true, { clock, random: systemRandom });
    return () => tokens[Symbol.dispose]();
  });
  const fleets = ["agents", "reports"];
  const enrol = async (principal: string, expiresAt?: number) =>
    (await tokens.enrol({ principal, fleets, expiresAt })).reveal();

  test("a token says who speaks, for which fleets", async () => {
    const token = await enrol("host-1");
    expect(await tokens.authenticate(token)).toEqual({ principal: "host-1", fleets });
    expect(token).toMatch(/^keyturn-agent-[\w-]{43}$/);
  });

  test.each([
    ["nothing", ""],
    ["a guess", `keyturn-agent-${"A".repeat(43)}`],
    ["a hash", "a".repeat(64)],
  ])("%s authenticates nobody", async (_, guess) => {
    await enrol("host-1");
    expect(await tokens.authenticate(guess)).toBeUndefined();
  });

  test("what is stored authenticates nobody, and the token is nowhere in it", async () => {
    const token = await enrol("host-1");
    const stored = filesIn(folder)
      .map(({ path }) => readFileSync(path, "latin1"))
      .join("");
    const hash = /[0-9a-f]{64}/.exec(stored)?.[0] ?? "";
    expect(hash).not.toBe("");
    expect(await tokens.authenticate(hash)).toBeUndefined();
    expect(stored).not.toContain(token.slice(14));
    expect(inspect(await tokens.enrol({ principal: "host-2", fleets }))).toBe("[secret]");
  });

  test("a token ends when it was said to", async () => {
    const token = await enrol("host-1", 2_000);
    clock.advance(999);
    expect(await tokens.authenticate(token)).toBeDefined();
    clock.advance(1);
    expect(await tokens.authenticate(token)).toBeUndefined();
  });

  test("a principal may have two, and revoking ends both, and nobody else's", async () => {
    const both = [await enrol("host-1"), await enrol("host-1")];
    const other = await enrol("host-10");
    for (const token of both) expect(await tokens.authenticate(token)).toBeDefined();
    expect(await tokens.revoke("host-1")).toBe(2);
    expect(await tokens.revoke("host-1")).toBe(0);
    for (const token of both) expect(await tokens.authenticate(token)).toBeUndefined();
    expect(await tokens.authenticate(other)).toBeDefined();
    expect((await tokens.list()).map(({ principal, revokedAt }) => [principal, revokedAt])).toEqual([
      ["host-1", 1_000],
      ["host-1", 1_000],
      ["host-10", undefined],
    ]);
  });

  test("one who was revoked can be enrolled anew", async () => {
    await enrol("host-1");
    await tokens.revoke("host-1");
    expect(await tokens.authenticate(await enrol("host-1"))).toBeDefined();
  });

  test.each(["", "a/b", "a b", "a\n", "x".repeat(101)])("%j can be nobody's name", async (principal) => {
    await expect(enrol(principal)).rejects.toMatchObject({ code: "input-invalid" });
    expect(await tokens.list()).toEqual([]);
  });

  test("nobody is enrolled for nothing", async () => {
    const enrolled = tokens.enrol({ principal: "host-1", fleets: [] });
    await expect(enrolled).rejects.toMatchObject({ code: "input-invalid" });
  });
});
