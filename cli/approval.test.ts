import { generateKeyPairSync } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { approve, personOf, readApproval, readPrivateKey, readRequest, writeRequest } from "./approval.ts";

const directory = mkdtempSync(join(tmpdir(), "keyturn-approval-"));
afterAll(() => rmSync(directory, { recursive: true }));

const now = Date.UTC(2026, 0, 31, 3);
const minute = 60_000;

function someone(name: string) {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const path = join(directory, `${name}.pem`);
  const pem = privateKey.export({ format: "pem", type: "pkcs8" });
  writeFileSync(path, pem, { mode: 0o600 });
  const key = publicKey.export({ format: "der", type: "spki" }).toString("base64");
  return { person: { name, key }, privateKey, path };
}

const alice = someone("alice");
const bob = someone("bob");
const mallory = someone("mallory");
const manifest = { people: new Map([alice, bob].map(({ person }) => [person.name, person])) };
const secrets = [
  { ref: "acme/db", version: "v1" },
  { ref: "acme/queue", version: "v9" },
];
const request = writeRequest({ secrets, cutFirst: false, by: "alice" }, now);
const approval = approve(request, bob.person, bob.privateKey);
const refused = (message: string) =>
  expect.objectContaining({ code: "request-refused", message: expect.stringContaining(message) });

describe("an approval", () => {
  test("by another person of the manifest, in time, counts", () => {
    expect(readRequest(JSON.stringify(request, null, 2), now + minute)).toEqual(request);
    expect(readApproval(JSON.stringify(approval), manifest, "alice", now + 14 * minute)).toEqual(approval);
  });

  test("is not one's own", () => {
    expect(() => approve(request, alice.person, alice.privateKey)).toThrow(refused("alice asks"));
    const own = { ...approval, by: "alice" };
    expect(() => readApproval(JSON.stringify(own), manifest, "alice", now)).toThrow(
      refused("another must agree"),
    );
  });

  test("is only for who has asked", () => {
    expect(() => readApproval(JSON.stringify(approval), manifest, "bob", now)).toThrow(
      refused("who has asked"),
    );
  });

  test("says nothing when its name, key or signature is another's", () => {
    const forged = approve(request, { name: "bob", key: mallory.person.key }, mallory.privateKey);
    expect(() => readApproval(JSON.stringify(forged), manifest, "alice", now)).toThrow(refused("not bob's"));
    const unknown = approve(request, mallory.person, mallory.privateKey);
    expect(() => readApproval(JSON.stringify(unknown), manifest, "alice", now)).toThrow(
      refused("no person mallory"),
    );
    expect(() => personOf(manifest, mallory.privateKey)).toThrow(refused("nobody's"));
    expect(personOf(manifest, bob.privateKey)).toEqual(bob.person);
    for (const signature of ["", "bm8=", "???"]) {
      const unsigned = JSON.stringify({ ...approval, signature });
      expect(() => readApproval(unsigned, manifest, "alice", now)).toThrow(refused("not bob's"));
    }
  });

  test.each([
    ["another version", { secrets: [{ ref: "acme/db", version: "v2" }] }],
    ["one more secret", { secrets: [...secrets, { ref: "acme/mail", version: "v1" }] }],
    ["another order", { secrets: secrets.toReversed() }],
    ["a host", { agent: "host-1" }],
    ["a cut before the successors", { cutFirst: true }],
    ["another nonce", { nonce: "0".repeat(32) }],
  ])("is broken by %s", (_, change) => {
    const changed = { ...approval, request: { ...request, ...change } };
    expect(() => readApproval(JSON.stringify(changed), manifest, "alice", now)).toThrow(refused("signature"));
  });

  test("ends after fifteen minutes, and cannot give itself more, nor begin in the future", () => {
    expect(() => readApproval(JSON.stringify(approval), manifest, "alice", now + 16 * minute)).toThrow(
      refused("ask again"),
    );
    expect(() => readRequest(JSON.stringify(request), now + 16 * minute)).toThrow(refused("ask again"));
    const long = approve(
      { ...request, until: new Date(now + 60 * minute).toISOString() },
      bob.person,
      bob.privateKey,
    );
    expect(() => readApproval(JSON.stringify(long), manifest, "alice", now)).toThrow(refused("ask again"));
    expect(() => readRequest(JSON.stringify(request), now - 5 * minute)).toThrow(refused("ask again"));
    for (const until of ["", "soon", "9999-99-99"]) {
      expect(() => readRequest(JSON.stringify({ ...request, until }), now)).toThrow(refused("ask again"));
    }
  });

  test.each([
    "",
    "{}",
    "null",
    "[]",
    "no JSON",
    JSON.stringify(request),
    JSON.stringify({ ...approval, more: 1 }),
  ])("is not %j", (text) => {
    expect(() => readApproval(text, manifest, "alice", now)).toThrow(
      expect.objectContaining({ code: "input-invalid" }),
    );
  });

  test("of a person whose key is no key is the manifest's fault", () => {
    const people = new Map([["bob", { name: "bob", key: "AAAA" }]]);
    expect(() => readApproval(JSON.stringify(approval), { people }, "alice", now)).toThrow(
      expect.objectContaining({ code: "manifest-invalid" }),
    );
  });
});

describe("a private key", () => {
  test("is read from a file that is its owner's alone", () => {
    expect(readPrivateKey(bob.path).equals(bob.privateKey)).toBe(true);
    for (const mode of [0o640, 0o604, 0o666]) {
      chmodSync(bob.path, mode);
      expect(() => readPrivateKey(bob.path)).toThrow(`chmod 600 ${bob.path}`);
    }
    chmodSync(bob.path, 0o600);
  });

  test("of another kind, or none, is refused without a word of it", () => {
    const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({
      format: "pem",
      type: "pkcs8",
    });
    const path = join(directory, "other.pem");
    for (const text of [String(rsa), "canary-not-a-key", ""]) {
      writeFileSync(path, text, { mode: 0o600 });
      expect(() => readPrivateKey(path)).toThrow(/no Ed25519 private key/);
      expect(() => readPrivateKey(path)).not.toThrow(/canary/);
    }
    expect(() => readPrivateKey(join(directory, "absent.pem"))).toThrow(
      expect.objectContaining({ code: "input-invalid" }),
    );
    expect(() => readPrivateKey(directory)).toThrow(expect.objectContaining({ code: "input-invalid" }));
  });
});
