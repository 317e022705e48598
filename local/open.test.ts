import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, test } from "vitest";
import { sampleChain } from "../core/audit-log.contract.ts";
import { newRecord } from "../core/record.ts";
import { Secret } from "../core/secret.ts";
import { filesIn, temporaryFolder, temporaryStore } from "./folder.contract.ts";
import { type LocalStore, openLocal } from "./open.ts";

const databases = ["secrets.db", "journal.db", "events.db", "tokens.db", "audit.db"];

/** Uses every port once. */
async function used() {
  const { local, options } = await temporaryStore();
  await local.store.savePending("a/b", "v1", new Secret("canary-of-the-store"));
  await local.store.promote("a/b", "v1", undefined);
  await local.journal.save(newRecord("a/b"), undefined);
  const fingerprint = local.fingerprinter.fingerprint("canary-of-the-store");
  await local.journal.remember("a/b", "v1", { password: fingerprint });
  for (const entry of sampleChain("a/b", 2)) await local.audit.append(entry);
  await local.tokens.enrol({ principal: "host", fleets: ["agents"] });
  return { local, options };
}

describe("init", () => {
  test("twice is once: the same installation, the same key, the same data", async () => {
    const { local, options } = await used();
    const again = await openLocal({ ...options, create: true });
    expect(again.installation).toBe(local.installation);
    expect(again.keyPlace).toBe(local.keyPlace);
    expect((await again.store.read("a/b", "current"))?.value.reveal()).toBe("canary-of-the-store");
    await again.close();
    await again.close();
  });

  test("many at once agree", async () => {
    const home = temporaryFolder();
    const options = { path: join(home, "data"), environment: { HOME: home }, create: true };
    const all = await Promise.all(Array.from({ length: 4 }, () => openLocal(options)));
    expect(new Set(all.map(({ installation }) => installation)).size).toBe(1);
    expect(new Set(all.map(({ fingerprinter }) => fingerprinter.fingerprint("x"))).size).toBe(1);
    for (const local of all) await local.close();
  });

  test("the key is not in the folder, and the folder stays out of repositories", async () => {
    const { local, options } = await temporaryStore();
    expect(local.keyPlace).not.toContain(options.path);
    expect(existsSync(local.keyPlace)).toBe(true);
    expect(filesIn(options.path).some(({ path }) => path.endsWith(".gitignore"))).toBe(true);
  });

  test("goes on where one before it was killed", async () => {
    const { local, options } = await temporaryStore();
    await local.close();
    using secrets = new DatabaseSync(join(options.path, "secrets.db"));
    secrets.exec("DELETE FROM meta WHERE name = 'ready'");
    rmSync(join(options.path, "events.db"));
    rmSync(join(options.path, "tokens.db"));
    const unfinished = { code: "input-invalid", message: expect.stringContaining("keyturn init") };
    await expect(openLocal(options)).rejects.toMatchObject(unfinished);
    const finished = await openLocal({ ...options, create: true });
    expect(finished.installation).toBe(local.installation);
    await finished.close();
    await (await openLocal(options)).close();
  });

  test("where the system refuses says what and where", async () => {
    const file = join(temporaryFolder(), "file");
    writeFileSync(file, "");
    const error = { code: "store-unavailable", message: expect.stringContaining(file) };
    await expect(openLocal({ path: join(file, "data"), create: true })).rejects.toMatchObject(error);
  });

  test("does not move in with other files", async () => {
    const path = temporaryFolder();
    writeFileSync(join(path, "thesis.txt"), "");
    await expect(openLocal({ path, create: true })).rejects.toMatchObject({ code: "input-invalid" });
    expect(readdirSync(path)).toEqual(["thesis.txt"]);
  });
});

describe("a folder that is not a store", () => {
  test.each([
    ["is not there", () => join(temporaryFolder(), "none")],
    ["is empty", () => temporaryFolder()],
  ])("%s: says what to do, and makes nothing", async (_, folder) => {
    const path = folder();
    const error = { code: "input-invalid", message: expect.stringContaining("keyturn init") };
    await expect(openLocal({ path })).rejects.toMatchObject(error);
    expect(existsSync(path) ? readdirSync(path) : []).toEqual([]);
  });
});

describe("what is broken is told by its name", () => {
  const broken = (name: string) => ({ code: "data-broken", message: expect.stringContaining(name) });

  /** Told at once, or, where the rest can do without it, by the first call that needs it. */
  const tells = async (name: string, opening: ReturnType<typeof openLocal>): Promise<void> => {
    const needed: Readonly<Record<string, (local: LocalStore) => Promise<unknown>>> = {
      "events.db": ({ bus }) => bus.end(),
      "tokens.db": ({ tokens }) => tokens.list(),
      "audit.db": ({ audit }) => audit.refs(),
    };
    const use = needed[name];
    if (use === undefined) {
      await expect(opening).rejects.toMatchObject(broken(name));
      return;
    }
    const local = await opening;
    await expect(use(local)).rejects.toMatchObject(broken(name));
    expect(await local.journal.refs()).toBeDefined();
    await local.close();
  };

  test.each(databases)("%s is missing, with and without init", async (name) => {
    const { local, options } = await used();
    await local.close();
    rmSync(join(options.path, name));
    await tells(name, openLocal(options));
    await tells(name, openLocal({ ...options, create: true }));
    expect(existsSync(join(options.path, name))).toBe(false);
  });

  test.each(databases)("%s is empty", async (name) => {
    const { local, options } = await used();
    await local.close();
    truncateSync(join(options.path, name));
    await tells(name, openLocal({ ...options, create: true }));
  });

  test.each(databases)("%s is something else", async (name) => {
    const { local, options } = await used();
    await local.close();
    writeFileSync(join(options.path, name), "no database ".repeat(1_000));
    await tells(name, openLocal(options));
  });

  test.each(databases)("%s was written by a newer Keyturn", async (name) => {
    const { local, options } = await used();
    await local.close();
    using file = new DatabaseSync(join(options.path, name));
    file.exec("PRAGMA user_version = 99");
    const newer = { code: "schema-newer", message: expect.stringContaining(name) };
    await expect(openLocal(options)).rejects.toMatchObject(newer);
  });

  test("a page in the middle of a file was overwritten", async () => {
    const { local, options } = await used();
    await local.close();
    const path = join(options.path, "journal.db");
    const { size } = statSync(path);
    using file = new DatabaseSync(path);
    const { root } =
      file.prepare("SELECT rootpage AS root FROM sqlite_schema WHERE name = 'records'").get() ?? {};
    file.close();
    const bytes = Buffer.from(filesIn(options.path).find((one) => one.path === path)?.bytes ?? []);
    bytes.fill(0xff, (Number(root) - 1) * 4096, Number(root) * 4096);
    expect(bytes.length).toBe(size);
    writeFileSync(path, bytes);
    const opened = await openLocal(options);
    await expect(opened.journal.load("a/b")).rejects.toMatchObject(broken("journal.db"));
    await opened.close();
  });
});

describe("the key", () => {
  const other = Buffer.alloc(32, 5).toString("base64");

  test("a wrong one is told before anything is changed, with and without init", async () => {
    const { local, options } = await used();
    await local.close();
    const before = filesIn(options.path);
    const wrong = { ...options, environment: { KEYTURN_KEY: other } };
    const error = {
      code: "key-missing",
      message: expect.stringMatching(/this store was made with another key: it needs [0-9a-f]{16}, and/),
    };
    await expect(openLocal(wrong)).rejects.toMatchObject(error);
    await expect(openLocal({ ...wrong, create: true })).rejects.toMatchObject(error);
    expect(filesIn(options.path)).toEqual(before);
  });

  test("one that is gone is not made anew over data that the old one sealed", async () => {
    const { local, options } = await used();
    await local.close();
    rmSync(local.keyPlace);
    const error = { code: "key-missing", message: expect.stringContaining(local.keyPlace) };
    await expect(openLocal({ ...options, create: true })).rejects.toMatchObject(error);
    await expect(openLocal(options)).rejects.toMatchObject(error);
    expect(existsSync(local.keyPlace)).toBe(false);
  });

  test("one that others may read is refused", async () => {
    const { local, options } = await temporaryStore();
    await local.close();
    chmodSync(local.keyPlace, 0o644);
    await expect(openLocal(options)).rejects.toMatchObject({ code: "key-missing" });
  });

  test("may come from a file that was given, made where it is named", async () => {
    const key = join(temporaryFolder(), "keys", "mine.key");
    const { local } = await temporaryStore({ key });
    expect(local.keyPlace).toBe(key);
    expect(statSync(key).mode & 0o777).toBe(0o600);
  });
});

describe("what is on the disk", () => {
  test("no value, in any file, open or closed", async () => {
    const { local, options } = await used();
    const readable = () => filesIn(options.path).filter(({ bytes }) => bytes.includes("canary-of"));
    expect(filesIn(options.path).length).toBeGreaterThan(databases.length);
    expect(readable()).toEqual([]);
    await local.close();
    expect(readable()).toEqual([]);
    expect(filesIn(options.path).some(({ bytes }) => bytes.includes("a/b"))).toBe(true);
  });

  test("is for its owner only, and made so again when a restore has opened it", async () => {
    const { local, options } = await used();
    const open = () => filesIn(options.path).filter(({ mode }) => mode !== 0o600);
    expect(open()).toEqual([]);
    await local.close();
    for (const name of databases) chmodSync(join(options.path, name), 0o644);
    chmodSync(options.path, 0o755);
    const again = await openLocal(options);
    await again.journal.refs();
    expect(open()).toEqual([]);
    expect(statSync(options.path).mode & 0o777).toBe(0o700);
    await again.close();
  });
});

test("after it was closed every port fails, and none looks empty", async () => {
  const { local } = await used();
  await local.close();
  const retry = { disposition: "retry" };
  await expect(local.store.read("a/b", "current")).rejects.toMatchObject(retry);
  await expect(local.journal.load("a/b")).rejects.toMatchObject(retry);
  await expect(local.journal.agents("a/b")).rejects.toMatchObject(retry);
  await expect(local.bus.readEvents(0, 1)).rejects.toMatchObject(retry);
  await expect(local.tokens.list()).rejects.toMatchObject(retry);
  await expect(
    Promise.all(sampleChain("z", 1).map((entry) => local.audit.append(entry))),
  ).rejects.toMatchObject(retry);
});

test("a folder that stood there, empty, is taken", async () => {
  const path = join(temporaryFolder(), "data");
  mkdirSync(path, { mode: 0o755 });
  const { local } = await temporaryStore({ path });
  expect(statSync(path).mode & 0o777).toBe(0o700);
  expect(local.socketPath).toBe(join(path, "agents.sock"));
});
