import * as fc from "fast-check";
import { expect, test } from "vitest";
import { intentTags, type KeyMark, markTag, ownerTags, readMarks } from "./marks.ts";

const id = "AKIA0000000000000001";
const odd = fc
  .string({ minLength: 1, maxLength: 20, unit: "grapheme" })
  .filter((text) => text.isWellFormed());

test("what is marked is read again, whatever it is called", () => {
  const marks = fc.record<KeyMark>({
    accessKeyId: fc.constant(id),
    verb: fc.constantFrom("create", "set", "retire"),
    epoch: fc.nat(),
    fingerprint: fc.oneof(
      fc.constant(""),
      odd.filter((text) => text !== "-"),
    ),
    rotationId: odd,
    at: fc.nat(),
    imported: fc.boolean(),
    newest: fc.boolean(),
  });
  fc.assert(
    fc.property(marks, odd, odd, (mark, installation, ref) => {
      const fence = { installation, ref, rotationId: "", epoch: 0, fingerprint: "" };
      const intent = { rotationId: mark.rotationId, at: mark.at, known: [id] };
      const tags = [...ownerTags(fence), ...intentTags(intent), markTag(mark)];
      for (const { Value } of tags) expect(Value).toMatch(/^[\w .:/=+\-@]*$/);
      expect(readMarks(tags)).toEqual({ installation, secret: ref, intent, keys: [mark] });
    }),
  );
});

/** Whoever writes this has said that a key is being made, as Keyturn does before it makes one. */
const isIntent = (value: string) => /^[^ ]+ \d{1,15}( |$)/.test(value);

test("a person's tags are no marks", () => {
  const tags = fc.array(
    fc.record({
      Key: fc.oneof(fc.string(), fc.constantFrom("keyturn:key:X", "keyturn:minting")),
      Value: fc.string().filter((value) => !isIntent(value)),
    }),
  );
  fc.assert(
    fc.property(tags, (some) => {
      expect(readMarks(some).keys).toEqual([]);
      expect(readMarks(some).intent).toBeUndefined();
    }),
  );
  expect(readMarks([{ Key: "team", Value: "billing" }])).toEqual({
    installation: undefined,
    secret: undefined,
    intent: undefined,
    keys: [],
  });
});

test("the longest that there may be fits into a tag", () => {
  const uuid = "00000000-0000-4000-8000-000000000000";
  const fence = { installation: uuid, ref: "r".repeat(200), rotationId: uuid, epoch: 1, fingerprint: "" };
  const longest = markTag({
    accessKeyId: id,
    verb: "retire",
    epoch: 999_999_999,
    fingerprint: `${uuid}:${"0".repeat(32)}`,
    rotationId: `direct-${uuid}`,
    at: 9_999_999_999_999,
    imported: true,
    newest: true,
  });
  const intent = intentTags({ rotationId: uuid, at: 9_999_999_999_999, known: [id, id] });
  for (const { Key, Value } of [...ownerTags(fence), longest, ...intent]) {
    expect(Key?.length).toBeLessThanOrEqual(128);
    expect(Value?.length).toBeLessThanOrEqual(256);
  }
});
