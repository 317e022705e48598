import { describe, expect, test } from "vitest";
import { Secret } from "../../core/secret.ts";
import { credentialFrom } from "./import-value.ts";

const address = { host: "db.internal", port: 5432, database: "billing" };

function read(text: string): Readonly<Record<string, unknown>> {
  return JSON.parse(credentialFrom(new Secret(text), address).reveal());
}

describe("the value of an import", () => {
  test.each<readonly [form: string, text: string, username: string, password: string]>([
    ["two lines", "billing\np@ss word ", "billing", "p@ss word "],
    [
      "two lines, ended as on Windows, with a byte order mark",
      "\uFEFFbilling\r\n p'w\r\n\r\n",
      "billing",
      " p'w",
    ],
    ["a user that looks like a pair", "user=x\nhost=y", "user=x", "host=y"],
    [
      "a URL",
      "postgres://bil%20ling:p%40s%2Fs%25@db.internal:5432/billing?sslmode=require\n",
      "bil ling",
      "p@s/s%",
    ],
    ["a short URL", "postgresql://billing:pw-1@db.internal", "billing", "pw-1"],
    [
      "a connection string",
      "host=db.internal user=billing password='it\\'s \\\\ here' dbname=billing",
      "billing",
      "it's \\ here",
    ],
    ["a connection string without quotes", " user = billing password=a\\ b port=5432 ", "billing", "a b"],
    ["JSON", '\uFEFF {"username":"billing","password":"\\u00e9"} \n', "billing", "é"],
    [
      "a text that was put into the store",
      '{"value":"postgres://billing:pw@db.internal/billing"}',
      "billing",
      "pw",
    ],
  ])("is read from %s", (_form, text, username, password) => {
    expect(read(text)).toEqual({ username, password, ...address });
  });

  test("of JSON stays as it is, byte for byte, and only gets the address that it lacks", () => {
    const text =
      '{ "username":"b", "password" : "x", "id": 9007199254740993.50, "n": {"z":[1E5,"\\u00e9"]},\n "host": "h" }';
    expect(credentialFrom(new Secret(`${text}\n`), address).reveal()).toBe(
      text.replace('"h" }', '"h","port":5432,"database":"billing" }'),
    );
  });

  test("says where to log in, if it says so", () => {
    const own = { host: "::1", port: 6543, database: "my db" };
    expect(read("postgres://u:p@[::1]:6543/my%20db")).toEqual({ username: "u", password: "p", ...own });
    expect(read("user=u password=p host=::1 port=6543 dbname='my db'")).toEqual({
      username: "u",
      password: "p",
      ...own,
    });
  });

  test.each([
    ["a word", "billing"],
    ["a line", "billing\n"],
    ["a line behind an empty one", "\npassword-canary"],
    ["three lines", "billing\npassword-canary\nand more"],
    ["half of an object", '{"username": "billing", "password": "password-canary"'],
    ["an address without a password", "postgres://billing@db.internal/billing"],
    ["an address of two servers", "postgres://billing:password-canary#@one,two/billing"],
    ["an address with an escape that is none", "postgres://billing:%zzpassword-canary@db/billing"],
    ["a word in quotes that do not end", "user=billing password='password-canary"],
    ["a field without a value", "user=billing password-canary"],
    ["an object without a login", '{"value":"password-canary"}'],
  ])("is refused when it is none, and not told: %s", (_what, text) => {
    const fail = (): unknown => {
      try {
        return read(text);
      } catch (error) {
        return error;
      }
    };
    expect(fail()).toMatchObject({ code: "input-invalid" });
    expect(String(fail())).not.toContain("canary");
  });
});
