import { inspect } from "node:util";
import { expect, test } from "vitest";
import { memoryJournal } from "../local/memory.ts";
import { createFingerprinter, fingerprintFields } from "./fingerprint.ts";
import { identify } from "./identify.ts";
import { LeakedText } from "./leaked.ts";
import { Secret } from "./secret.ts";

const password = "q9Xv2LmT8rZk4WcN-7_pd";
const key = (byte: number) => ({ id: `k${byte}`, bytes: new Uint8Array(32).fill(byte) });
const fingerprinter = createFingerprinter([key(2), key(1)]);
const leakedIn = (text: string) => new LeakedText(new Secret(text));

test("a value is found in a text, whichever key it was fingerprinted by", async () => {
  const journal = memoryJournal();
  const older = createFingerprinter([key(1)]);
  for (const [version, by] of [
    ["v1", older],
    ["v2", fingerprinter],
  ] as const) {
    await journal.remember("app/db", version, fingerprintFields({ password: new Secret(password) }, by));
  }
  const found = await identify({ journal, fingerprinter }, leakedIn(`PGPASSWORD=${password} psql`));
  expect(found.toSorted((one, other) => one.version.localeCompare(other.version))).toEqual([
    { ref: "app/db", version: "v1", field: "password" },
    { ref: "app/db", version: "v2", field: "password" },
  ]);
  expect(await identify({ journal, fingerprinter }, leakedIn(`${password.slice(1)} psql`))).toEqual([]);
});

test("of a text only fingerprints come out, by every key, and none of what anybody could guess", () => {
  expect(leakedIn(password).fingerprints(fingerprinter)).toEqual(
    expect.arrayContaining([...fingerprinter.candidates(password)]),
  );
  expect(leakedIn("changeme").fingerprints(fingerprinter)).toEqual([]);
  const leaked = leakedIn(password);
  const shown = `${inspect(leaked, { depth: 9, showHidden: true })} ${JSON.stringify({ leaked })} ${leaked}`;
  expect(shown).not.toContain(password);
  expect(JSON.stringify({ leaked })).toBe('{"leaked":"[leaked text]"}');
});

test("a text tells whether all of it was tried", () => {
  expect(leakedIn(password).complete).toBe(true);
  expect(leakedIn("%25".repeat(40)).complete).toBe(true);
  const deep = Array.from({ length: 9 }).reduce<string>((text) => encodeURIComponent(text), "%");
  expect(leakedIn(deep).complete).toBe(false);
});
