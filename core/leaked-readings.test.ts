import { describe, expect, test } from "vitest";
import { type Bounds, readings, usualBounds } from "./leaked-readings.ts";

const read = (text: string, bounds: Partial<Bounds> = {}) => {
  const { texts, complete } = readings(text, () => true, { ...usualBounds, ...bounds });
  return { texts: [...texts], complete };
};
const whole = (texts: readonly string[]) => ({ texts, complete: true });

describe("a text is read", () => {
  test.each<[string, readonly string[]]>([
    ["", [""]],
    ["a b", ["a b", "a", "b"]],
    ["k=v", ["k=v", "v", "k"]],
    ["a%20b", ["a%20b", "a b", "a", "b", "20b"]],
    ["it''s", ["it''s", "it's", "", "its", "it", "it'", "'s", "s"]],
  ])("as it is, and in parts: %j", (text, expected) => {
    expect(read(text)).toEqual(whole(expected));
  });

  test.each([
    ["literals", 'x "a b" y', "a b"],
    ["addresses", "s://u:p@q@h", "p@q"],
    ["names", "password a;b", "a;b"],
    ["a shell's words", "x 'a'b' c'", "ab c"],
    ["words", "(a.b)", "a.b"],
    ["what is assigned", "x= a b", " a b"],
    ["parts of a line", "a=b?c=d", "b?c"],
  ])("for %s", (_, text, expected) => {
    expect(read(text).texts).toContain(expected);
  });

  test.each([
    ["percent-encoded twice", "%2561", "a"],
    ["in base64", Buffer.from("pass word").toString("base64"), "pass word"],
    ["escaped in a literal", 'x "a\\nb" y', "a\nb"],
    ["JSON in JSON", JSON.stringify(JSON.stringify("a\nb")), "a\nb"],
    ["written twice", "a$$b$$c", "a$b$c"],
    ["in a form", "x&p=a+b", "a b"],
    ["in entities", "<p>&lt;a</p>", "<a"],
    ["in a string of ODBC", "Pwd={a}}b}", "a}b"],
    ["in a string of SQL", "'a''b'", "a'b"],
    ["in a row of CSV", '"a""b"', 'a"b'],
  ])("though its value is %s", (_, text, expected) => {
    expect(read(text).texts).toContain(expected);
  });

  test("and only what can be a value is kept", () => {
    const { texts, complete } = readings("a%20b", (text) => text.length === 3);
    expect([[...texts], complete]).toEqual([["a b", "20b"], true]);
  });
});

const nested = "%252525";
const all = ["%252525", "%2525", "%25", "%", "", "252525", "2525", "25"];
const two = ["%252525", "%2525", "252525"];
const three = ["%252525", "%2525", "%25", "252525", "2525"];

describe("the work is bounded", () => {
  test("by how deep a text is wrapped", () => {
    expect(read(nested, { depth: 0 })).toEqual({ texts: two, complete: false });
    expect(read(nested, { depth: 1 })).toEqual({ texts: three, complete: false });
    expect(read(nested, { depth: 4 })).toEqual(whole(all));
    expect(read(nested, { depth: 3 })).toEqual({ texts: all, complete: false });
  });

  test("by how many texts are wrapped in it", () => {
    expect(read(nested, { regions: 1 })).toEqual({ texts: two, complete: false });
    expect(read(nested, { regions: 2 })).toEqual({ texts: three, complete: false });
    expect(read(nested, { regions: 4 })).toEqual(whole(all));
  });

  test("by how long they are, where each costs something besides", () => {
    expect(read(nested, { charactersUnfolded: 36 })).toEqual({ texts: two, complete: false });
    expect(read(nested, { charactersUnfolded: 37 })).toEqual({ texts: three, complete: false });
  });

  test("and what is wrapped in it twice is looked into once", () => {
    const twice = '"\\u002525" "\\u002525"';
    expect(read(twice, { charactersUnfolded: 634 }).complete).toBe(true);
    expect(read(twice, { charactersUnfolded: 633 }).complete).toBe(false);
  });

  test("though a piece itself is read in its other ways", () => {
    expect(read("+", { regions: 1 })).toEqual({ texts: ["+", " ", ""], complete: false });
  });

  test("what holds nothing that is wrapped counts as work all the same", () => {
    const quoted = "'a' 'b'";
    expect(read(quoted, { charactersUnfolded: 4 * 32 }).complete).toBe(true);
    expect(read(quoted, { charactersUnfolded: 3 * 32 - 1 }).complete).toBe(false);
  });

  test.each<[number, readonly string[], boolean]>([
    [1, ["a b c", "a"], false],
    [2, ["a b c", "a"], false],
    [3, ["a b c", "a", "b"], false],
    [5, ["a b c", "a", "b", "b c", "a b"], false],
    [7, ["a b c", "a", "b", "c", "b c", "a b"], false],
    [8, ["a b c", "a", "b", "c", "b c", "a b"], true],
  ])("by %i texts, of which each pass leaves half to the others", (texts, expected, complete) => {
    expect(read("a b c", { texts })).toEqual({ texts: expected, complete });
  });

  test.each<[number, readonly string[]]>([
    [64, ["a b c", "a"]],
    // The second pass comes to the half exactly, and stops there.
    [140, ["a b c", "a"]],
    [256, ["a b c", "a", "b"]],
    [512, ["a b c", "a", "b", "c", "a b"]],
    [1_000, ["a b c", "a", "b", "c", "b c", "a b"]],
  ])("by %i characters, of which each pass leaves half to the others", (charactersTried, texts) => {
    expect(read("a b c", { charactersTried })).toEqual({ texts, complete: false });
  });

  test("as usual by what a log of a megabyte comes to", () => {
    expect(usualBounds).toEqual({
      texts: 24_000,
      charactersTried: 12_000_000,
      regions: 4_000,
      charactersUnfolded: 6_000_000,
      depth: 8,
    });
  });
});
