import { expect, test } from "vitest";
import { ref, secretOf, value, world } from "./adopt.contract.ts";
import { newRecord } from "./record.ts";
import { namesOf } from "./same-login.ts";

const theirs = secretOf("legacy-canary-3Vq81", "theirs");
const at = (version: string, fingerprint: string) => ({ version, fingerprint, since: 0 });

test("an import in other words is known by the name before it as well, before anything of it can be read", async () => {
  const seen: (readonly string[])[] = [];
  const it = world({
    store: (own) => ({
      savePending: async (name, version, saved) => {
        const record = (await it.ports.journal.load(ref))?.record;
        seen.push(namesOf(record ?? newRecord(ref), version));
        return own.savePending(name, version, saved);
      },
    }),
  });
  await it.keep("v1", theirs);
  await it.put({ current: at("v1", it.print(theirs)) });
  const { version, record } = await it.bring();
  expect(seen).toEqual([[version, "v1"]]);
  expect(namesOf(record, "v1")).toEqual(["v1", version]);
});

test("an import of what is stored already in other words, which no record knows, is known by that name as well", async () => {
  const it = world();
  await it.keep("v1", theirs);
  const { version, record } = await it.bring();
  expect(namesOf(record, "v1")).toEqual(["v1", version]);
});

test("an import that takes the place of what is dead has its own name alone", async () => {
  const it = world({ verbs: { refused: async () => "refused" } });
  await it.keep("v1", secretOf("another-canary-9Xw2"));
  const { version, record } = await it.bring();
  expect(namesOf(record, version)).toEqual([version]);
  expect(record.sameLogin).toEqual([]);
});

test("of what is stored once more as it was, both names are known", async () => {
  const it = world();
  await it.keep("v2", value);
  await it.put({ current: at("v1", it.print(value)) });
  const { version, record } = await it.bring();
  expect(version).toBe("v2");
  expect(namesOf(record, "v1")).toContain("v2");
});

test("a login that has leaked is not brought back in other words", async () => {
  const it = world();
  await it.keep("v1", theirs);
  const current = at("v1", it.print(theirs));
  await it.put({ current, compromised: [{ ...current, reportedBy: "bob", at: 0 }] });
  expect(await it.failure()).toMatchObject({
    code: "request-refused",
    message: "this value of app/db is compromised: change it at its target by hand, and import the new one",
  });
  expect(await it.current()).toMatchObject({ version: "v1" });
});

test("an import that ended in the middle and is made again still knows the name that the fleet uses", async () => {
  let isEnding = true;
  const it = world({
    verbs: {
      adopt: async () => {
        if (isEnding) throw new Error("the process has ended");
      },
    },
  });
  await it.keep("v0", theirs);
  expect(await it.failure()).toMatchObject({ message: expect.stringContaining("has ended") });
  isEnding = false;
  const { version, record } = await it.bring();
  expect(version).not.toBe("v0");
  expect(namesOf(record, version)).toContain("v0");
});

test("an import that another one came before, in other words, is made again, and knows the name of that one", async () => {
  let reads = 0;
  const it = world({
    store: (own) => ({
      read: async (name, which) => {
        const found = await own.read(name, which);
        if (which !== "current") return found;
        reads += 1;
        // Once it has looked which name the fleet uses.
        if (reads === 1) {
          await own.savePending(name, "v0", theirs);
          await own.promote(name, "v0", undefined);
        }
        return found;
      },
    }),
  });
  const { version, record } = await it.bring();
  expect(namesOf(record, version)).toContain("v0");
});
