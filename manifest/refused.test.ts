import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import * as z from "zod/mini";
import type { TypeFacts } from "./check-config.ts";
import { loadManifest } from "./load.ts";
import { formatProblem } from "./problem.ts";
import { readManifest } from "./read.ts";

let folder = "";
let path = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "keyturn-refused-"));
  path = join(folder, "keyturn.yaml");
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const facts: ReadonlyMap<string, TypeFacts> = new Map([
  [
    "pair",
    {
      config: z.strictObject({
        host: z.string(),
        port: z._default(z.int().check(z.gte(1), z.lte(65_535)), 5432),
        tls: z._default(z.strictObject({ ca: z.optional(z.string()) }), {}),
      }),
      needsAdmin: true,
      overlap: "both-live" as const,
    },
  ],
]);

/** The problems of a text, as `line:column: field: message`. */
function problems(text: string, options: { readonly facts?: typeof facts } = {}): readonly string[] {
  const found = readManifest(path, { ...options, readText: () => text }).problems;
  return found.map((problem) => `${problem.line}:${problem.column}: ${formatProblem(problem)}`);
}

const stores = "stores: { here: { local: { path: .keyturn } } }\n";
const key = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";

describe("a store on AWS", () => {
  const refused = (store: string): readonly string[] => problems(`stores: { prod: ${store} }\n`);

  it("is refused where its place is not told well", () => {
    expect(refused('{ aws: { account: "111122223333" } }')).toEqual([
      "1:19: stores.prod.aws.region: is missing",
    ]);
    expect(refused("{ aws: { account: 111122223333, region: eu-west-1 } }")).toEqual([
      "1:35: stores.prod.aws.account: must be a text, not a number",
    ]);
    expect(refused('{ aws: { account: "1111", region: Ireland, regoin: x } }')).toEqual([
      "1:35: stores.prod.aws.account: must be the twelve digits of an account, in quotes",
      "1:51: stores.prod.aws.region: is not a region, such as eu-west-1",
      '1:60: stores.prod.aws.regoin: unknown field; did you mean "region"?',
    ]);
  });

  it("is refused beside another, and where nothing that is deployed could have its name", () => {
    const aws = 'aws: { account: "111122223333", region: eu-west-1 }';
    expect(refused(`{ local: { path: p }, ${aws} }`)).toEqual([
      "1:39: stores.prod.aws: stands beside `local`: a store is of one kind",
    ]);
    expect(problems(`stores: { Prod_1: { ${aws} } }\n`)[0]).toMatch(
      /Prod_1.aws: the store's name cannot name/,
    );
    expect(refused('{ aws: { account: "111122223333", region: eu-west-1, installation: UP } }')[0]).toMatch(
      /installation: is not a name of an installation/,
    );
  });
});

describe("the config of a type", () => {
  const config = (text: string): readonly string[] =>
    problems(
      `${stores}secrets:\n  b: { store: here, type: held }\n  a: { store: here, type: pair, admin: { secret: b }, config: ${text} }\n`,
      { facts },
    );

  it.each([
    ["{ host: db }", []],
    ["{ host: db, port: 5433, tls: { ca: ca.pem } }", []],
    [
      "{ hots: db }",
      [
        '4:65: secrets.a.config.hots: unknown field; did you mean "host"?',
        "4:55: secrets.a.config.host: is missing",
      ],
    ],
    ["{ host: 5 }", ["4:71: secrets.a.config.host: must be a text, not a number"]],
    ["{ host: db, port: 0 }", ["4:81: secrets.a.config.port: must be at least 1"]],
    ["{ host: db, port: 1.5 }", ["4:81: secrets.a.config.port: must be a whole number"]],
    [
      "{ host: db, tls: { cert: x } }",
      ["4:82: secrets.a.config.tls.cert: unknown field; the fields here are ca"],
    ],
    ["{ host: db, tls: [] }", ["4:75: secrets.a.config.tls: must be a mapping, not a list"]],
  ])("%s", (text, expected) => {
    expect(config(text).toSorted()).toEqual(expected.toSorted());
  });

  it("is checked although something else is wrong, and is not where it is unknown", () => {
    const text = `${stores}secrets:\n  a: { store: here, type: pair, config: { hots: db }, nonsense: 1 }\n  c: { store: here, type: other, config: { hots: db } }\n`;
    expect(problems(text, { facts })).toEqual([
      "3:55: secrets.a.nonsense: unknown field; the fields here are store, type, account, config, admin, schedule, grace, cacheTtl, fleets, tenant, notify",
      '4:27: secrets.c.type: there is no type "other"',
      "3:3: secrets.a.admin: is missing: pair changes its target by an administering login; write `admin: { secret: … }`",
      "3:33: secrets.a.config.host: is missing",
      '3:43: secrets.a.config.hots: unknown field; did you mean "host"?',
    ]);
    expect(problems(text.replace(", nonsense: 1", ""))).toEqual([]);
  });
});

describe("tenants share nothing", () => {
  const secret = (ref: string, tenant: string, more: string): string =>
    `  ${ref}: { store: here, type: x, ${tenant === "" ? "" : `tenant: ${tenant}, `}${more} }\n`;
  const held = (ref: string, tenant: string): string =>
    `  ${ref}: { store: here, type: held${tenant === "" ? "" : `, tenant: ${tenant}`} }\n`;
  const crossing = (owner: string, user: string, use: string): readonly string[] =>
    problems(`${stores}secrets:\n${held("theirs", owner)}${secret("mine", user, use)}`).map((problem) =>
      problem.replace(/^\d+:\d+: /, ""),
    );
  const admin = "admin: { secret: theirs }";
  const reference = "config: { proxy: { login: { secret: theirs } } }";

  it.each([
    ["acme", "acme", admin, []],
    ["", "acme", admin, []],
    ["", "", admin, []],
    [
      "globex",
      "acme",
      admin,
      ["secrets.mine.admin.secret: theirs is globex's, and this secret is acme's: tenants share nothing"],
    ],
    [
      "globex",
      "",
      admin,
      ["secrets.mine.admin.secret: theirs is globex's, and this secret has no tenant: tenants share nothing"],
    ],
    [
      "globex",
      "acme",
      reference,
      [
        "secrets.mine.config.proxy.login.secret: theirs is globex's, and this secret is acme's: tenants share nothing",
      ],
    ],
    ["acme", "acme", reference, []],
  ])("owner %j, user %j, %s", (owner, user, use, expected) => {
    expect(crossing(owner, user, use)).toEqual(expected);
  });
});

describe("channels", () => {
  const channel = (text: string): readonly string[] =>
    problems(`${stores}secrets: { hook: { store: here, type: held } }\nnotify: { oncall: ${text} }`).map(
      (problem) => problem.replace(/^\d+:\d+: notify\.oncall/, ""),
    );

  it.each([
    ["{ slack: { url: { secret: hook } }, on: [] }", []],
    [
      '{ webhook: { url: "https://hooks.example", signingSecret: { secret: hook }, tls: { ca: ca.pem } } }',
      [],
    ],
    ["{}", [": tells nobody; write `webhook`, `slack` or `pagerduty`"]],
    [
      "{ slack: { url: { secret: hook } }, pagerduty: { routingKey: { secret: hook } } }",
      [".pagerduty: stands beside `slack`: a channel is of one kind, so make two of it"],
    ],
    [
      "{ slack: { url: { secret: hok } } }",
      ['.slack.url.secret: there is no secret "hok"; did you mean "hook"?'],
    ],
    [
      '{ slack: { url: "https://hooks.slack.example/T0/B0/x" } }',
      [".slack.url: must be the reference of a secret, such as `{ secret: ops/hook }`"],
    ],
    [
      '{ webhook: { url: "http://hooks.example", signingSecret: { secret: hook } } }',
      [".webhook.url: must be an https address, without a name or password in it"],
    ],
    [
      '{ webhook: { url: "https://me:it@hooks.example", signingSecret: { secret: hook } } }',
      [".webhook.url: must be an https address, without a name or password in it"],
    ],
    [
      "{ slack: { url: { secret: hook } }, on: [halted] }",
      [".on[0]: must be `failed` or `revoked` or `rotated` or `adopted` or `retired`"],
    ],
  ])("%s", (text, expected) => {
    expect(channel(text)).toEqual(expected);
  });

  it("are read with their defaults, paths absolute", () => {
    const text = `${stores}secrets: { hook: { store: here, type: held } }
notify:
  a: { webhook: { url: "https://hooks.example", signingSecret: { secret: hook }, tls: { ca: ca.pem } }, on: [rotated] }
  b: { slack: { url: { secret: hook } } }
  c: { pagerduty: { routingKey: { secret: hook } } }`;
    const common = { on: ["failed", "revoked"], ca: undefined };
    expect([...loadManifest(path, { readText: () => text }).notify.values()]).toEqual([
      {
        kind: "webhook",
        name: "a",
        url: "https://hooks.example",
        signingSecret: "hook",
        on: ["rotated"],
        ca: join(folder, "ca.pem"),
      },
      { kind: "slack", name: "b", url: "hook", ...common },
      {
        kind: "pagerduty",
        name: "c",
        routingKey: "hook",
        url: "https://events.pagerduty.com/v2/enqueue",
        ...common,
      },
    ]);
  });
});

describe("people and policies", () => {
  it.each([
    [`people: { alice: { key: ${key} } }`, []],
    [
      `people: { alice: { key: ${key} }, bob: { key: ${key} } }`,
      ["people.bob.key: is the key of alice, too"],
    ],
    [
      `people: { alice: { key: ${key.replace("MCow", "MCox")} } }`,
      [
        "people.alice.key: is not the public half of an Ed25519 key pair: SPKI in base64, 60 characters that begin with MCowBQYDK2VwAyEA",
      ],
    ],
    [
      `policies: [{ match: "**", secondPerson: [revoke] }]`,
      ["policies[0].secondPerson: nobody could consent: `people` names no one"],
    ],
    [
      `policies: [{ match: "**", notify: [oncal] }]\nnotify: { oncall: { slack: { url: { secret: s } } } }\nsecrets: { s: { store: here, type: held } }`,
      ['policies[0].notify[0]: there is no channel "oncal"; did you mean "oncall"?'],
    ],
    [
      `policies: [{ match: "**", tenant: {} }]`,
      ["policies[0].tenant: asks for nothing; write `oneOf: [acme]` or `part: 1`"],
    ],
    [
      `policies: [{ match: "**", graceLimits: { atLeast: 2d, atMost: 1h } }]`,
      ["policies[0].graceLimits: no grace window lasts at least 2d and at most 1h"],
    ],
    [`policies: [{ match: "**", maxAffected: 0 }]`, ["policies[0].maxAffected: must be 1 or more"]],
    [`policies: [{ match: "**", maxAffected: 1.5 }]`, ["policies[0].maxAffected: must be a whole number"]],
  ])("%s", (text, expected) => {
    expect(problems(`${stores}${text}`).map((problem) => problem.replace(/^\d+:\d+: /, ""))).toEqual(
      expected,
    );
  });

  it("give each secret what the first one that speaks of it says", () => {
    const text = `${stores}people: { alice: { key: ${key} } }
notify: { oncall: { slack: { url: { secret: s } } }, chat: { slack: { url: { secret: s } } } }
policies:
  - { match: "prod/*", secondPerson: [revoke] }
  - { match: "**", maxAffected: 5, secondPerson: [], notify: [oncall] }
secrets:
  s: { store: here, type: held }
  prod/a: { store: here, type: x, notify: [chat, chat] }
  dev/a: { store: here, type: x }`;
    const { secrets, people } = loadManifest(path, { readText: () => text });
    expect(secrets.get("prod/a")).toMatchObject({
      secondPerson: ["revoke"],
      maxAffected: 5,
      notify: ["chat"],
    });
    expect(secrets.get("dev/a")).toMatchObject({ secondPerson: [], maxAffected: 5, notify: ["oncall"] });
    expect(people.get("alice")).toEqual({ name: "alice", key });
  });
});

describe("a file that is no manifest", () => {
  const refused = (prepare: () => void): string => {
    prepare();
    try {
      loadManifest(path);
    } catch (error) {
      return String(Object(error).message).replaceAll(`${folder}/`, "");
    }
    throw new Error("it was accepted");
  };

  it.each([
    [
      "a folder",
      () => mkdirSync(path),
      "keyturn.yaml is a folder; name the file in it, such as keyturn.yaml",
    ],
    ["a device", () => symlinkSync("/dev/zero", path), "keyturn.yaml is a device and not a file"],
    [
      "too large",
      () => {
        writeFileSync(path, "");
        truncateSync(path, 2 ** 24 + 1);
      },
      "keyturn.yaml has 16777217 bytes; the most that a manifest may have are 16777216",
    ],
    [
      "in another encoding",
      () => writeFileSync(path, Buffer.from("secrets: {}", "utf16le")),
      "keyturn.yaml is not text in UTF-8; save it with that encoding",
    ],
    [
      "in Latin 1",
      () => writeFileSync(path, Buffer.from("# Schlüssel\nstores: {}", "latin1")),
      "keyturn.yaml is not text in UTF-8; save it with that encoding",
    ],
    ["a link that leads to itself", () => symlinkSync(path, path), /^keyturn\.yaml cannot be read: ELOOP/],
  ])("%s", (_, prepare, expected) => {
    const message = refused(prepare);
    if (typeof expected === "string") expect(message).toBe(expected);
    else expect(message).toMatch(expected);
  });

  it("may begin with a byte order mark", () => {
    writeFileSync(path, `\ufeff${stores}`);
    expect([...loadManifest(path).stores.keys()]).toEqual(["here"]);
  });

  it("says so where it may not be read, and nothing is read as empty", () => {
    const denied = Object.assign(new Error("EACCES"), { code: "EACCES" });
    const readText = (): string => {
      throw denied;
    };
    expect(() => loadManifest(path, { readText })).toThrow("keyturn.yaml may not be read by this user");
  });

  it("is named where another one includes it", () => {
    mkdirSync(join(folder, "more.yaml"));
    writeFileSync(path, `include: [more.yaml]\n${stores}`);
    expect(refused(() => undefined)).toBe(
      "keyturn.yaml:1:11: include[0]: more.yaml is a folder; name the file in it, such as keyturn.yaml",
    );
  });

  it("is read once, by whatever links it is reached", () => {
    symlinkSync(folder, join(folder, "again"));
    writeFileSync(path, `include: ["again/again/keyturn.yaml", "again/*.yaml", keyturn.yaml]\n${stores}`);
    expect(loadManifest(path).files).toEqual([path]);
  });

  it.each([
    [
      "made of aliases of aliases",
      Array.from({ length: 12 }, (_, level) =>
        level === 0 ? "a0: &a0 [x, x]" : `a${level}: &a${level} [${`*a${level - 1}, `.repeat(9)}]`,
      ).join("\n"),
      "Excessive alias count",
    ],
    [
      "a part of itself",
      `${stores}secrets: { a: { store: here, type: x, config: &c { again: *c } } }`,
      "this alias stands inside of what it repeats",
    ],
  ])("where it is %s", (_, text, expected) => {
    expect(problems(text)).toEqual([expect.stringContaining(`not usable YAML: ${expected}`)]);
  });

  it("that is nested too deeply is told that, once, however much of the stack is in use", () => {
    const text = `a: ${"[".repeat(5_000)}${"]".repeat(5_000)}`;
    const under = (frames: number): readonly string[] =>
      frames === 0 ? problems(text) : [...under(frames - 1)];
    for (let frames = 0; frames < 60; frames += 6)
      expect(under(frames)).toEqual([expect.stringContaining("not usable YAML: it is nested too deeply")]);
  });

  it("takes no long time with many names in one mapping", () => {
    const names = Array.from({ length: 5_000 }, (_, index) => `  s${index}: { store: here, type: held }\n`);
    const began = performance.now();
    const twice = `${stores}secrets:\n${names.join("")}  s7: { store: here, type: held }\n`;
    expect(problems(twice)).toEqual(["5003:3: not usable YAML: this key stands twice in one mapping"]);
    expect(loadManifest(path, { readText: () => `${stores}secrets:\n${names.join("")}` }).held.size).toBe(
      5_000,
    );
    expect(performance.now() - began).toBeLessThan(20_000);
  });
});

it("never repeats what may be a value", () => {
  const canary = "hunter2-canary";
  const texts = [
    `${stores}secrets: { a: { store: here, type: pair, password: ${canary}, config: { token: ${canary} } } }`,
    `${stores}secrets: { a: { store: here, type: pair, config: { host: "https://me:${canary}@db" } } }`,
    `${stores}notify: { a: { slack: { url: ${canary} } } }`,
    `${stores}notify: { a: { webhook: { url: "https://me:${canary}@x", signingSecret: ${canary} } } }`,
    `${stores}people: { a: { key: ${canary} } }`,
    `${stores}secrets: { a: { store: here, type: pair, admin: ${canary}, cacheTtl: ${canary} } }`,
    `password: "${canary}\nstores: [`,
  ];
  for (const text of texts) {
    const found = problems(text, { facts });
    expect(found.length).toBeGreaterThan(0);
    expect(found.join("\n")).not.toContain(canary);
  }
});
