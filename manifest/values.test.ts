import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadManifest } from "./load.ts";
import { inspectConfig, namesASecret } from "./values.ts";

describe("names of fields that would hold a value", () => {
  it.each([
    "password",
    "dbPassword",
    "PGPASSWORD",
    "api_key",
    "apiKey",
    "accessToken",
    "client-secret",
    "tokens",
    "sslkey",
  ])("%s is one", (name) => expect(namesASecret(name)).toBe(true));
  it.each(["publicKey", "keyspace", "tokenUrl", "passwordPolicy", "host", "monkey", "owner"])(
    "%s is none",
    (name) => expect(namesASecret(name)).toBe(false),
  );
});

describe("values in a config", () => {
  it.each([
    [{ password: "hunter2" }, ["config", "password"]],
    [{ pin: { password: 1234 } }, ["config", "pin", "password"]],
    [{ hosts: [{ name: "a", tokens: ["x"] }] }, ["config", "hosts", 0, "tokens"]],
    [{ secret: "hunter2" }, ["config", "secret"]],
    [{ url: "postgres://app:hunter2@db/billing" }, ["config", "url"]],
    [{ url: "host=db password=hunter2" }, ["config", "url"]],
    [{ pem: "-----BEGIN EC PRIVATE KEY-----\nhunter2" }, ["config", "pem"]],
  ])("are found: %j", (config, field) => {
    expect(inspectConfig(config, ["config"]).suspects.map((suspect) => suspect.field)).toEqual([field]);
  });

  it("are not seen in references, addresses, certificates and nothing", () => {
    const config = {
      password: { secret: "billing/db-admin" },
      url: "postgres://app@db:5432/billing",
      when: "12:00@noon",
      pem: "-----BEGIN CERTIFICATE-----",
      key: null,
      keys: [],
    };
    expect(inspectConfig(config, [])).toEqual({
      suspects: [],
      references: [{ field: ["password", "secret"], ref: "billing/db-admin" }],
    });
  });

  it("make the manifest refused, and its message does not repeat them", () => {
    const folder = mkdtempSync(join(tmpdir(), "keyturn-values-"));
    const path = join(folder, "keyturn.yaml");
    const secret =
      "store: here, type: x, password: hunter2, config: { password: hunter2, url: 'https://a:hunter2@b' }";
    writeFileSync(
      path,
      `stores: { here: { local: { path: s } } }\nsecrets: { a: { ${secret} }, b: { ${secret.replace("password: hunter2, ", "")} } }`,
    );
    let message = "";
    try {
      loadManifest(path);
    } catch (error) {
      message = String(error);
    }
    rmSync(folder, { recursive: true });
    expect(message.match(/references, never values/g)).toHaveLength(5);
    expect(message).not.toContain("hunter2");
  });
});
