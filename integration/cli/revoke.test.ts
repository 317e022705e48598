import { generateKeyPairSync } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { approve, readRequest, writeRequest } from "../../cli/approval.ts";
import { localOf } from "../../cli/open.ts";
import { type RevokeRequest, RevokeResult } from "../../cli/results/revoke.ts";
import { type RevokeWorld, setRevokeWorld } from "../revoke-world.ts";
import { TmuxTerminal } from "../tmux.ts";

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);
const acme = numbers(12).map((index) => `acme/db${index + 10}`);
const globex = numbers(3).map((index) => `globex/db${index}`);
const initech = numbers(2).map((index) => `initech/db${index}`);
const umbrella = numbers(2).map((index) => `umbrella/db${index}`);
const hooli = numbers(2).map((index) => `hooli/db${index}`);
/** The login under which the tests run is one of the manifest's people. */
const me = userInfo().username;
const colleague = generateKeyPairSync("ed25519");
const mine = generateKeyPairSync("ed25519");
const publicText = ({ publicKey }: typeof mine) =>
  publicKey.export({ format: "der", type: "spki" }).toString("base64");

let world: RevokeWorld;
beforeAll(async () => {
  const entries = [...acme, ...globex, ...initech, ...hooli, ...umbrella].map((ref) => {
    const [tenant = ""] = ref.split("/");
    return [ref, { tenant, fleets: [`${tenant}-agents`] }] as const;
  });
  world = await setRevokeWorld(Object.fromEntries(entries), {
    people: { [me]: { key: publicText(mine) }, colleague: { key: publicText(colleague) } },
    policies: [
      { match: "acme/*", maxAffected: 8 },
      { match: "initech/*", secondPerson: ["revoke"] },
    ],
  });
  writeFileSync(
    join(world.directory, "colleague.pem"),
    colleague.privateKey.export({ format: "pem", type: "pkcs8" }),
    { mode: 0o600 },
  );
  writeFileSync(join(world.directory, "mine.pem"), mine.privateKey.export({ format: "pem", type: "pkcs8" }), {
    mode: 0o600,
  });
}, 180_000);
afterAll(() => world[Symbol.asyncDispose]());

async function revoke(args: readonly string[], code: number, input = ""): Promise<RevokeResult> {
  const ended = await world.run(["revoke", ...args, "--json"], input);
  expect({ code: ended.code, stderr: ended.code === code ? "" : ended.stderr }).toEqual({ code, stderr: "" });
  const result = JSON.parse(ended.stdout);
  return code === 0 ? RevokeResult.parse(result) : result;
}

async function refuses(args: readonly string[], code: number, ...words: string[]): Promise<void> {
  const before = await standing();
  const { code: ended, stdout, stderr } = await world.run(["revoke", ...args]);
  expect({ ended, stderr }).toMatchObject({ ended: code });
  for (const word of words) expect(stderr).toContain(word);
  if (!args.includes("--approval"))
    expect(stdout.includes("keyturn-revoke-request") || stdout === "").toBe(true);
  expect(await standing()).toEqual(before);
}

/** What must not change when something is refused. */
const standing = async () =>
  Promise.all([...acme, ...globex, ...initech].map(async (ref) => (await world.record(ref)).epoch));

/** Cut off once, its successor alive. */
async function expectContained(
  refs: readonly string[],
  old: ReadonlyMap<string, Awaited<ReturnType<RevokeWorld["current"]>>>,
) {
  for (const ref of refs) {
    expect({ ref, compromised: (await world.record(ref)).compromised }).toMatchObject({
      ref,
      compromised: [{ refusedAt: expect.any(Number) }],
    });
    expect([ref, await world.emergencies(ref)]).toEqual([ref, 1]);
    const before = old.get(ref);
    expect([
      ref,
      before && (await world.logsIn(before)),
      await world.logsIn(await world.current(ref)),
    ]).toEqual([ref, false, true]);
  }
}

async function logins(refs: readonly string[]) {
  return new Map(await Promise.all(refs.map(async (ref) => [ref, await world.current(ref)] as const)));
}

describe("what is too wide, or not meant, changes nothing", () => {
  test("the cap of the policy, and the one that is said", async () => {
    await refuses(["--tenant", "acme", "--yes"], 3, "12 secrets", "8", "--max-affected 12");
    await refuses(
      ["--fleet", "globex-agents", "--max-affected", "2", "--yes"],
      3,
      "3 secrets",
      "no more than 2",
    );
    await refuses([...acme.slice(0, 9), "--yes"], 3, "no more than 8");
  });

  test("a pipe is told the blast radius and the command that does it", async () => {
    await refuses(
      ["--fleet", "globex-agents"],
      3,
      "globex/db0",
      "tenant globex",
      "3 secrets",
      "keyturn revoke --fleet globex-agents --yes",
    );
    const json = await revoke(["--tenant", "globex"], 3);
    expect(json).toMatchObject({
      error: { code: "request-refused" },
      affected: globex.map((ref) => ({ ref, tenant: "globex", standing: "live", agents: 0, holders: [] })),
      command: "keyturn revoke --tenant globex --yes",
    });
  });

  test("another tenant's secret, an unknown fleet, host, secret, version, time", async () => {
    await refuses(["globex/db0", "--tenant", "acme"], 3, "globex/db0 (globex)");
    await refuses(["--fleet", "nobody"], 2, "fleet nobody");
    await refuses(["--tenant", "nobody"], 2, "tenant nobody");
    await refuses(["--agent", "nobody"], 4, "nobody");
    await refuses(["globex/db0", "globex/db9"], 2, "globex/db9");
    await refuses(["globex/db0", "--which", "none"], 4, "none");
    await refuses(["globex/db0", "--fleet", "globex-agents"], 2, "one of");
    await refuses(["globex/db0", "--since", "2999-01-01T00:00:00Z"], 2, "has come");
    await refuses(["ops/admin"], 2, "only held");
  });
});

test("a whole tenant, killed in the middle, and begun again: all are cut off once", async () => {
  const old = await logins(acme);
  const args = ["revoke", "--tenant", "acme", "--max-affected", "12", "--yes", "--timeout", "110"];
  const { child, ended } = world.start(args);
  const refused = async () => {
    const records = await Promise.all(acme.map(world.record));
    return records.filter(({ compromised }) => compromised[0]?.refusedAt !== undefined).length;
  };
  await expect.poll(refused, { timeout: 60_000, interval: 20 }).toBeGreaterThan(0);
  child.kill("SIGKILL");
  expect((await ended).code).toBeNull();
  const reported = await Promise.all(acme.map(world.record));
  expect(reported.every(({ compromised }) => compromised.length === 1)).toBe(true);
  const again = await revoke(args.slice(1), 0);
  expect(again.revoked.map(({ ref, refused: is }) => [ref, is])).toEqual(acme.map((ref) => [ref, true]));
  await expectContained(acme, old);
}, 180_000);

test("two people at once on one fleet cut each off once; it is counted from the alert", async () => {
  const old = await logins(globex);
  const since = new Date(Date.now() - 30_000).toISOString();
  const args = ["--fleet", "globex-agents", "--yes", "--since", since];
  const both = await Promise.all([revoke(args, 0), revoke(args, 0)]);
  for (const { revoked, containedMs } of both) {
    expect(revoked.map(({ ref, refused }) => [ref, refused])).toEqual(globex.map((ref) => [ref, true]));
    for (const { refusedMs } of revoked) expect(refusedMs).toBeGreaterThan(30_000);
    expect(containedMs).toBe(Math.max(...revoked.map(({ refusedMs = 0 }) => refusedMs)));
  }
  await expectContained(globex, old);
}, 120_000);

test("a host: its tokens end first, then all that it may have read; and the same leak pasted as a file", async () => {
  const local = localOf(await world.opened.store("here"), "");
  const token = await local.tokens.enrol({ principal: "host-1", fleets: ["hooli-agents"] });
  const other = await local.tokens.enrol({ principal: "host-2", fleets: ["hooli-agents"] });
  const old = await logins(hooli);
  await refuses(["--agent", "host-1"], 3, "host host-1: its tokens end", "hooli-agents", "hooli/db1");
  expect(await local.tokens.authenticate(token.reveal())).toBeDefined();
  const begunAt = Date.now();
  const result = await revoke(["--agent", "host-1/worker-7", "--yes"], 0);
  expect(result).toMatchObject({
    agent: { principal: "host-1", tokensRevoked: 1, fleets: ["hooli-agents"] },
    found: 2,
  });
  expect(await local.tokens.authenticate(token.reveal())).toBeUndefined();
  expect(await local.tokens.authenticate(other.reveal())).toBeDefined();
  const ended = (await local.tokens.list()).find(({ principal }) => principal === "host-1")?.revokedAt ?? 0;
  expect(ended).toBeGreaterThanOrEqual(begunAt);
  const { ports } = await world.opened.store("here");
  for (const ref of hooli) {
    const entries = await Array.fromAsync(ports.audit.read(ref));
    const successors = entries.filter(({ action, at }) => action === "finish.done" && at >= begunAt);
    expect(successors).toHaveLength(1);
    for (const { at } of successors) expect(ended).toBeLessThanOrEqual(at);
  }
  await expectContained(hooli, old);

  const live = await world.current("hooli/db0");
  const pasted = `# .env of host-1\nPGUSER=${live.username}\nDATABASE_URL='postgres://${live.username}:${encodeURIComponent(live.password)}@db:5432/hooli'\n`;
  const found = await revoke(["--leaked"], 0, pasted);
  expect(found).toMatchObject({
    found: 1,
    searchedAll: true,
    revoked: [{ ref: "hooli/db0", refused: true }],
  });
  expect(await world.logsIn(live)).toBe(false);
  const held = await world.run(["revoke", "--leaked"], [...world.values][0]);
  expect([held.code, held.stderr]).toEqual([3, expect.stringContaining("keyturn put ops/admin")]);
}, 120_000);

test("a second person, where the policy asks for one: signed, for these versions, by somebody else", async () => {
  const old = await logins(initech);
  const wide = ["--tenant", "initech", "--yes"];
  const asked = await world.run(["revoke", ...wide]);
  expect([asked.code, asked.stderr]).toEqual([3, expect.stringContaining("colleague")]);
  const shown = await world.run(["approve"], asked.stdout);
  expect([shown.code, shown.stdout]).toEqual([3, ""]);
  expect(shown.stderr).toContain("initech/db1");

  expect((await world.run(["approve", "--key", "mine.pem"], asked.stdout)).stderr).toContain(`${me} asks`);
  const approval = await world.run(["approve", "--key", "colleague.pem"], asked.stdout);
  expect(approval.code).toBe(0);
  const file = join(world.directory, "approval.json");
  writeFileSync(file, approval.stdout.replace('"cutFirst":false', '"cutFirst":true'));
  await refuses([...wide, "--cut-first", "--approval", file], 3, "signature");
  writeFileSync(file, approval.stdout);
  await refuses([...wide, "--cut-first", "--approval", file], 3, "--cut-first");
  await refuses([...wide, "--approval", file, "--key", "colleague.pem"], 3, "who has asked");
  await refuses([...wide, "--approval", "absent.json"], 2, "--approval absent.json");

  // Signed and whole, and for something else.
  const { secrets } = readRequest(asked.stdout, Date.now());
  expect(secrets.map(({ ref }) => ref)).toEqual(initech);
  const agreed = (what: Partial<RevokeRequest>): string => {
    const request = writeRequest({ secrets, cutFirst: false, by: me, ...what }, Date.now());
    const by = { name: "colleague", key: publicText(colleague) };
    return JSON.stringify(approve(request, by, colleague.privateKey));
  };
  const other = join(world.directory, "other.json");
  for (const [what, ...words] of [
    [{ secrets: secrets.slice(0, 1) }, "does not speak of the versions", "initech/db1"],
    [{ secrets: secrets.map((one) => ({ ...one, version: "v0" })) }, "does not speak of the versions"],
    [{ agent: "host-1" }, "it is for host-1"],
  ] as const) {
    writeFileSync(other, agreed(what));
    await refuses([...wide, "--approval", other], 3, "has agreed to something else", ...words);
  }

  // One leaked credential of one secret waits for nobody.
  const first = initech[0] ?? "";
  await revoke([first], 0);
  const result = await revoke([...wide, "--approval", file], 0);
  expect(result.revoked.map(({ ref, refused }) => [ref, refused])).toEqual(initech.map((ref) => [ref, true]));
  await expectContained(initech, old);
  const { ports } = await world.opened.store("here");
  const actors: string[] = [];
  for await (const { action, actor } of ports.audit.read(initech[1] ?? "")) {
    if (action === "emergency.requested") actors.push(actor);
  }
  const names = `person:${me} as ${me}, agreed to by colleague (`;
  expect(actors.map((actor) => actor.slice(0, names.length))).toEqual([names]);
  expect(actors[0]?.slice(names.length)).toMatch(/^[0-9a-f]{32}\)$/);
  // And never for the successors.
  const since = new Date().toISOString();
  await refuses([...wide, "--since", since, "--approval", file], 3, "does not speak of the versions");
}, 120_000);

test("at a terminal the number is typed, and anything else changes nothing", async () => {
  const old = await logins(umbrella);
  await using terminal = await TmuxTerminal.open(world);
  const command = `${process.execPath} ${join(import.meta.dirname, "../../cli/keyturn.mjs")} revoke --tenant umbrella`;
  await terminal.type(`${command}; echo "code $?"`);
  expect(await terminal.waitFor(/Type 2 to cut off 2 secrets:/)).toContain("umbrella/db1");
  await terminal.type("y");
  await terminal.waitFor(/code 3/);
  expect((await world.record("umbrella/db0")).compromised).toEqual([]);
  await terminal.type(`clear; ${command}; echo "code $?"`);
  await terminal.waitFor(/Type 2 to cut off 2 secrets:/);
  await terminal.type("2");
  expect(await terminal.waitFor(/code 0/, 60_000)).toContain("2 of 2 are refused");
  await expectContained(umbrella, old);
}, 120_000);

test("a key pair is made once, and its public half is what the manifest takes", async () => {
  const made = await world.run(["approve", "--new-key", "new.pem"]);
  expect([made.code, made.stdout]).toEqual([0, expect.stringMatching(/^MCowBQYDK2VwAyEA.{44}\n$/)]);
  const pem = readFileSync(join(world.directory, "new.pem"), "utf8");
  const again = await world.run(["approve", "--new-key", "new.pem"]);
  expect([again.code, readFileSync(join(world.directory, "new.pem"), "utf8")]).toEqual([2, pem]);
});

test("no command has printed a value, and neither the audit nor the server's log has one", async () => {
  const { ports } = await world.opened.store("here");
  const audit: string[] = [];
  for (const ref of await ports.audit.refs())
    for await (const entry of ports.audit.read(ref)) audit.push(JSON.stringify(entry));
  const log = readFileSync(world.postgres.logPath, "utf8");
  const all = [...world.printed, ...audit, log].join("\n");
  expect(world.values.size).toBeGreaterThan(20);
  expect([...world.values].filter((value) => all.includes(value))).toEqual([]);
});
