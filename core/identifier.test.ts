import { expect, test } from "vitest";
import { newId } from "./identifier.ts";

const random = (byte: (index: number) => number) => ({
  bytes: (length: number) => Uint8Array.from({ length }, (_, index) => byte(index)),
});

test.each([
  [(index: number) => index, "00010203-0405-4607-8809-0a0b0c0d0e0f"],
  [() => 0xff, "ffffffff-ffff-4fff-bfff-ffffffffffff"],
  [() => 0, "00000000-0000-4000-8000-000000000000"],
])("an id is a UUID of version 4 and takes all else from chance: %#", (byte, id) => {
  expect(newId(random(byte))).toBe(id);
});
