import { describe, expect, test } from "vitest";
import { base64Texts, meanings } from "./leaked-meanings.ts";

/** What a piece may stand for besides itself. */
const table: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  "nothing else": {
    "": [],
    plain: [],
    "100%": [],
    "%zz%4": [],
    "a & b &c; &foo; &#; &#x; &amp": [],
    "\\": [],
    "}$'\"": [],
  },
  "percent-encoded": {
    "a%20b%C3%A9%e2%82%ac": ["a bé€"],
    "a%FFb%20c": ["a%FFb c"],
    "50%%20": ["50% ", "50%20"],
  },
  "a form": {
    "a+b": ["a b"],
    "a+b%2B": ["a+b+", "a b+"],
  },
  "escaped by a backslash": {
    "a\\nb": ["a\nb", "anb"],
    "\\t\\r\\b\\f\\v\\0": ["\t\r\b\f\v\0", "trbfv0"],
    '\\"\\\\\\q\\\n': ['"\\q\n', '"\\q\n'],
    "\\u00e9\\x41\\u12\\xg": ["éAu12xg", "u00e9x41u12xg"],
    "\\u00e9f\\x4142": ["éfA42", "u00e9fx4142"],
  },
  "an entity": {
    "&lt;&gt;&quot;&apos;&amp;&foo;": ["<>\"'&&foo;"],
    "&#39;&#x27;&#128273;&#x1F511;&#x1f511;": ["''🔑🔑🔑"],
    "&amp;&#1234567;&#x123456;&a;&abcde;": ["&&#1234567;&#x123456;&a;&abcde;"],
  },
  "written twice": {
    "it''s''": ["it's'"],
    'a""b': ['a"b'],
    "a}}b": ["a}b"],
    a$$b$$: ["a$b$"],
    "a%%b": ["a%b"],
    "''\"\"": ['\'""', "''\""],
  },
};

describe.each(Object.entries(table))("a piece stands for %s", (_, pieces) => {
  test.each(Object.entries(pieces))("%j", (piece, expected) => {
    expect(meanings(piece)).toEqual(expected);
  });
});

const base64 = (text: string | Buffer) => Buffer.from(text).toString("base64");
const utf16 = (text: string) => Buffer.from(text, "utf16le");
const long = "a text that is so long that it is folded when it is written into a letter";
const folded = (end: string) => base64(long).replaceAll(/(.{48})/g, `$1${end}`);

describe("base64", () => {
  test.each<[string, string, readonly string[]]>([
    ["alone", base64("passwords"), ["passwords"]],
    ["with its padding", `${base64("passwords!")} ${base64("passwords!!")}`, ["passwords!", "passwords!!"]],
    ["for addresses", Buffer.from("~~~???~~~").toString("base64url"), ["~~~???~~~"]],
    ["in prose", `it is "${base64("passwords")}", I think`, ["passwords"]],
    ["twice in a line", `${base64("passwords")} ${base64("passwordZ")}`, ["passwords", "passwordZ"]],
    ["behind a path", `https://host/files/${base64("passwords")}`, ["passwords"]],
    ["of UTF-16", base64(utf16("pässwords")), ["pässwords"]],
    ["with zeros, of an odd length", base64("a\0b\0c\0d\0e"), ["a\0b\0c\0d\0e"]],
    ["with a zero in one place", base64("abc\0defghi"), ["abc\0defghi"]],
    ["with a zero in another place", base64("a\0bcdefghi"), ["a\0bcdefghi"]],
    ["too short to be told from a word", base64("passwor"), []],
    ["of what is no text", base64(Buffer.alloc(12, 0xc1)), []],
  ])("%s", (_, text, expected) => {
    expect(base64Texts(text)).toEqual(expected);
  });

  test.each([
    ["by lines", "\n"],
    ["by lines of Windows", "\r\n"],
    ["by lines that are indented", "\n \t "],
  ])("that is folded %s is read as one", (_, end) => {
    expect(base64Texts(`key: ${folded(end)}\n`)).toContain(long);
  });

  test("that is folded is read as one, whatever stands before it", () => {
    expect(base64Texts(`=${folded("\n")}`)).toContain(long);
  });

  test.each([
    ["its first line is too short", base64(long).replaceAll(/(.{36})/g, "$1\n")],
    ["an empty line lies between", folded("\n\n")],
    ["a mark lies between", folded("\n. ")],
  ])("is not read as folded where %s", (_, text) => {
    expect(base64Texts(text)).not.toContain(long);
  });

  test("that is folded keeps its padding", () => {
    for (const end of ["", "!", "!!"]) {
      const text = base64(`${long}${end}`).replaceAll(/(.{48})/g, "$1\n");
      expect(base64Texts(text)).toContain(`${long}${end}`);
    }
  });
});
