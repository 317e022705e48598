import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { inspect } from "node:util";
import { describe, expect, test, vi } from "vitest";
import { temporaryFolder } from "./folder.contract.ts";
import { createKey, keyPlace, readKeyring } from "./keys.ts";

const key = Buffer.alloc(32, 7).toString("base64");
const otherKey = Buffer.alloc(32, 8).toString("base64");

describe("the key's place", () => {
  test.each([
    ["the environment goes first", "/given.key", { KEYTURN_KEY: key, HOME: "/h" }, undefined],
    ["then the file that was given", "/given.key", { HOME: "/h" }, "/given.key"],
    ["an empty variable is none", "/given.key", { KEYTURN_KEY: "" }, "/given.key"],
    ["then the user's configuration", undefined, { XDG_CONFIG_HOME: "/c", HOME: "/h" }, "/c/keyturn/i1.key"],
    [
      "a relative folder is none",
      undefined,
      { XDG_CONFIG_HOME: "c", HOME: "/h" },
      "/h/.config/keyturn/i1.key",
    ],
    ["without it, below the home", undefined, { HOME: "/h" }, "/h/.config/keyturn/i1.key"],
    ["which the system knows too", undefined, {}, join(homedir(), ".config/keyturn/i1.key")],
  ])("%s", (_, given, environment, file) => {
    expect(keyPlace(given, "i1", environment).file).toBe(file);
  });
});

describe("a key from the environment", () => {
  const place = (text: string) => keyPlace(undefined, "i1", { KEYTURN_KEY: text });
  test.each([
    ["one key", key, 1],
    ["as it comes out of a file", `${key}\n`, 1],
    ["the spelling for addresses", Buffer.alloc(32, 255).toString("base64url"), 1],
    ["two keys", `${otherKey},${key}`, 2],
  ])("is read: %s", (_, text, count) => {
    expect(readKeyring(place(text), { KEYTURN_KEY: text })?.ids).toHaveLength(count);
  });

  test.each([
    ["too short", Buffer.alloc(31).toString("base64")],
    ["too long", Buffer.alloc(33).toString("base64")],
    ["no base64", "!".repeat(44)],
    ["hexadecimal", Buffer.alloc(32, 7).toString("hex")],
    ["nothing but space", " "],
  ])("is refused, and not shown, when it is %s", (_, text) => {
    expect(() => readKeyring(place(text), { KEYTURN_KEY: text })).toThrow(
      expect.objectContaining({
        code: "key-missing",
        message: expect.stringMatching(/^the key in the environment's KEYTURN_KEY holds [a-z0-9 ]+$/),
      }),
    );
  });

  test("the newest of several comes first, and the same key has the same name everywhere", () => {
    const read = (text: string) => readKeyring(place(text), { KEYTURN_KEY: text });
    expect(read(`${otherKey},${key}`)?.newestId).toBe(read(otherKey)?.newestId);
    expect(read(key)?.newestId).not.toBe(read(otherKey)?.newestId);
  });

  test("is not seen when the keyring is printed", () => {
    const keyring = readKeyring(place(key), { KEYTURN_KEY: key });
    const printed = inspect(keyring, { depth: 9, showHidden: true }) + JSON.stringify(keyring);
    expect(printed).not.toMatch(/bytes|encryption|BwcH|07 07|7, 7/);
  });
});

describe("a key in a file", () => {
  const written = (text: string, mode: number): string => {
    const file = join(temporaryFolder(), "store.key");
    writeFileSync(file, text);
    chmodSync(file, mode);
    return file;
  };
  const read = (file: string) => readKeyring({ name: file, file }, {});

  test("that is not there is absent, and not wrong", () => {
    expect(read(join(temporaryFolder(), "none.key"))).toBeUndefined();
  });

  test.each(["600", "400"])("is read with mode %s, comments and all", (mode) => {
    const file = written(`# mine\n${otherKey}\n\n${key}\n`, Number.parseInt(mode, 8));
    expect(read(file)?.ids).toHaveLength(2);
  });

  test.each(["640", "604", "620", "666", "601"])(
    "is refused with mode %s: others could read or change it",
    (mode) => {
      const file = written(key, Number.parseInt(mode, 8));
      expect(() => read(file)).toThrow(
        expect.objectContaining({ code: "key-missing", message: expect.stringContaining(`chmod 600`) }),
      );
    },
  );

  test("is refused when it belongs to somebody else", () => {
    const file = written(key, 0o600);
    const { uid } = statSync(file);
    // Seen from another user, whoever runs the tests.
    const whoami = vi.spyOn(process, "getuid").mockReturnValue(uid + 1);
    try {
      expect(() => read(file)).toThrow(
        expect.objectContaining({ code: "key-missing", message: expect.stringContaining(`user ${uid}`) }),
      );
    } finally {
      whoami.mockRestore();
    }
  });

  test("is refused when it is empty", () => {
    expect(() => read(written("# nothing\n", 0o600))).toThrow(/holds no key/);
  });

  test("is made once, for its owner only, and never replaced", () => {
    const file = join(temporaryFolder(), "new", "folder", "store.key");
    createKey(file, "a comment");
    const [first] = read(file)?.ids ?? [];
    createKey(file, "a comment");
    expect(read(file)?.ids).toEqual([first]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(dirname(file)).mode & 0o777).toBe(0o700);
    expect(readdirSync(dirname(file))).toEqual(["store.key"]);
    expect(readFileSync(file, "utf8")).toMatch(/^# a comment\n[A-Za-z0-9+/]{43}=\n$/);
  });

  test("where it cannot be made says so", () => {
    const file = join(temporaryFolder(), "store.key");
    mkdirSync(file);
    expect(() => read(file)).toThrow();
    expect(existsSync(file)).toBe(true);
  });
});
