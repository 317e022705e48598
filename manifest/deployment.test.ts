import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import type { ManagedSecret } from "../core/ports.ts";
import { deploymentOf, readDeployment } from "./deployment.ts";
import { loadManifest } from "./load.ts";
import type { Manifest } from "./manifest.ts";

const day = 24 * 3_600_000;
const aws = { account: "111122223333", region: "eu-west-1" };
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "keyturn-deployment-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function manifestOf(content: Readonly<Record<string, unknown>>): Manifest {
  const path = join(folder, "keyturn.yaml");
  writeFileSync(path, stringify({ stores: { prod: { aws }, here: { local: { path: "k" } } }, ...content }));
  return loadManifest(path);
}

/** As it travels: through a file, to another folder. */
function travelled(manifest: Manifest, to = "/var/task") {
  return readDeployment(JSON.parse(JSON.stringify(deploymentOf(manifest, "prod").deployment)), to);
}

const postgres = { store: "prod", type: "postgres-password", admin: { secret: "admin" } };
const admin = { store: "prod", type: "held" };

describe("a deployment", () => {
  it("says of each secret of its store what the manifest says, and when it is rotated", () => {
    const word = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/);
    const schedule = fc.oneof(
      fc.record({ every: fc.constantFrom("12h", "30d", "90d") }),
      fc.record({
        every: fc.constant("30d"),
        jitter: fc.constant("1h"),
        window: fc.constant("Sat 02:00-06:00 UTC"),
      }),
      fc.record({ cron: fc.constantFrom("0 3 * * 1", "@weekly"), timeZone: fc.constant("Europe/Berlin") }),
    );
    const secret = fc.record(
      {
        store: fc.constantFrom("prod", "here"),
        type: fc.constantFrom("one", "two"),
        config: fc.dictionary(word, fc.oneof(word, fc.integer(), fc.array(word))),
        schedule,
        cacheTtl: fc.constantFrom("10s", "1m"),
        fleets: fc.uniqueArray(word, { maxLength: 3 }),
        tenant: word,
        grace: fc.record({ atLeast: fc.constant("5m"), onLaggards: fc.constantFrom("hold", "retire") }),
      },
      { requiredKeys: ["store", "type", "config"] },
    );
    const check = (secrets: Readonly<Record<string, unknown>>, at: number): void => {
      const manifest = manifestOf({ secrets });
      const read = travelled(manifest);
      const mine = manifest.secrets.refs().filter((ref) => manifest.secrets.get(ref)?.store === "prod");
      expect(read.secrets.refs()).toEqual(mine);
      for (const ref of mine)
        expect(told(read.secrets.get(ref), at)).toEqual(told(manifest.secrets.get(ref), at));
    };
    fc.assert(
      fc.property(fc.dictionary(word, secret, { maxKeys: 5 }), fc.integer({ min: 0, max: 4e12 }), check),
      { numRuns: 60 },
    );
  });

  it("puts the files that configs name beside it, each under a name of its own", () => {
    const config = { host: "db", database: "d", owner: "o", tls: { ca: "./a/ca.pem" } };
    const other = { ...config, tls: { ca: "./b/ca.pem" } };
    const manifest = manifestOf({
      secrets: {
        admin,
        one: { ...postgres, config },
        two: { ...postgres, config: other },
        three: { ...postgres, config },
      },
    });
    const { deployment, files } = deploymentOf(manifest, "prod");
    expect([...files.values()]).toEqual([join(folder, "a/ca.pem"), join(folder, "b/ca.pem")]);
    expect(JSON.stringify(deployment)).not.toContain(folder);
    const { secrets } = readDeployment(deployment, "/var/task");
    const [first, second] = [...files.keys()];
    expect(secrets.get("one")?.config).toEqual({ ...config, tls: { ca: `/var/task/${first}` } });
    expect(secrets.get("two")?.config).toEqual({ ...config, tls: { ca: `/var/task/${second}` } });
    expect(secrets.get("three")?.config).toEqual(secrets.get("one")?.config);
  });

  it("knows the store's place, the fleets, and which secrets each reads", () => {
    const secrets = {
      a: { store: "prod", type: "one", fleets: ["f", "g"] },
      b: { store: "prod", type: "one", fleets: ["g"] },
      c: { store: "here", type: "one", fleets: ["elsewhere"] },
    };
    const read = travelled(manifestOf({ secrets }));
    expect(read).toMatchObject({ installation: "prod", ...aws, fleets: ["f", "g"], quota: undefined });
    expect(read.secretsOf("g").map(({ ref }) => ref)).toEqual(["a", "b"]);
    expect(read.secretsOf("elsewhere")).toEqual([]);
    const stores = {
      prod: { aws: { ...aws, installation: "acme-prod" }, quota: { rotations: 3, per: "1h" } },
    };
    const named = travelled(manifestOf({ stores }));
    expect(named).toMatchObject({ installation: "acme-prod", quota: { rotations: 3, perMs: 3_600_000 } });
  });

  it("says of each secret, administering logins included, in which account it is", () => {
    const other = { account: "444455556666" };
    const secrets = {
      admin: { ...admin, ...other },
      here: { ...postgres },
      named: { ...postgres, account: aws.account },
      there: { ...postgres, ...other },
      local: { store: "here", type: "one" },
    };
    const manifest = manifestOf({ secrets });
    expect(deploymentOf(manifest, "prod").deployment.accounts).toEqual({
      admin: "444455556666",
      there: "444455556666",
    });
    const { accountOf } = travelled(manifest);
    const accounts = ["admin", "here", "named", "there", "unknown"].map((ref) => accountOf(ref).slice(0, 4));
    expect(accounts).toEqual(["4444", "1111", "1111", "4444", "1111"]);
  });

  it("is refused for a store that is not on AWS, and names those that are", () => {
    const manifest = manifestOf({});
    expect(() => deploymentOf(manifest, "here")).toThrow(/has no store here on AWS: on AWS it has prod/);
    const local = manifestOf({ stores: { here: { local: { path: "k" } } } });
    expect(() => deploymentOf(local, "prod")).toThrow(/has no store prod on AWS: it has none on AWS/);
  });

  it("is refused when it is none, with the field and never its value", () => {
    const { deployment } = deploymentOf(
      manifestOf({ secrets: { a: { store: "prod", type: "one" } } }),
      "prod",
    );
    const refused = (json: unknown): string => {
      try {
        readDeployment(json, "/");
        return "read";
      } catch (thrown) {
        return String(thrown);
      }
    };
    expect(refused(deployment)).toBe("read");
    expect(refused({ ...deployment, version: 2 })).toMatch(/has the form 2, and this code knows 1/);
    const [secret] = deployment.secrets;
    const broken = {
      ...deployment,
      secrets: [{ ...secret, policy: { ...secret?.policy, cacheTtlMs: "canary" } }],
    };
    expect(refused(broken)).toMatch(/secrets\.0\.policy\.cacheTtlMs is not what it should be/);
    for (const other of [undefined, null, "canary", [], {}]) expect(refused(other)).toMatch(/cannot be read/);
    expect([broken, "canary"].map(refused).join()).not.toContain("canary");
  });
});

/** Schedules are what they answer. */
function told(secret: ManagedSecret | undefined, at: number) {
  const { ref, type, config, admin, fleets, tenant, policy } = secret ?? {};
  const times = [0, at, at + 40 * day].map((now) => policy?.schedule?.next(at, now));
  return { ref, type, config, admin, fleets, tenant, policy: { ...policy, schedule: undefined }, times };
}
