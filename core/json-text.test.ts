import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { withMembers } from "./json-text.ts";

const texts = fc.string({ unit: fc.constantFrom(...'abc "\\/{}[]:,\n\0é\u2028\u{1f600}') });

describe("members of a JSON text", () => {
  test("are replaced, and every other byte stays", () => {
    const text = `{ "username":"a",\n  "id": 12345678901234567890.10,  "nested": {"password": [1e400, "\\u00e9\\/", {"a":"}"}]},
  "password" : "old\\"," , "n":null}`;
    expect(withMembers(text, { password: 'ne"w' })).toBe(text.replace('"old\\","', '"ne\\"w"'));
  });

  test("are added at the end", () => {
    expect(withMembers("{}", { a: 1 })).toBe('{"a":1}');
    expect(withMembers(' { "b" : [ ] } ', { a: "x", c: 2 })).toBe(' { "b" : [ ],"a":"x","c":2 } ');
  });

  test("are all replaced where one is there twice, however its name is written", () => {
    expect(withMembers('{"a":1,"\\u0061":{"a":2}}', { a: 3 })).toBe('{"a":3,"\\u0061":3}');
  });

  test("read back as they would by parsing and writing", () => {
    fc.assert(
      fc.property(
        fc.dictionary(texts, fc.jsonValue()),
        fc.dictionary(texts, texts),
        fc.constantFrom(undefined, 2),
        (kept, members, indent) => {
          const text = JSON.stringify(kept, undefined, indent);
          const changed: unknown = JSON.parse(withMembers(text, members));
          expect(membersOf(changed)).toEqual(membersOf(JSON.parse(JSON.stringify({ ...kept, ...members }))));
        },
      ),
    );
  });
});

/** Sorted by name alone: what a member holds may not even be able to say what it is. */
function membersOf(json: unknown): readonly (readonly [string, unknown])[] {
  return Object.entries(Object(json)).sort(([one], [other]) => (one < other ? -1 : 1));
}
