import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import { beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { credentialTypes } from "../cli/credential-types.ts";
import type { Rotator } from "../core/rotator.ts";
import { lint, lintRules } from "../manifest/lint.ts";
import { readManifest } from "../manifest/read.ts";
import { fieldsOf } from "./fields.ts";
import { generatedFiles } from "./generate.ts";
import { manifestSchema } from "./manifest-schema.ts";

const root = join(import.meta.dirname, "..");
const page = readFileSync(join(root, "docs/manifest.md"), "utf8");
const example = /```yaml\n([\s\S]*?)```/.exec(page)?.[1] ?? "";

let types: ReadonlyMap<string, Rotator>;
let accepts: (manifest: unknown) => boolean;
beforeAll(async () => {
  types = await credentialTypes();
  // Strict: a keyword that no editor knows, or knows otherwise, is an error.
  const validate = new Ajv({
    strict: true,
    strictRequired: false,
    strictTypes: false,
    allErrors: true,
  }).compile(JSON.parse(readFileSync(join(root, "schemas/keyturn.schema.json"), "utf8")));
  accepts = (manifest) => validate(manifest);
});

/** Whether the loader takes a text; `include` is the file system's and left out here. */
function loads(text: string): boolean {
  const path = "/nowhere/keyturn.yaml";
  return readManifest(path, { facts: types, readText: () => text }).manifest !== undefined;
}

describe("what is generated", () => {
  it("is what the repository has; `npm run gen` writes it", async () => {
    const files = await generatedFiles(root);
    expect([...files.keys()]).toEqual(["schemas/keyturn.schema.json", "docs/manifest.md"]);
    for (const [path, text] of files) expect(readFileSync(join(root, path), "utf8")).toBe(text);
  });

  it("says something of every field, those of each type's config included", () => {
    const fields = fieldsOf(manifestSchema([...types.values()]));
    const configs = [...types.values()].flatMap(({ type }) => {
      const section = page.split(`\n### ${type}\n`)[1]?.split("\n###")[0] ?? "";
      const rows = [...section.matchAll(/^\| `(config[^`]*)` \|[^|]*\| (.*) \|$/gm)];
      return rows.map(([, path, description]) => ({
        path: `${type}: ${path}`,
        description: description ?? "",
      }));
    });
    expect(fields.length).toBeGreaterThan(60);
    expect(configs.length).toBeGreaterThan(types.size * 5);
    const silent = [...fields, ...configs].filter(({ description }) => description.trim().length < 10);
    expect(silent.map(({ path }) => path)).toEqual([]);
  });

  it("has a row for every field and every rule", () => {
    for (const { path } of fieldsOf(manifestSchema([...types.values()])))
      expect(page).toContain(`| \`${path}\` |`);
    for (const { id } of lintRules) expect(page).toContain(`| \`${id}\` |`);
  });
});

describe("the page's example", () => {
  it("uses every field there is", () => {
    const said = usedFields(parse(example));
    const fields = fieldsOf(manifestSchema([])).filter(({ kind }) => kind !== "nothing");
    const unused = fields.map(({ path }) => path).filter((path) => !said.has(path));
    // Variants of what it shows, and what is for rare cases.
    expect(unused).toEqual([
      "stores.<name>.local.key",
      "stores.<name>.aws.installation",
      "stores.<name>.aws.secretsBy",
      "stores.<name>.aws.role",
      "policies[].severity",
      "policies[].grace.atMost",
      "policies[].graceLimits.atLeast",
      "policies[].tenant.oneOf",
      "secrets.<name>.account",
      "secrets.<name>.grace.atLeast",
      "secrets.<name>.grace.onLaggards",
      "secrets.<name>.notify",
      "notify.<name>.webhook.tls",
      "notify.<name>.webhook.tls.ca",
      "notify.<name>.slack.tls",
      "notify.<name>.slack.tls.ca",
      "notify.<name>.pagerduty.url",
      "notify.<name>.pagerduty.tls",
      "notify.<name>.pagerduty.tls.ca",
    ]);
  });

  it("is accepted by the schema and by the loader, and lint has nothing to say of it", () => {
    const alone = example.replace(/^include: .*$/m, "");
    expect(accepts(parse(example))).toBe(true);
    expect(
      lint(readManifest("/nowhere/keyturn.yaml", { facts: types, readText: () => alone }), types),
    ).toEqual([]);
    expect(readManifest("/nowhere/keyturn.yaml", { facts: types, readText: () => alone }).problems).toEqual(
      [],
    );
  });
});

const store = "stores: { here: { local: { path: .keyturn } } }\n";
const admin = "a-admin: { store: here, type: held }";
const config = "config: { host: db.internal, database: d, owner: o }";
const secret = (fields: string): string =>
  `${store}secrets:\n  ${admin}\n  a: { store: here, type: postgres-alternating, admin: { secret: a-admin }, ${fields} }\n`;
const channel = (fields: string): string =>
  `${store}secrets: { ${admin} }\nnotify: { oncall: { ${fields} } }\n`;
const policy = (fields: string): string => `${store}policies:\n  - { match: "**", ${fields} }\n`;

describe("schema and loader accept the same", () => {
  it.each([
    ["nothing but a store", store],
    ["sections whose entries are commented out", `${store}secrets:\npolicies:\nnotify:\npeople:\n`],
    ["a secret", secret(config)],
    [
      "a duration",
      secret(`${config}, cacheTtl: 90s, grace: { atLeast: 5m, atMost: 24h, onLaggards: retire }`),
    ],
    ["an interval", secret(`${config}, schedule: { every: 30d, jitter: 1h }`)],
    ["a cron expression", secret(`${config}, schedule: { cron: "0 3 * * 1", timeZone: Europe/Berlin }`)],
    [
      "several windows",
      secret(`${config}, schedule: { every: 7d, window: ["Sat 02:00-06:00", "Sun 02:00-06:00"] }`),
    ],
    ["a held secret of a tenant", `${store}secrets: { a: { store: here, type: held, tenant: acme } }`],
    ["a PagerDuty channel", channel("pagerduty: { routingKey: { secret: a-admin } }")],
    ["a policy", policy("maxAge: 90d, requires: [window], tenant: { part: 1 }, severity: warning")],
  ])("%s", (_, text) => {
    expect(readManifest("/nowhere/keyturn.yaml", { facts: types, readText: () => text }).problems).toEqual(
      [],
    );
    expect(accepts(parse(text))).toBe(true);
  });

  it.each([
    ["an unknown section", "stroes: {}"],
    ["an unknown field", secret(`${config}, fleet: [a]`)],
    [
      "an unknown field of a config",
      secret("config: { host: db.internal, databas: d, database: d, owner: o }"),
    ],
    ["a config without what it needs", secret("config: { host: db.internal, owner: o }")],
    [
      "a config field of the wrong kind",
      secret(`config: { host: db.internal, port: "5432", database: d, owner: o }`),
    ],
    ["no config", secret("cacheTtl: 1m")],
    ["no store", `${store}secrets: { a: { type: held } }`],
    ["no type", `${store}secrets: { a: { store: here } }`],
    [
      "no administering login",
      `${store}secrets: { a: { store: here, type: postgres-alternating, ${config} } }`,
    ],
    ["a type that there is not", `${store}secrets: { a: { store: here, type: postgres } }`],
    [
      "a held secret that rotates",
      `${store}secrets: { a: { store: here, type: held, schedule: { every: 1d } } }`,
    ],
    ["a name that is none", `${store}secrets: { "a b": { store: here, type: held } }`],
    ["a number for a duration", secret(`${config}, cacheTtl: 60`)],
    ["a duration without a unit", secret(`${config}, cacheTtl: "60"`)],
    ["a store of a kind that is not there", "stores: { prod: { azure: { vault: kv } } }"],
    [
      "an account that is a number",
      "stores: { prod: { aws: { account: 111122223333, region: eu-west-1 } } }",
    ],
    [
      "a store of two kinds",
      "stores: { prod: { local: { path: p }, aws: { account: '111122223333', region: eu-west-1 } } }",
    ],
    ["a store of no kind", "stores: { prod: {} }"],
    ["a schedule that says nothing", secret(`${config}, schedule: {}`)],
    ["a schedule that says it twice", secret(`${config}, schedule: { every: 1d, cron: "0 3 * * *" }`)],
    ["a channel of no kind", channel("on: [failed]")],
    [
      "a channel of two kinds",
      channel("slack: { url: { secret: a-admin } }, pagerduty: { routingKey: { secret: a-admin } }"),
    ],
    [
      "a channel without TLS",
      channel(`webhook: { url: "http://hooks.example", signingSecret: { secret: a-admin } }`),
    ],
    ["a value for a reference", channel("slack: { url: https://hooks.example/T0/B0/x }")],
    ["a person without a key", `${store}people: { alice: { key: AAAA } }`],
    ["a policy without a pattern", `${store}policies: [{ maxAge: 1d }]`],
    ["a policy that asks for what there is not", policy("requires: [beauty]")],
    ["a policy whose tenant rule asks for nothing", policy("tenant: {}")],
  ])("or refuse it: %s", (_, text) => {
    expect(loads(text)).toBe(false);
    expect(accepts(parse(text))).toBe(false);
  });
});

/** The paths of all fields that a manifest uses, as the table of fields writes them. */
function usedFields(manifest: unknown): ReadonlySet<string> {
  const open = ["stores", "secrets", "notify", "people"];
  const walk = (value: unknown, path: string): readonly string[] => {
    if (Array.isArray(value)) return value.flatMap((item) => walk(item, `${path}[]`));
    if (typeof value !== "object" || value === null) return [];
    return Object.entries(value).flatMap(([key, inner]) => {
      const here = open.includes(path) ? `${path}.<name>` : path === "" ? key : `${path}.${key}`;
      return [here, ...walk(inner, here)];
    });
  };
  return new Set(walk(manifest, ""));
}
