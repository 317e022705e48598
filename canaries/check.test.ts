import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { check, complaintsOf, type Place } from "./check.ts";
import { makeRunFolder, runFolder } from "./run-folder.ts";
import { Search } from "./search.ts";

const value = 'canary-5Kq9/wZ3+"\\ü%41-end';

describe("a search", () => {
  const search = new Search([value, "a second value of some length", "too short"]);
  const around = (text: string): Buffer => Buffer.from(`${"x".repeat(1_000)}${text}${"y".repeat(1_000)}`);

  test.each([
    ["as it is", value],
    ["in JSON", JSON.stringify({ password: value })],
    ["in a URL", `postgres://app:${encodeURIComponent(value)}@db/app`],
    ["as a whole in base 64", Buffer.from(value).toString("base64")],
    ["at the very beginning", value],
    ["another one", "a second value of some length"],
  ])("finds a value %s", (where, text) => {
    const bytes = where === "at the very beginning" ? Buffer.from(text) : around(text);
    expect(search.in(bytes)).toBeTypeOf("number");
  });

  test("says where it begins", () => {
    expect(search.in(around(value))).toBe(1_000);
    expect(search.in(Buffer.from(`ab${value}`))).toBe(2);
  });

  test.each([
    ["nothing", ""],
    ["less than a window", "canary"],
    ["the beginning alone", value.slice(0, -1)],
    ["all but the beginning", value.slice(1)],
    ["a value that is too short to be told from chance", "too short"],
    ["other text", "z".repeat(5_000)],
  ])("does not find it in %s", (_, text) => {
    expect(search.in(Buffer.from(text))).toBeUndefined();
    expect(search.in(around(text))).toBeUndefined();
  });
});

describe("a check", () => {
  let folder: string;
  beforeEach(() => {
    folder = makeRunFolder();
    const line = `rotators\t${Buffer.from(value).toString("base64")}\n`;
    writeFileSync(
      join(runFolder(folder).ledgers, "1"),
      `${line}rotators\t${Buffer.from("half").toString("base64")}`,
    );
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function leave(path: string, text: string): void {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }

  const planted: readonly (readonly [place: Place, path: string])[] = [
    ["printed by processes", "printed/41"],
    ["process lists", "processes/41"],
    ["process lists", "kept/7-1/processes"],
    ["emulators' logs", "kept/7-1/emulator.log"],
    ["log groups", "t/keyturn-left-abc/log-groups/%2Faws%2Flambda%2Frotate"],
    ["tables, buckets and queues", "t/keyturn-left-abc/tables/journal"],
    ["tables, buckets and queues", "t/keyturn-left-abc/objects/audit%2Fchains%2F1"],
    ["tables, buckets and queues", "t/keyturn-left-abc/queues/work"],
    ["other temporary files", "kept/7-1/tmp/lambda/code/index.mjs"],
    ["database logs", "kept/7-1/server.log"],
    ["journals", "kept/7-2/data/journal.db"],
    ["journals", "t/keyturn-abc/.keyturn/journal.db-wal"],
    ["events", "kept/7-2/data/events.db"],
    ["audit", "kept/7-2/data/audit/app%2Fdb.jsonl"],
    ["audit", "kept/7-2/data/audit-roots.jsonl"],
    ["stores", "kept/7-2/data/secrets.db"],
    ["traces, metrics and logs sent", "kept/7-3/telemetry.otlp"],
    ["other temporary files", "kept/7-4/keyturn.yaml"],
    ["other temporary files", "t/left/behind.txt"],
  ];

  test.each(planted)("finds what was planted in %s: %s", (place, path) => {
    leave(path, `before ${value} after`);
    expect(check(folder).found).toEqual([`${place}: ${path}: at byte 7`]);
    expect(complaintsOf(check(folder), { suites: [], places: [] })).toHaveLength(1);
  });

  test("finds what was planted in a report, and says nothing of the value", () => {
    leave("elsewhere/test.log", value);
    const { found } = check(folder, [join(folder, "elsewhere/test.log")]);
    expect(found).toEqual(["reports: report/test.log: at byte 0"]);
    expect(found.join()).not.toContain("canary");
  });

  test.each([
    "kept/1/data.key",
    "kept/1/data.key.next",
    "t/host-1.token",
    "t/admin.password",
    "t/leaked.txt",
  ])("leaves out %s, which is there to hold one", (path) => {
    leave(path, value);
    expect(check(folder).found).toEqual([]);
  });

  test.each([
    ["a token that enrol prints", "printed/1", "@\nhost-1 may read", []],
    ["a token in a result", "printed/1", '{"principal":"host-1","token":"@"}', []],
    [
      "a token in a sentence",
      "printed/1",
      "the token @ is wrong",
      ["printed by processes: printed/1: at byte 10"],
    ],
    ["a token in a file", "kept/1/notes", "@", ["other temporary files: kept/1/notes: at byte 0"]],
    ["a key in the environment", "processes/1", "serve\0PATH=/bin\0KEYTURN_KEY=@\0", []],
    ["what is planted there", "processes/1", "serve\0KEYTURN_CANARIES_PLANTED=@\0", []],
    [
      "the same, while a shell reads its names",
      "processes/1",
      "sh\0KEYTURN_CANARIES_PLANTED\0@\0PWD=/\0",
      [],
    ],
    ["what a server says of its environment", "kept/1/server.log", "\tKEYTURN_CANARIES_PLANTED=@\n", []],
    ["a key in an argument", "processes/1", "serve --key @\0", ["process lists: processes/1: at byte 12"]],
    ["a key in another variable", "processes/1", "\0MY_KEY=@\0", ["process lists: processes/1: at byte 8"]],
  ])("knows where it belongs: %s", (_, path, text, found) => {
    const token = "keyturn-agent-Zr4Tb8Lm9fK2wQ7xVb3";
    writeFileSync(join(runFolder(folder).ledgers, "2"), `cli\t${Buffer.from(token).toString("base64")}\n`);
    leave(path, text.replace("@", token));
    expect(check(folder).found).toEqual(found);
  });

  test("counts what it has searched, place by place, and the values of each suite", () => {
    leave("kept/1/journal.db", "12345");
    leave("kept/2/journal.db", "123");
    leave("kept/3/journal.db", "");
    const checked = check(folder);
    expect(checked.places).toContainEqual({ place: "journals", files: 2, bytes: 8 });
    expect(checked.values).toEqual(new Map([["rotators", 2]]));
  });

  test("complains where nothing was there to be searched, and of a suite that planted nothing", () => {
    leave("kept/1/journal.db", "12345");
    const expected = { suites: ["rotators", "agent"], places: ["journals", "events"] } as const;
    expect(complaintsOf(check(folder), expected)).toEqual([
      "nothing was there to be searched: events",
      "no secret value was planted by the suite agent",
    ]);
  });
});
