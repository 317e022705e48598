import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { addToManifest, createManifest, type NewSecret } from "./document.ts";
import { loadManifest } from "./load.ts";

let folder = "";
let path = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "keyturn-document-"));
  path = join(folder, "keyturn.yaml");
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function newSecret(more: Partial<NewSecret> = {}): NewSecret {
  return {
    path,
    ref: "billing/db",
    type: "postgres-alternating",
    config: {
      host: "db.internal",
      port: 5432,
      database: "billing",
      owner: "billing",
      tls: { ca: join(folder, "ca.pem") },
    },
    adminRef: "billing/db-admin",
    fleets: ["invoice-agents"],
    ...more,
  };
}

const text = (): string => readFileSync(path, "utf8");

describe("a new manifest", () => {
  it("explains itself", () => {
    createManifest(newSecret());
    expect(text()).toMatchInlineSnapshot(`
      "# yaml-language-server: $schema=./node_modules/keyturn/schemas/keyturn.schema.json

      # What Keyturn rotates, where it keeps it, and who uses it. This file belongs into version control:
      # it holds references and never a value.

      stores:
        # Encrypted files on this machine; they do not belong into version control, and neither does their key.
        here: { local: { path: .keyturn } }

      secrets:
        # The login by which Keyturn changes the others. It is only kept: its password is yours to change.
        billing/db-admin: { store: here, type: held }

        billing/db:
          store: here
          type: postgres-alternating
          # Where the credential is used, and for whom it is.
          config:
            host: db.internal
            port: 5432
            database: billing
            owner: billing
            tls:
              ca: ./ca.pem
          admin: { secret: billing/db-admin }
          # Besides, whenever \`keyturn rotate\` is called.
          schedule: { every: 30d }
          # The old credential works until every agent has changed over to the new one. Agents that have not after this time
          # are named, and it goes on working (\`hold\`) or is cut off (\`retire\`).
          grace: { atMost: 24h, onLaggards: hold }
          # Who may read it.
          fleets: [ invoice-agents ]
      "
    `);
  });

  it("loads, and means what was asked for", () => {
    createManifest(newSecret({ every: "7d" }));
    const manifest = loadManifest(path);
    expect(manifest.secrets.get("billing/db")).toMatchObject({
      type: "postgres-alternating",
      config: { host: "db.internal", port: 5432, tls: { ca: join(folder, "ca.pem") } },
      admin: "billing/db-admin",
      fleets: ["invoice-agents"],
      store: "here",
      policy: { schedule: { next: expect.any(Function) }, graceAtMostMs: 86_400_000, onLaggards: "hold" },
    });
    expect(manifest.held.get("billing/db-admin")).toEqual({ ref: "billing/db-admin", store: "here" });
    expect(manifest.stores.get("here")).toMatchObject({ path: join(folder, ".keyturn") });
  });

  it("leads editors to the schema of the installation around it, by a path that holds for others, too", () => {
    const installed = join(folder, "node_modules/keyturn/schemas");
    mkdirSync(installed, { recursive: true });
    writeFileSync(join(installed, "keyturn.schema.json"), "{}");
    const inside = join(folder, "teams/billing");
    mkdirSync(inside, { recursive: true });
    createManifest(newSecret({ path: join(inside, "keyturn.yaml") }));
    expect(readFileSync(join(inside, "keyturn.yaml"), "utf8")).toMatch(
      /^# yaml-language-server: \$schema=\.\.\/\.\.\/node_modules\/keyturn\/schemas\/keyturn\.schema\.json\n/,
    );
    createManifest(newSecret());
    expect(text()).toMatch(/^# yaml-language-server: \$schema=\.\/node_modules\/keyturn\/schemas\//);
  });

  it("never takes the place of a file", () => {
    writeFileSync(path, "mine\n");
    expect(() => createManifest(newSecret())).toThrow("is there already");
    expect(text()).toBe("mine\n");
    expect(readdirSync(folder)).toEqual(["keyturn.yaml"]);
  });

  it("is not written when it could not be read again", () => {
    expect(() => createManifest(newSecret({ ref: "not a ref" }))).toThrow("is not a reference");
    expect(() => createManifest(newSecret({ config: { password: "hunter2" } }))).toThrow("never values");
    expect(readdirSync(folder)).toEqual([]);
  });
});

const existing = `# Ours.
stores:
  here: { local: { path: .keyturn } }   # on the big machine

secrets:
  # the first one
  a/db:
    store: here
    type: x   # of the old kind
    admin: { secret: a/admin }

  # kept
  a/admin: { store: here, type: "held" }
# the end
`;

describe("adding to a manifest", () => {
  it("keeps what stands there, comments included", () => {
    writeFileSync(path, existing);
    addToManifest(newSecret());
    expect(text()).toMatchInlineSnapshot(`
      "# Ours.
      stores:
        here: { local: { path: .keyturn } } # on the big machine

      secrets:
        # the first one
        a/db:
          store: here
          type: x # of the old kind
          admin: { secret: a/admin }

        # kept
        a/admin: { store: here, type: "held" }

        billing/db-admin: { store: here, type: held }

        billing/db:
          store: here
          type: postgres-alternating
          config:
            host: db.internal
            port: 5432
            database: billing
            owner: billing
            tls:
              ca: ./ca.pem
          admin: { secret: billing/db-admin }
          schedule: { every: 30d }
          grace: { atMost: 24h, onLaggards: hold }
          fleets: [ invoice-agents ]

      # the end
      "
    `);
    expect(loadManifest(path).secrets.refs()).toEqual(["a/db", "billing/db"]);
  });

  it("shares an administering login that is declared already, here or in an included file", () => {
    writeFileSync(path, existing);
    addToManifest(newSecret({ adminRef: "a/admin" }));
    expect(text().match(/a\/admin:/g)).toHaveLength(1);

    mkdirSync(join(folder, "teams"));
    writeFileSync(join(folder, "teams", "more.yaml"), "secrets: { b/admin: { store: here, type: held } }");
    writeFileSync(path, `include: [teams/*.yaml]\n${existing}`);
    addToManifest(newSecret({ adminRef: "b/admin" }));
    expect(text()).not.toContain("b/admin:");
  });

  it("takes a section that is empty, missing or commented out", () => {
    const stores = "stores: { here: { local: { path: s } } }\n";
    for (const secrets of [
      "",
      "secrets: {}\n",
      "secrets:\n",
      "secrets:\n  # a/db: { store: here, type: x }\n",
    ]) {
      writeFileSync(path, stores + secrets);
      addToManifest(newSecret());
      expect(loadManifest(path).secrets.refs()).toEqual(["billing/db"]);
      expect(text()).toContain("\n  billing/db:\n    store: here\n");
      if (secrets.includes("#")) expect(text()).toContain("# a/db: { store: here, type: x }");
    }
  });

  it("keeps the file's mode and leaves nothing beside it", () => {
    writeFileSync(path, existing);
    chmodSync(path, 0o600);
    addToManifest(newSecret());
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(["keyturn.yaml"]);
  });

  it("refuses what is there already, and a store that is not clear", () => {
    writeFileSync(path, existing);
    expect(() => addToManifest(newSecret({ ref: "a/db" }))).toThrow("a/db is in");
    expect(() => addToManifest(newSecret({ store: "there" }))).toThrow('there is no store "there"');
    writeFileSync(path, existing.replace("secrets:", "  there: { local: { path: t } }\nsecrets:"));
    expect(() => addToManifest(newSecret())).toThrow("it has here, there");
    addToManifest(newSecret({ store: "there" }));
    expect(loadManifest(path).secrets.get("billing/db")?.store).toBe("there");
  });
});
