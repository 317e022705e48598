import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { KeyturnError } from "../core/errors.ts";
import { loadManifest } from "./load.ts";
import type { Manifest } from "./manifest.ts";
import type { ReadOptions } from "./read.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "keyturn-manifest-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function write(name: string, text: string): void {
  mkdirSync(dirname(join(folder, name)), { recursive: true });
  writeFileSync(join(folder, name), text);
}

function load(text: string, options?: ReadOptions): Manifest {
  write("keyturn.yaml", text);
  return loadManifest(join(folder, "keyturn.yaml"), options);
}

/** What is wrong with a manifest, one line a problem, with the folder taken out. */
function problems(text: string, options?: ReadOptions): readonly string[] {
  try {
    load(text, options);
  } catch (error) {
    if (!(error instanceof KeyturnError)) throw error;
    expect(error.code).toBe("manifest-invalid");
    return error.message
      .replaceAll(`${folder}/`, "")
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => !/^the manifest has \d+ problems:$/.test(line));
  }
  throw new Error("the manifest was accepted");
}

const stores = "stores: { here: { local: { path: .keyturn } } }\n";

/** In the form in which the manifest has them: the key itself is 32 bytes in base64. */
const publicKeyOf = (letter: string) => `MCowBQYDK2VwAyEA${letter.repeat(42)}A=`;

const full = `${stores}
policies:
  - { match: "billing/*", maxAge: 90d, grace: { atMost: 12h }, requires: [both-live] }
secrets:
  billing/db:
    store: here
    type: postgres-alternating
    config: { host: db.internal, port: 5432, database: billing, owner: billing, tls: { ca: ./ca.pem, name: db } }
    admin: { secret: billing/db-admin }
    schedule: { every: 30d }
    grace: { atLeast: 5m, onLaggards: retire }
    cacheTtl: 10s
    fleets: [invoice-agents, report-agents]
    tenant: acme
    notify: [oncall]
  billing/db-admin: { store: here, type: held }
notify:
  oncall: { webhook: { url: "https://hooks.example/keyturn", signingSecret: { secret: billing/db-admin } } }
`;

describe("a manifest that is right", () => {
  it("is read with every field in core's terms", () => {
    const manifest = load(full);
    expect(manifest.secrets.refs()).toEqual(["billing/db"]);
    expect(manifest.secrets.get("billing/db")).toEqual({
      ref: "billing/db",
      type: "postgres-alternating",
      config: {
        host: "db.internal",
        port: 5432,
        database: "billing",
        owner: "billing",
        tls: { ca: join(folder, "ca.pem"), name: "db" },
      },
      admin: "billing/db-admin",
      policy: {
        schedule: { next: expect.any(Function) },
        cacheTtlMs: 10_000,
        graceAtLeastMs: 300_000,
        graceAtMostMs: 12 * 3_600_000,
        onLaggards: "retire",
        confirmEveryMs: 60_000,
        stepDeadlineMs: 30_000,
        attemptsMax: 5,
        retryBaseMs: 1_000,
        retryMaxMs: 300_000,
      },
      fleets: ["invoice-agents", "report-agents"],
      tenant: "acme",
      store: "here",
      notify: ["oncall"],
      secondPerson: [],
      maxAffected: undefined,
      schedule: { every: 30 * 24 * 3_600_000 },
      where: `${join(folder, "keyturn.yaml")}:6:3`,
    });
    expect([...manifest.held.values()]).toEqual([
      { ref: "billing/db-admin", store: "here", tenant: undefined },
    ]);
    expect(manifest.fleets).toEqual(["invoice-agents", "report-agents"]);
    expect(manifest.notify.get("oncall")).toEqual({
      kind: "webhook",
      name: "oncall",
      url: "https://hooks.example/keyturn",
      signingSecret: "billing/db-admin",
      on: ["failed", "revoked"],
      ca: undefined,
    });
    expect(manifest.policies).toEqual([
      {
        match: "billing/*",
        maxAgeMs: 90 * 86_400_000,
        severity: "error",
        graceLimits: undefined,
        tenant: undefined,
        notify: undefined,
        secondPerson: undefined,
        maxAffected: undefined,
        requires: ["both-live"],
        grace: { atLeastMs: undefined, atMostMs: 12 * 3_600_000, onLaggards: undefined },
      },
    ]);
    expect(manifest.stores.get("here")).toEqual({
      kind: "local",
      name: "here",
      path: join(folder, ".keyturn"),
      key: undefined,
    });
  });

  it("has stores on AWS, named by themselves or by what is deployed for them", () => {
    const aws = '{ account: "111122223333", region: eu-west-1 }';
    const role = '{ account: "111122223333", region: eu-west-1, role: operator, installation: acme }';
    const { stores } = load(`stores: { prod: { aws: ${aws} }, Other: { aws: ${role} } }`);
    const place = {
      kind: "aws",
      account: "111122223333",
      region: "eu-west-1",
      quota: undefined,
      secretsBy: "name",
    };
    expect(stores.get("prod")).toEqual({ ...place, name: "prod", installation: "prod", role: undefined });
    expect(stores.get("Other")).toEqual({ ...place, name: "Other", installation: "acme", role: "operator" });
  });

  it("gets safe defaults where it says nothing", () => {
    const secret = load(`${stores}secrets: { a: { store: here, type: x } }`).secrets.get("a");
    expect(secret).toMatchObject({ config: {}, admin: undefined, fleets: [], tenant: undefined, notify: [] });
    expect(secret?.policy).toEqual({
      schedule: undefined,
      cacheTtlMs: 60_000,
      graceAtLeastMs: 60_000,
      graceAtMostMs: 24 * 3_600_000,
      onLaggards: "hold",
      confirmEveryMs: 60_000,
      stepDeadlineMs: 30_000,
      attemptsMax: 5,
      retryBaseMs: 1_000,
      retryMaxMs: 300_000,
    });
  });

  it("may have sections whose entries are all commented out", () => {
    expect(load(`${stores}secrets:\n  # none yet\npolicies:\n`).secrets.refs()).toEqual([]);
  });

  it("may name an administering login that administers itself", () => {
    const text = `${stores}secrets: { a: { store: here, type: x, admin: { secret: a } } }`;
    expect(load(text).secrets.get("a")?.admin).toBe("a");
  });
});

describe("includes", () => {
  it("are read relative to the file that names them, once each, and may include more", () => {
    write(
      "teams/one/keyturn.yaml",
      "include: [more.yaml, ../../keyturn.yaml]\nsecrets: { one: { store: here, type: x, config: { tls: { ca: ca.pem } } } }",
    );
    write("teams/one/more.yaml", "secrets: { more: { store: theirs, type: x } }");
    write("teams/two/keyturn.yaml", "stores: { theirs: { local: { path: s, key: k } } }");
    const manifest = load(`include: ["teams/*/keyturn.yaml"]\n${stores}`);
    expect(manifest.files.map((file) => file.slice(folder.length + 1))).toEqual([
      "keyturn.yaml",
      "teams/one/keyturn.yaml",
      "teams/two/keyturn.yaml",
      "teams/one/more.yaml",
    ]);
    expect(manifest.secrets.refs()).toEqual(["more", "one"]);
    expect(manifest.secrets.get("one")?.config).toEqual({ tls: { ca: join(folder, "teams/one/ca.pem") } });
    expect(manifest.stores.get("theirs")).toMatchObject({
      path: join(folder, "teams/two/s"),
      key: join(folder, "teams/two/k"),
    });
  });

  it("that match nothing are a problem, and no name is called dangling because of them", () => {
    const text = `include: ["teams/*/keyturn.yaml"]\nsecrets: { a: { store: theirs, type: x } }`;
    expect(problems(text)).toEqual(['keyturn.yaml:1:11: include[0]: "teams/*/keyturn.yaml" matches no file']);
  });

  it("cannot undo what the main file's policies ask for, nor name people who could agree to it", () => {
    const person = (letter: string) => `{ key: ${publicKeyOf(letter)} }`;
    const main = `include: [team.yaml]
${stores}people: { alice: ${person("A")} }
policies: [{ match: "**", secondPerson: [revoke], maxAffected: 3 }]`;
    const team = `policies: [{ match: "**", secondPerson: [], maxAffected: 999 }]
secrets: { a: { store: here, type: x } }`;
    write("team.yaml", team);
    expect(load(main).secrets.get("a")).toMatchObject({ secondPerson: ["revoke"], maxAffected: 3 });
    write("team.yaml", `people: { mallory: ${person("B")} }\n${team}`);
    expect(problems(main)).toEqual([
      "team.yaml:1:11: people.mallory: stands in an included file: only the main file says who may agree",
    ]);
  });

  it("may not declare what is declared already", () => {
    write("more.yaml", `${stores}secrets:\n  a: { store: here, type: x }\n  b: { store: here, type: x }`);
    const found = problems(
      `include: [more.yaml]\n${stores}secrets:\n  b: { store: here, type: x, nonsense: 1 }\n  a: { store: here, type: x }`,
    );
    expect(found).toEqual([
      "keyturn.yaml:4:30: secrets.b.nonsense: unknown field; the fields here are store, type, account, config, admin, schedule, grace, cacheTtl, fleets, tenant, notify",
      "more.yaml:1:11: stores.here: stands already at keyturn.yaml:2:11",
      "more.yaml:3:3: secrets.a: stands already at keyturn.yaml:5:3",
      "more.yaml:4:3: secrets.b: stands already at keyturn.yaml:4:3",
    ]);
  });
});

describe("the first policy that matches and speaks of a field has the say", () => {
  const secrets = `secrets:
  prod/db: { store: here, type: x }
  prod/eu/db: { store: here, type: x, grace: { atMost: 1h } }
`;
  it("after the secret itself", () => {
    const manifest = load(`${stores}${secrets}policies:
  - { match: "prod/*", grace: { atMost: 2h } }
  - { match: "prod/**", grace: { atMost: 3h, atLeast: 2m, onLaggards: retire } }
`);
    expect(manifest.secrets.get("prod/db")?.policy).toMatchObject({
      graceAtMostMs: 7_200_000,
      graceAtLeastMs: 120_000,
      onLaggards: "retire",
    });
    expect(manifest.secrets.get("prod/eu/db")?.policy).toMatchObject({
      graceAtMostMs: 3_600_000,
      graceAtLeastMs: 120_000,
    });
  });
});

describe("a manifest that is wrong", () => {
  it("is missing", () => {
    expect(() => loadManifest(join(folder, "keyturn.yaml"))).toThrow(
      "keyturn.yaml is not there; `keyturn init` makes a manifest",
    );
    expect(() => loadManifest(folder)).toThrow("is a folder; name the file in it");
  });

  it("has all its problems told at once, each with its place", () => {
    const found = problems(
      `stroes: {}
stores:
  here: { local: { path: .keyturn } }
  prod: { azure: { vault: kv } }
  none: {}
secrets:
  billing/db:
    store: her
    typ: postgres-alternating
    admin: { secret: billing/db-admn }
  billing/db-admin: { store: here, type: held, fleets: [a] }
  billing/hook:
    store: here
    type: x
    admin: { secret: billing/db-admn }
    schedule: { evry: 30d, every: 30 }
    notify: [oncal]
  billing/weekly: { store: here, type: x, schedule: { window: "Sat", cron: "* *" } }
  billing/never: { store: her, type: x, schedule: {} }
  "bad ref": { store: here, type: x }
  empty:
policies:
  - { maxAge: 90d, grace: { onLaggards: wait } }
notify:
  oncall: { webhook: { url: "https://hooks.example/" } }
`,
    );
    expect(found).toEqual([
      'keyturn.yaml:1:1: stroes: unknown field; did you mean "stores"?',
      "keyturn.yaml:4:11: stores.prod.azure: this version has `local` and `aws` stores only",
      "keyturn.yaml:5:3: stores.none: says nothing; write `local: { path: .keyturn }`",
      'keyturn.yaml:7:3: secrets["billing/db"].type: is missing',
      'keyturn.yaml:8:12: secrets["billing/db"].store: there is no store "her"; did you mean "here"?',
      'keyturn.yaml:9:5: secrets["billing/db"].typ: unknown field; did you mean "type"?',
      'keyturn.yaml:10:22: secrets["billing/db"].admin.secret: there is no secret "billing/db-admn"; did you mean "billing/db-admin"?',
      'keyturn.yaml:11:48: secrets["billing/db-admin"].fleets: is not for a held secret: it has a store, and is not rotated',
      'keyturn.yaml:15:22: secrets["billing/hook"].admin.secret: there is no secret "billing/db-admn"; did you mean "billing/db-admin"?',
      'keyturn.yaml:16:17: secrets["billing/hook"].schedule.evry: unknown field; did you mean "every"?',
      'keyturn.yaml:16:35: secrets["billing/hook"].schedule.every: must be a text, not a number',
      'keyturn.yaml:17:14: secrets["billing/hook"].notify[0]: there is no channel "oncal"; did you mean "oncall"?',
      'keyturn.yaml:18:63: secrets["billing/weekly"].schedule.window: is not a window; write days, times and a time zone, such as `Sat 02:00-06:00 UTC` or `Mon-Fri 22:00-04:00 Europe/Berlin`',
      'keyturn.yaml:18:76: secrets["billing/weekly"].schedule.cron: is not a cron expression of five fields; write minute, hour, day of the month, month and day of the week, such as `0 3 * * 1`',
      'keyturn.yaml:19:27: secrets["billing/never"].store: there is no store "her"; did you mean "here"?',
      'keyturn.yaml:19:41: secrets["billing/never"].schedule: does not say when; write `every`, such as `every: 30d`, or `cron`, such as `cron: 0 3 * * 1`',
      'keyturn.yaml:20:3: secrets["bad ref"]: is not a reference: letters, digits, `.`, `_` and `-`, in parts joined by `/`',
      "keyturn.yaml:21:3: secrets.empty: must be a mapping, not empty",
      "keyturn.yaml:23:5: policies[0].match: is missing",
      "keyturn.yaml:23:41: policies[0].grace.onLaggards: must be `hold` or `retire`",
      "keyturn.yaml:25:13: notify.oncall.webhook.signingSecret: is missing",
    ]);
  });

  it.each([
    ["", "keyturn.yaml:1:1: must be a mapping with `stores` and `secrets`"],
    ["- a\n", "keyturn.yaml:1:1: must be a mapping with `stores` and `secrets`"],
    ["a: 1\na: 2\n", "keyturn.yaml:2:1: not usable YAML: this key stands twice in one mapping"],
    [
      "a: 1\n---\nb: 2\n",
      "keyturn.yaml:2:1: not usable YAML: a manifest is one document, and here a second one begins",
    ],
    ["stores:\n  here: *nowhere\n", /^keyturn\.yaml:1:1: not usable YAML: .*alias/],
    ["secrets: [1\n", /^keyturn\.yaml:2:1: not usable YAML: Flow sequence/],
  ])("does not parse: %j", (text, expected) => {
    const [first, ...others] = problems(text);
    if (typeof expected === "string") expect(first).toBe(expected);
    else expect(first).toMatch(expected);
    expect(others).toEqual([]);
  });

  it.each([
    [
      "type",
      "type: postgres-alternatin",
      'type: there is no type "postgres-alternatin"; did you mean "postgres-alternating"?',
    ],
    [
      "admin",
      "admin: { secret: b-admn }",
      'admin.secret: there is no secret "b-admn"; did you mean "b-admin"?',
    ],
    ["channel", "notify: [oncall]", 'notify[0]: there is no channel "oncall"'],
    [
      "duration",
      "cacheTtl: 1 minute",
      "cacheTtl: is not a duration; write a number and its unit: 30d, 24h, 5m, 10s or 500ms",
    ],
    [
      "short grace",
      "grace: { atLeast: 30s }",
      "grace.atLeast: the 30s of grace.atLeast are over before agents read again: cacheTtl is 1m",
    ],
    [
      "long cache",
      "cacheTtl: 2d",
      "grace.atMost: the 1d of grace.atMost are less than the 2d of grace.atLeast",
    ],
    [
      "dangling reference in a config",
      "config: { proxy: { secret: nobody } }",
      'config.proxy.secret: there is no secret "nobody"',
    ],
  ])("names what is wrong with the %s", (_, field, expected) => {
    const type = field.startsWith("type") ? "" : "type: postgres-alternating,";
    const found = problems(
      `${stores}secrets:\n  a: { store: here, ${type} ${field} }\n  b-admin: { store: here, type: held }\n`,
      { types: ["postgres-alternating"] },
    );
    expect(found.map((line) => line.replace(/^keyturn\.yaml:3:\d+: secrets\.a\./, ""))).toEqual([expected]);
  });

  it("is read to the letter where a name is one of JavaScript's own", () => {
    expect(problems(`${stores}secrets: { __proto__: { store: here, type: x } }`)).toEqual([
      "keyturn.yaml:2:12: secrets.__proto__: cannot be the name of anything",
    ]);
    expect(problems(`${stores}secrets: { constructor: { store: toString, type: x } }`)).toEqual([
      'keyturn.yaml:2:34: secrets.constructor.store: there is no store "toString"',
    ]);
    expect(problems(`${stores}secrets: [1, 2]`)).toEqual([
      "keyturn.yaml:2:1: secrets: must be a mapping, not a list",
    ]);
  });

  it("tells a circle of administering logins once", () => {
    const secret = (ref: string, admin: string): string =>
      `  ${ref}: { store: here, type: x, admin: { secret: ${admin} } }\n`;
    const found = problems(
      `${stores}secrets:\n${secret("a", "b")}${secret("b", "c")}${secret("c", "b")}${secret("d", "d")}`,
    );
    expect(found).toEqual([
      "keyturn.yaml:4:47: secrets.b.admin.secret: secrets administer each other in a circle: b → c → b",
    ]);
  });
});
