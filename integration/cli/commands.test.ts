import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { AuditEntry } from "../../core/audit.ts";
import { CommandPlace, expectToFit } from "../command-place.ts";
import { startKeyturn } from "../keyturn-command.ts";
import { type PostgresServer, startPostgres } from "../postgres-server.ts";
import { quicken } from "../quicken.ts";

const ref = "billing/db";
const adminPassword = "canary-admin-Zq4-77be01";
const keyturn = join(import.meta.dirname, "../../cli/keyturn.mjs");
let postgres: PostgresServer;
let place: CommandPlace;
let owners = 0;
let owner = "";

beforeAll(async () => {
  postgres = await startPostgres();
  const superuser = await postgres.client();
  await superuser.query(`CREATE ROLE keyturn_admin LOGIN CREATEROLE PASSWORD '${adminPassword}'`);
  await superuser.end();
});

afterAll(() => postgres.stop());

beforeEach(() => {
  place = new CommandPlace(postgres, adminPassword);
  owners += 1;
  owner = `works${owners}`;
});

afterEach(() => {
  expect(place.leaked()).toEqual([]);
  place.remove();
});

function edit(change: (text: string) => string): void {
  writeFileSync(place.manifestPath, change(readFileSync(place.manifestPath, "utf8")));
}

/** A secret whose old credential lives on in a grace that does not end by itself. */
async function inGrace(): Promise<{ username: string; password: string }> {
  await place.init(ref, owner);
  await place.json(["rotate", ref]);
  const old = await place.current(ref);
  quicken(place.manifestPath, ref, { cacheTtl: "100ms", atLeast: "10m", atMost: "10m" });
  await place.json(["rotate", ref]);
  await place.current(ref);
  return old;
}

async function bash(script: string): Promise<{ stdout: string; stderr: string }> {
  const command = script.replaceAll("keyturn ", `"${process.execPath}" "${keyturn}" `);
  const { directory, environment } = place;
  return promisify(execFile)("bash", ["-c", command], { cwd: directory, env: environment });
}

describe("what an operator does to the course of things", () => {
  test("hold, release and retire, each told why not and how", async () => {
    const old = await inGrace();
    expect(await place.json(["hold", ref, "--for", "2h", "--reason", "report runs"])).toMatchObject({
      answer: "began",
    });
    const held = await place.json<{ holds: { by: string; reason: string; untilInMs: number }[] }>([
      "status",
      ref,
    ]);
    expect(held.holds).toMatchObject([{ reason: "report runs" }]);
    expect(held.holds[0]?.untilInMs).toBeGreaterThan(7_000_000);
    const refused = await place.json<{ why: string }>(["retire", ref], { code: 3 });
    expect(refused.why).toContain("report runs");
    expect(await place.json(["release", ref, "--of", "nobody-here"])).toMatchObject({ answer: "nothing" });
    expect(await place.json(["release", ref])).toMatchObject({ answer: "began" });
    expect(await place.json<{ why: string }>(["retire", ref], { code: 3 })).toMatchObject({
      why: expect.stringContaining("insist"),
    });
    expect(await place.logsIn(old)).toBe(true);
    expect(await place.json(["retire", ref, "--insist", "--wait"])).toMatchObject({
      answer: "began",
      phase: "idle",
      debts: 0,
    });
    expect([await place.logsIn(old), await place.logsIn(await place.current(ref))]).toEqual([false, true]);
    expect(await place.json(["retire", ref])).toMatchObject({ answer: "nothing" });
    for (const wrong of ["0h", "8d", "soon", "-1h"])
      expect((await place.keyturn(["hold", ref, "--for", wrong, "--reason", "x"])).code).toBe(2);
    expect((await place.keyturn(["hold", ref])).stderr).toContain("--reason");
    expect((await place.keyturn(["hold", ref, "--reason", "two\nlines"])).code).toBe(2);
  });

  test("pause and resume: one, twice, and all of them, those that cannot be read too", async () => {
    await place.init(ref, owner);
    await place.json(["rotate", ref]);
    expect(await place.json(["pause", ref, "--reason", "freeze"])).toMatchObject({ answer: "began" });
    expect(await place.json(["pause", ref])).toMatchObject({ answer: "nothing" });
    expect(await place.json(["rotate", ref], { code: 3 })).toMatchObject({ answer: "refused" });
    expect(await place.json(["status", ref])).toMatchObject({ paused: { reason: "freeze" } });
    expect((await place.keyturn(["status", ref])).stdout).toContain("PAUSED");
    expect(await place.json(["resume", ref])).toMatchObject({ answer: "began", rotated: false });
    expect(await place.json(["resume", ref])).toMatchObject({ answer: "nothing" });
    expect(await place.json(["rotate", ref])).toMatchObject({ rotated: true });

    await place.init("billing/other", `${owner}other`);
    expect(await place.json(["pause", "--all", "--reason", "freeze"])).toMatchObject({
      counts: { began: 2 },
    });
    const { secrets } = await place.json<{ secrets: { paused?: unknown }[] }>(["status"]);
    expect(secrets.map(({ paused }) => paused !== undefined)).toEqual([true, true]);
    edit((text) =>
      `${text}\n  lost/db:\n    store: gone\n    type: postgres-alternating\n    config: { host: h, database: d, owner: lost }\n    admin: { secret: db-admin }\n    fleets: [invoice-agents]\n`.replace(
        "stores:\n",
        "stores:\n  gone: { local: { path: nowhere } }\n",
      ),
    );
    const some = await place.json<{ counts: Record<string, number> }>(["resume", "--all"], { code: 2 });
    expect(some.counts).toEqual({ began: 2, failed: 1 });
    const status = await place.json<{ secrets: unknown[]; unreadable: { ref: string }[] }>(["status"], {
      code: 2,
    });
    expect([status.secrets.length, status.unreadable.map((one) => one.ref)]).toEqual([2, ["lost/db"]]);
    for (const args of [["pause"], ["pause", ref, "--all"], ["resume"]])
      expect((await place.keyturn(args)).stderr).toContain("--all");
  });

  test("who waits is told at once what only a person can bring on, and in the end what it waited for", async () => {
    await inGrace();
    await place.json(["pause", ref, "--reason", "freeze"]);
    const paused = {
      code: "request-refused",
      message: expect.stringMatching(/paused by .*: freeze; .keyturn resume/),
    };
    expect(await place.json(["rotate", ref, "--wait"], { code: 3 })).toMatchObject({
      answer: "waiting",
      rotated: false,
      phase: "grace",
      error: paused,
    });
    expect((await place.keyturn(["rotate", ref])).stdout).toContain("freeze");
    await place.json(["resume", ref]);
    const waiting = place.keyturn(["resume", ref, "--wait", "--json"]);
    expect(await waiting).toMatchObject({ code: 0, stdout: expect.stringContaining("nothing") });
    const late = ["rotate", ref, "--wait", "--timeout", "1", "--json"];
    expect((await place.keyturn(late)).stdout).toContain("until the fleet has released it");
    await place.json(["hold", ref, "--reason", "report runs"]);
    expect((await place.keyturn(late)).stdout).toMatch(/held by person:.* until .*: report runs/);
    // A pause that comes while somebody waits ends the wait.
    const long = startKeyturn(["rotate", ref, "--wait"], place);
    await new Promise<void>((resolve) => {
      long.child.stderr?.on("data", (text) => String(text).includes("waiting") && resolve());
    });
    await place.json(["pause", ref, "--reason", "second"]);
    expect(await long.ended).toMatchObject({ code: 3, stderr: expect.stringContaining("second") });
  });

  test("what is owed is listed until it is proven refused, also when its secret leaves the manifest", async () => {
    const old = await inGrace();
    expect(await place.json(["debts"])).toEqual({ debts: [], overdue: 0, unreadable: [] });
    edit((text) => text.replace(/port: \d+/, "port: 1"));
    expect(await place.json(["retire", ref, "--insist"])).toMatchObject({ phase: "retire", debts: 1 });
    const owed = await place.json<{ debts: unknown[] }>(["debts", ref]);
    expect(owed).toMatchObject({
      overdue: 0,
      debts: [{ ref, attempts: 1, reason: "retired", managed: true, overdue: false }],
    });
    expect(JSON.stringify(owed.debts)).toContain("unreachable");
    expect((await place.keyturn(["debts"])).stdout).toMatch(/SECRET.*\n.*retired/);

    const whole = readFileSync(place.manifestPath, "utf8");
    edit((text) => text.slice(0, text.indexOf(`  ${ref}:`)));
    expect(await place.json(["debts"], { code: 6 })).toMatchObject({
      overdue: 1,
      debts: [{ ref, managed: false, overdue: true }],
    });
    writeFileSync(place.manifestPath, whole.replace("port: 1", `port: ${postgres.port}`));
    expect(await place.json(["retire", ref, "--insist", "--wait"])).toMatchObject({
      phase: "idle",
      debts: 0,
    });
    expect(await place.logsIn(old)).toBe(false);
    expect(await place.json(["debts"])).toMatchObject({ debts: [] });
  });

  test("Ctrl-C and the timeout are obeyed in the middle of a step, and the next command goes on", async () => {
    await place.init(ref, owner);
    await place.json(["rotate", ref]);
    postgres.kill("SIGSTOP");
    try {
      const { directory, environment } = place;
      const running = startKeyturn(["rotate", ref], { directory, environment });
      await expect
        .poll(async () => (await place.json<{ phase: string }>(["status", ref])).phase, { timeout: 20_000 })
        .toMatch(/create|set/);
      const started = Date.now();
      running.child.kill("SIGINT");
      const { code, stderr } = await running.ended;
      expect({ code, stderr }).toMatchObject({ code: 130 });
      expect(stderr).toMatch(/in create|in set/);
      // Far less than the statement's and the step's own limits.
      expect(Date.now() - started).toBeLessThan(5_000);
      const late = await place.json<{ error: { code: string } }>(["rotate", ref, "--timeout", "1"], {
        code: 5,
      });
      expect(late.error.code).toBe("timeout");
    } finally {
      postgres.kill("SIGCONT");
    }
    expect(await place.json(["rotate", ref, "--wait"])).toMatchObject({ rotated: true, phase: "idle" });
  });
});

describe("what an operator looks at", () => {
  test("the exported audit can be verified by whoever knows the rule, as JSON lines and as CSV", async () => {
    await place.init(ref, owner);
    await place.json(["rotate", ref]);
    await place.json(["pause", ref, "--reason", '=cmd("x"), said, twice']);
    await place.json(["resume", ref]);
    await place.json(["retire", ref]);
    const { stdout } = await place.keyturn(["audit", "export"]);
    const lines = stdout.trimEnd().split("\n");
    for (const line of lines) expectToFit("audit export", line);
    const entries = lines.map((line): AuditEntry => JSON.parse(line));
    const asked = entries.filter(({ action }) => ["rotate.began", "paused", "resumed"].includes(action));
    const me = `person:${userInfo().username}`;
    expect(asked.map(({ actor }) => actor)).toEqual([me, me, me]);
    let previous = "";
    for (const entry of entries) {
      const { ref: of, sequence, at, actor, action, epoch, version, detail, previousHash, hash } = entry;
      const text = JSON.stringify([
        of,
        sequence,
        at,
        actor,
        action,
        epoch,
        version ?? null,
        detail,
        previousHash,
      ]);
      expect(createHash("sha256").update(text).digest("hex")).toBe(hash);
      expect(previousHash).toBe(previous);
      previous = hash;
    }
    expect(await place.json(["audit", "verify"])).toMatchObject({
      verified: true,
      chains: [{ ref }],
    });
    const csv = (await place.keyturn(["audit", "export", ref, "--format", "csv"])).stdout.split("\n");
    expect(csv[0]).toBe("ref,sequence,at,actor,action,epoch,version,detail,previousHash,hash");
    expect(csv.length).toBe(entries.length + 2);
    expect(csv.find((line) => line.includes("paused"))).toContain(`,"'=cmd(""x""), said, twice",`);
    const middle = entries[2];
    const since = new Date(middle?.at ?? 0).toISOString();
    const later = (await place.keyturn(["audit", "export", "--since", since])).stdout.trimEnd().split("\n");
    expect(later).toEqual(lines.filter((_, index) => (entries[index]?.at ?? 0) >= (middle?.at ?? 0)));
    expect((await place.keyturn(["audit", "export", "no/such"])).code).toBe(2);
    expect((await place.keyturn(["audit", "export", "--since", "yesterday"])).code).toBe(2);
    await bash("set -o pipefail; keyturn audit export | head -1");
  });

  test("watch: a line for each change, ended by a goal, a timeout, a reader that goes, or Ctrl-C", async () => {
    await place.init(ref, owner);
    await place.json(["rotate", ref]);
    expect((await place.keyturn(["watch", ref, "--until", "retired"])).code).toBe(0);
    const { directory, environment } = place;
    const watching = startKeyturn(["watch", "--until", "finish", "--json"], { directory, environment });
    const plain = startKeyturn(["watch", ref], { directory, environment });
    await new Promise((resolve) => plain.child.stderr?.once("data", resolve));
    await place.json(["pause", ref]);
    await expect
      .poll(
        async () => {
          // It is asked again and again, for nobody knows when the first look is over.
          await place.json(["resume", ref]);
          await place.json(["rotate", ref, "--wait"]);
          return watching.child.exitCode;
        },
        { timeout: 30_000 },
      )
      .toBe(0);
    const lines = (await watching.ended).stdout.trimEnd().split("\n");
    for (const line of lines) expectToFit("watch", line);
    expect(lines.map((line) => JSON.parse(line).action)).toContain("finish.done");
    plain.child.kill("SIGINT");
    const { code, stdout } = await plain.ended;
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^20\\S+Z {2}${ref} {2}\\S+`, "m"));

    expect((await place.keyturn(["watch", ref, "--until", "undo", "--timeout", "1"])).code).toBe(5);
    expect((await place.keyturn(["watch", "no/such"])).code).toBe(2);
    expect((await place.keyturn(["watch", "--until", "never"])).code).toBe(2);
    let isEnded = false;
    const piped = bash(`keyturn watch ${ref} | head -1`).finally(() => {
      isEnded = true;
    });
    await expect
      .poll(
        async () => {
          await place.json(["rotate", ref, "--wait"]);
          return isEnded;
        },
        { timeout: 30_000 },
      )
      .toBe(true);
    expect((await piped).stdout).toContain(ref);
  });

  test("the credential types, and an entry that the manifest takes", async () => {
    const { types } = await place.json<{ types: { type: string; example: string }[] }>(["rotators"]);
    expect(types.map(({ type }) => type)).toContain("postgres-alternating");
    for (const { type, example } of types) {
      writeFileSync(
        place.manifestPath,
        `stores:\n  here: { local: { path: .keyturn } }\nsecrets:\n  billing/db-admin: { store: here, type: held }\n${example.replaceAll(/^/gm, "  ")}\n`,
      );
      const one = await place.json<{ credential: { name: string; secret?: boolean }[] }>(["rotators", type]);
      const secret = one.credential.filter((field) => field.secret === true).map(({ name }) => name);
      expect(secret).toEqual([type.startsWith("postgres") ? "password" : "secretAccessKey"]);
      // It gets as far as the store, which is not made yet.
      expect((await place.keyturn(["status"])).stderr).toContain("no Keyturn store");
    }
    expect((await place.keyturn(["rotators", "postgre"])).code).toBe(2);
  });

  test("many secrets: a line for each, paused quickly, one of them broken", async () => {
    await place.init(ref, owner);
    const entry = (index: number) =>
      `  many/db${index}:\n    store: here\n    type: postgres-alternating\n    config: { host: h, database: d, owner: o${index} }\n    admin: { secret: db-admin }\n    fleets: [invoice-agents]\n`;
    appendFileSync(place.manifestPath, Array.from({ length: 1_000 }, (_, index) => entry(index)).join(""));
    const started = Date.now();
    expect(await place.json(["pause", "--all"])).toMatchObject({ counts: { began: 1_001 } });
    // A second or two on an idle machine.
    expect(Date.now() - started).toBeLessThan(20_000);
    const { stdout } = await place.keyturn(["status"]);
    expect(stdout.trimEnd().split("\n").length).toBe(1_002);
    expect(stdout).toMatch(/^SECRET +PHASE/);
  });
});

describe("values that a person keeps up to date", () => {
  const values = ["canary-slack-https-hook-81c2d9", "canary-json-5b77aa10", "canary-multi-2201aa"];

  beforeEach(async () => {
    for (const value of values) place.values.add(value);
    await place.init(ref, owner);
    edit((text) => text.replace("secrets:\n", "secrets:\n  hook: { store: here, type: held }\n"));
  });

  test("put: text as a value, JSON as it is, nothing else", async () => {
    const [text = "", json = "", lines = ""] = values;
    const first = await place.json<{ version: string }>(["put", "hook"], { input: `  ${text}\n` });
    expect(first).toMatchObject({ fields: ["value"], replaced: false });
    const second = await place.json<{ version: string }>(["put", "hook"], {
      input: `{"value": "${json}", "n": 1}`,
    });
    expect(second).toMatchObject({ fields: ["value", "n"], replaced: true });
    expect(second.version).not.toBe(first.version);
    for (const input of ["", "  \n", `{"value": "${lines}"`, `${lines}\n${lines}`, "{}"])
      expect(await place.json(["put", "hook"], { code: 2, input })).toMatchObject({ error: {} });
    const refused = await place.json<{ error: { message: string } }>(["put", ref], { code: 3, input: text });
    expect(refused.error.message).toContain("import");
    expect((await place.keyturn(["put", "no/such"], text)).stderr).toContain("hook");
    // Its shape is looked at before a rotation would stumble over it.
    const { error } = await place.json<{ error: { message: string } }>(["put", "db-admin"], {
      code: 2,
      input: `{"user": "${json}"}`,
    });
    expect(error.message).toContain("username");
    expect(await place.json(["rotate", ref])).toMatchObject({ rotated: true });
    const exported = (await place.keyturn(["audit", "export", "hook"])).stdout;
    expect(exported.match(/"action":"put"/g)).toHaveLength(2);
    expect(await place.json(["audit", "verify"])).toMatchObject({ verified: true });
  });

  test("of two who put at once, each that is told so is stored", async () => {
    const ended = await Promise.all(
      [1, 2, 3].map((one) => place.keyturn(["put", "hook", "--json"], `canary-race-${one}-8812`)),
    );
    const done = ended.filter(({ code }) => code === 0);
    expect(done.length).toBeGreaterThan(0);
    for (const { code } of ended) expect([0, 5]).toContain(code);
    expect(await place.json(["audit", "verify"])).toMatchObject({ verified: true });
    const chain = (await place.keyturn(["audit", "export", "hook"])).stdout.trimEnd().split("\n");
    expect(chain).toHaveLength(done.length);
  });
});

describe("every command", () => {
  test("without a manifest, with a broken one, and with two", async () => {
    for (const args of [
      ["status"],
      ["pause", "--all"],
      ["watch"],
      ["debts"],
      ["audit", "export"],
      ["put", "x"],
    ]) {
      const { error } = await place.json<{ error: { code: string } }>(args, { code: 2, input: "x" });
      expect(error.code).toBe("manifest-invalid");
    }
    const folder = await place.keyturn(["status", "-m", place.directory]);
    expect(folder).toMatchObject({ code: 2, stdout: "" });
    writeFileSync(place.manifestPath, "secrets: [\n");
    expect((await place.keyturn(["status"])).stderr).toContain("keyturn.yaml");
    const two = await place.keyturn(["status", "-m", "a.yaml", "-m", "b.yaml"]);
    expect([two.code, two.stderr.includes("include")]).toEqual([2, true]);
  });

  test("ends quietly when nobody reads", async () => {
    const { stderr } = await bash(
      "keyturn --help | true; keyturn rotators | true; keyturn completion bash | true",
    );
    expect(stderr).toBe("");
  });
});
