import { describe, expect, test } from "vitest";
import {
  assigned,
  literals,
  namedValues,
  parts,
  shellWords,
  userinfos,
  wholes,
  words,
} from "./leaked-pieces.ts";

/** The texts that a pass yields, each once, in the order in which they come first. */
const read = (pass: (text: string) => Iterable<string>, text: string) => [...new Set(pass(text))];

type Table = Readonly<Record<string, readonly string[]>>;
function describePass(name: string, pass: (text: string) => Iterable<string>, table: Table): void {
  test.each(Object.entries(table))(`${name} of %j`, (text, expected) => {
    expect(read(pass, text)).toEqual(expected);
  });
}

describePass("the whole", wholes, {
  a: ["a"],
  "\uFEFFa": ["\uFEFFa", "a"],
  "\uFEFF a": ["\uFEFF a", " a", "a"],
  "a\uFEFF": ["a\uFEFF", "a"],
  "a\n": ["a\n", "a"],
  " a \r\n": [" a \r\n", " a ", "a"],
  "a\n\n": ["a\n\n", "a\n", "a"],
  "a\nb": ["a\nb"],
  " a ,;": [" a ,;", "a ,;", "a"],
  "a;b": ["a;b"],
  "": [""],
});

describePass("what is in quotation marks", literals, {
  "no mark": [],
  "an 'open one": [],
  "''": [""],
  'a "b" c': ["b", " c"].slice(0, 1),
  "a 'b' `c`": ["b", "c"],
  "'a' 'b'": ["a", " ", "b"],
  "'it''s'": ["it", "it''s", "", "s"],
  "'it\\'s'": ["it\\", "it\\'s", "s"],
  '"a\\\\" b': ["a\\\\"],
  '\\"a\\" "b': ["a\\", " "],
});

const long = (length: number) => "x".repeat(length);

describe("what is in quotation marks", () => {
  test("is looked for up to so long, by each of the rules", () => {
    expect(read(literals, `'${long(16_384)}'`)).toEqual([long(16_384)]);
    expect(read(literals, `'${long(16_385)}'`)).toEqual([]);
    expect(read(literals, `'\\'${long(16_381)}'`)).toContain(`\\'${long(16_381)}`);
    expect(read(literals, `'\\'${long(16_382)}'`)).not.toContain(`\\'${long(16_382)}`);
  });

  test("is read past so many marks that are written twice", () => {
    const twice = (times: number) => `'${"''".repeat(times)}'`;
    const [most, more] = [twice(64), twice(65)];
    expect(read(literals, most)).toContain(most.slice(1, -1));
    expect(read(literals, more)).not.toContain(more.slice(1, -1));
  });
});

describePass("the words of a shell", shellWords, {
  "a b": [],
  "A='b c'd e": ["A=b cd", "b cd", "c"],
  'A="b \\"c\\" \\$d \\e"': ['A=b "c" $d \\e', 'b "c" $d \\e', '"c"', "$d", "e"],
  "x=a\\ b;c": ["x=a b", "a b"],
  'x="a\\ b c"': ["x=a\\ b c", "a\\ b c", "c"],
  "x(a'b')": ["x(ab)", "ab)"],
  "'it'\\''s' 'x": ["it's", ""],
  "k:'v'|w": ["k:v", "v"],
  [`${long(64)}'a'`]: [`${long(64)}a`],
  [`${long(65)}'a'`]: [],
});

describePass("what follows a name that speaks of a secret", namedValues, {
  "name=x": [],
  "password=x": ["x"],
  "PGPASSWORD = x y": ["x", "x y"],
  "pass: a;b": ["a", "a;b"],
  "db_token => v": ["v"],
  "secret.of-the_app := v": ["v"],
  '"apiKey": "v"': ['"v"', '"v'],
  "'auth' 'v'": ["'v'", "'v"],
  "bearer v\nsecret=w": ["v", "w"],
  "pwd=a@b@c": ["a", "a@b", "a@b@c"],
  "uri=u,url=v": ["u", "u,url=v", "v"],
  "cred=c,dsn=d": ["c", "c,dsn=d", "d"],
  "conn=c,jdbc=d,basic=e": ["c", "c,jdbc=d,basic=e", "d", "d,basic=e", "e"],
  "pass x  ": ["x", "x  "],
  "pass x y.      ": ["x", "x y.      ", "x y.", "x y"],
});

test("a name may be so long and no longer", () => {
  expect(read(namedValues, `pass${long(40)}=v`)).toEqual(["v"]);
  expect(read(namedValues, `pass${long(41)}=v`)).toEqual([]);
});

describePass("what stands between the colon and the @ of an address", userinfos, {
  "u:p@h": [],
  "s://u:p@h": ["p"],
  "s://:p@h": ["p"],
  "s://u:p@q@h/x@y z@": ["p", "p@q@h/x"],
  "s://u:@h": [],
  "s://u:p h@": [],
  "s://u/v:p@h": [],
  "s://a:1@h t://b:2@h": ["1", "2"],
  [`s://${long(200)}:p@h`]: ["p"],
  [`s://${long(201)}:p@h`]: [],
});

describePass("words", words, {
  "": [],
  " a\tb\nc ": ["a", "b", "c"],
  "a.": ["a.", "a"],
  "a.,;:!": ["a.,;:!", "a.,;:", "a.,;", "a.,", "a."],
  a_: ["a_"],
  "(a)": ["(a)", "(a", "a)", "a"],
  "“a”": ["“a”", "“a", "a”", "a"],
  "((a": ["((a", "a"],
  "*_a": ["*_a", "a"],
});

test("a word is told once, where nothing is around it", () => {
  expect([...words("a.")]).toEqual(["a.", "a"]);
  expect([...words("..")]).toEqual(["..", ".", ""]);
});

test("a word may be so long and no longer", () => {
  expect(read(words, long(4_096))).toEqual([long(4_096)]);
  expect(read(words, `${long(4_097)} a`)).toEqual(["a"]);
});

describePass("what is assigned", assigned, {
  a: ["a"],
  "k=a": ["k=a", "a"],
  "k= a b": ["k=", "k", "k= a b", "a", "a b", " a b", "b"],
  "a\nb": ["a", "b"],
  "a  b": ["a", "a  b", "b"],
  "a b\r\n": ["a", "a b", "b", ""],
  "k:a;b&c,d)e}f@g<h\"i'j": [
    "k:a",
    "k:a;b",
    "k:a;b&c",
    "k:a;b&c,d",
    "k:a;b&c,d)e",
    "k:a;b&c,d)e}f",
    "k:a;b&c,d)e}f@g",
    "k:a;b&c,d)e}f@g<h",
    'k:a;b&c,d)e}f@g<h"i',
    "k:a;b&c,d)e}f@g<h\"i'j",
    "a",
    "a;b",
    "a;b&c",
    "a;b&c,d",
    "a;b&c,d)e",
    "a;b&c,d)e}f",
    "a;b&c,d)e}f@g",
    "a;b&c,d)e}f@g<h",
    'a;b&c,d)e}f@g<h"i',
    "a;b&c,d)e}f@g<h\"i'j",
  ],
});

test("what is assigned may be so long and no longer", () => {
  expect(read(assigned, `k=${long(5_000)}`)).toContain(long(4_096));
  expect(Math.max(...read(assigned, `k=${long(5_000)}`).map(({ length }) => length))).toBe(4_096);
});

describePass("the parts of a line", parts, {
  a: ["a"],
  "a-b": ["a-b"],
  "a b": ["a", "a b", "b"],
  "a=b\nc": ["a", "a=b", "b", "c"],
  "=a=": ["=a", "=a=", "a", "a="],
});

test("a part holds so many marks and no more", () => {
  const line = (marks: number) => `a${":b".repeat(marks)}`;
  expect(read(parts, line(23))).toContain(line(23));
  expect(read(parts, line(24))).not.toContain(line(24));
  expect(read(parts, line(24))).toContain(line(24).slice(2));
});

test.each(["\"'`“”‘’«»=:,;&@|<>()[]{}/.!?#*$%^+~\\ \t"].flatMap((marks) => [...marks]))(
  "a part ends at %j",
  (mark) => {
    expect(read(parts, `a${mark}b`)).toEqual(["a", `a${mark}b`, "b"]);
  },
);
