import { inspect } from "node:util";
import { SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { describe, expect, test } from "vitest";
import { Keyring } from "../local/keyring.ts";
import { assertKeysThere, readFingerprinter } from "./fingerprinter.ts";
import { answer, refusal, type Scripted, scriptedService } from "./scripted-service.contract.ts";

async function readFrom(said: Scripted) {
  await using service = await scriptedService(said);
  const client = new SecretsManagerClient(service.config);
  try {
    return await readFingerprinter(client, "keyturn/fingerprints");
  } finally {
    client.destroy();
  }
}

const secret = (SecretString: string) => answer({ SecretString });
const [one, two] = [Buffer.alloc(32, 1), Buffer.alloc(32, 250)];
const [oneText, twoText] = [one.toString("base64"), two.toString("base64url")];
const value = "s3cr3t-of-some-length";

describe("fingerprints by keys in Secrets Manager", () => {
  test.each([
    ["one key as it is", oneText, [one]],
    ["one key with a line's end", `${oneText}\n`, [one]],
    ["a list of one", JSON.stringify([oneText]), [one]],
    ["a list, the newest first, in either alphabet", JSON.stringify([twoText, oneText]), [two, one]],
    [
      "what Secrets Manager makes without punctuation",
      "a".repeat(43),
      [Buffer.from("a".repeat(43), "base64")],
    ],
  ])("are those of a store on one machine with the same keys: %s", async (_, text, keys) => {
    const fingerprinter = await readFrom(secret(text));
    const local = new Keyring(keys).fingerprinter;
    expect(fingerprinter.fingerprint(value)).toBe(local.fingerprint(value));
    expect(fingerprinter.candidates(value)).toEqual(local.candidates(value));
    expect(fingerprinter.candidates(value)).toHaveLength(keys.length);
  });

  test("stay what they are, whatever becomes of this code", async () => {
    const fingerprinter = await readFrom(secret(oneText));
    // By Python's hmac: HKDF-SHA-256 of the key for "keyturn/id" and "keyturn/fingerprint", then HMAC-SHA-256 of the value.
    expect(fingerprinter.fingerprint(value)).toBe("037df88788138782:528f312c01fe62f7ab54c7c1ac3a6e02");
  });

  test.each([
    ["the secret is not there", refusal("ResourceNotFoundException"), "key-missing"],
    ["the secret is to be deleted", refusal("InvalidRequestException"), "key-missing"],
    ["it holds bytes", answer({ SecretBinary: "Y2FuYXJ5" }), "key-missing"],
    ["it holds nothing", secret(""), "key-missing"],
    ["it holds an empty list", secret("[]"), "key-missing"],
    ["a key is too short", secret(JSON.stringify([oneText, "canary"])), "key-missing"],
    ["a key is a number", secret("[7]"), "key-missing"],
    ["it holds fields", secret('{"canary":1}'), "key-missing"],
    ["the role may not", refusal("AccessDeniedException"), "role-lacks-rights"],
    ["the role may not decrypt", refusal("DecryptionFailure"), "store-unavailable"],
    ["it is throttled", refusal("ThrottlingException"), "throttled"],
    ["nobody answers", "hangs up" as const, "store-unavailable"],
  ])("are not made where %s, and the error has nothing of the secret", async (_, said, code) => {
    const thrown: unknown = await readFrom(said).catch((caught: unknown) => caught);
    expect(thrown).toMatchObject({ code });
    expect(inspect(thrown)).toContain("keyturn/fingerprints");
    expect(inspect(thrown, { depth: 9 })).not.toMatch(/canary|AQEB/);
  });
});

describe("whether the keys are there", () => {
  const look = async (said: Scripted) => {
    await using service = await scriptedService(said);
    const client = new SecretsManagerClient(service.config);
    await assertKeysThere(client, "keyturn/fingerprints").finally(() => client.destroy());
    return service.asked.map(({ operation }) => operation);
  };

  test("is seen without reading them", async () => {
    expect(await look(answer({ Name: "keyturn/fingerprints" }))).toEqual(["DescribeSecret"]);
  });

  test.each([
    ["gone", refusal("ResourceNotFoundException"), "key-missing", "is not there"],
    [
      "to be deleted",
      answer({ DeletedDate: 1_800_000_000 }),
      "key-missing",
      "aws secretsmanager restore-secret",
    ],
    ["not to be seen by the role", refusal("AccessDeniedException"), "role-lacks-rights", "looking for"],
    ["out of reach", "hangs up" as const, "store-unavailable", "looking for"],
  ])("is told where they are %s", async (_, said, code, words) => {
    await expect(look(said)).rejects.toMatchObject({ code, message: expect.stringContaining(words) });
  });
});
