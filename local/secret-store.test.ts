import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { Secret } from "../core/secret.ts";
import { describeSecretStore } from "../core/secret-store.contract.ts";
import { systemClock } from "./clock.ts";
import { temporaryFolder } from "./folder.contract.ts";
import { Keyring } from "./keyring.ts";
import { localSecretStore, openSecretsFile } from "./secret-store.ts";

const oldKey = new Uint8Array(32).fill(1);
const newKey = new Uint8Array(32).fill(2);

async function openAt(path: string, keys: readonly Uint8Array[] = [oldKey]) {
  const database = await openSecretsFile(path, true);
  return {
    store: localSecretStore(database, new Keyring(keys), systemClock),
    close: async () => database.close(),
    reopen: () => openAt(path, keys),
  };
}

describeSecretStore("local", () => openAt(join(temporaryFolder(), "secrets.db")));

/** Changes the file behind the store's back. */
async function tampered(change: string): Promise<Awaited<ReturnType<typeof openAt>>> {
  const path = join(temporaryFolder(), "secrets.db");
  const { store, close } = await openAt(path);
  for (const ref of ["a", "b"]) await store.savePending(ref, "v1", new Secret(`value of ${ref}`));
  await close();
  using file = new DatabaseSync(path);
  file.exec(change);
  return openAt(path);
}

test.each([
  ["a bit of the ciphertext", "UPDATE versions SET sealed = unhex('00' || substr(hex(sealed), 3))"],
  [
    "a bit of the tag",
    "UPDATE versions SET sealed = unhex(substr(hex(sealed), 1, 2 * length(sealed) - 2) || '00')",
  ],
  ["the nonce", "UPDATE versions SET iv = unhex('00112233445566778899aabb')"],
  ["the nonce's length", "UPDATE versions SET iv = x'00'"],
  ["everything of it", "UPDATE versions SET sealed = x''"],
  ["its type", "UPDATE versions SET iv = NULL"],
  [
    "its row: two secrets were exchanged",
    `UPDATE versions SET (sealed, iv) = (SELECT sealed, iv FROM versions AS other WHERE other.ref <> versions.ref)`,
  ],
  [
    "its name",
    "UPDATE versions SET ref = 'c' WHERE ref = 'b'; UPDATE versions SET ref = 'b' WHERE ref = 'a'; UPDATE versions SET ref = 'a' WHERE ref = 'c'",
  ],
])("a value is broken, and never read as another, when somebody changed %s", async (_, change) => {
  const { store, close } = await tampered(change);
  const broken = { code: "data-broken", message: expect.stringContaining("secrets.db") };
  await expect(store.read("a", "pending")).rejects.toMatchObject(broken);
  await expect(store.savePending("a", "v1", new Secret("x"))).rejects.toMatchObject(broken);
  await close();
});

test("after a change of keys old values are read by the old one, and new ones sealed by the new one", async () => {
  const path = join(temporaryFolder(), "secrets.db");
  const before = await openAt(path, [oldKey]);
  await before.store.savePending("a", "v1", new Secret("one"));
  await before.store.promote("a", "v1", undefined);
  await before.close();

  const both = await openAt(path, [newKey, oldKey]);
  await both.store.savePending("a", "v2", new Secret("two"));
  expect((await both.store.read("a", "current"))?.value.reveal()).toBe("one");
  await both.close();

  const after = await openAt(path, [newKey]);
  expect((await after.store.read("a", "pending"))?.value.reveal()).toBe("two");
  await expect(after.store.read("a", "current")).rejects.toMatchObject({ code: "key-missing" });
  await after.close();
});

test("the same value is never sealed twice to the same bytes", () => {
  const keyring = new Keyring([oldKey]);
  const sealed = Array.from({ length: 50 }, () => keyring.seal("value", "place"));
  expect(new Set(sealed.map(({ iv }) => Buffer.from(iv).toString("hex"))).size).toBe(50);
  expect(new Set(sealed.map((value) => Buffer.from(value.sealed).toString("hex"))).size).toBe(50);
});
