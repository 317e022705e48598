import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type OpenManifest, openManifest } from "../cli/open.ts";
import { request, storeValue } from "../core/operate.ts";
import { inParallel } from "../core/parallel.ts";
import { reconcile } from "../core/reconcile.ts";
import type { RotationRecord } from "../core/record.ts";
import { Secret } from "../core/secret.ts";
import { openLocal } from "../local/open.ts";
import { setupSql } from "../rotators/postgres/setup.ts";
import { type Ended, type Running, runKeyturn, startKeyturn } from "./keyturn-command.ts";
import { type PostgresServer, startPostgres } from "./postgres-server.ts";

interface Login {
  readonly username: string;
  readonly password: string;
}

/** Several tenants' databases on one server, each secret with its first value, and the command as a person runs it. */
export interface RevokeWorld extends AsyncDisposable {
  readonly postgres: PostgresServer;
  readonly directory: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly opened: OpenManifest;
  /** Everything that any command printed, and every value that may not be in it. */
  readonly printed: readonly string[];
  readonly values: ReadonlySet<string>;
  run(args: readonly string[], input?: string): Promise<Ended>;
  start(args: readonly string[]): Running;
  current(ref: string): Promise<Login>;
  logsIn(login: Login): Promise<boolean>;
  record(ref: string): Promise<RotationRecord>;
  /** How often an emergency for it was recorded. */
  emergencies(ref: string): Promise<number>;
}

/** `secrets`: a manifest's entries without what all of them have. */
export async function setRevokeWorld(
  secrets: Readonly<Record<string, { readonly tenant: string; readonly fleets: readonly string[] }>>,
  rest: Readonly<Record<string, unknown>>,
): Promise<RevokeWorld> {
  const directory = mkdtempSync(join(tmpdir(), "keyturn-revoke-"));
  const environment = { ...process.env, XDG_CONFIG_HOME: join(directory, "config") };
  process.env.XDG_CONFIG_HOME = environment.XDG_CONFIG_HOME;
  const postgres = await startPostgres({ maxConnections: 150 });
  const administrator = { username: "keyturn_admin", password: `canary-${randomBytes(12).toString("hex")}` };
  const refs = Object.keys(secrets);
  const owners = new Map(refs.map((ref) => [ref, ref.replaceAll("/", "_")]));
  await setUp(postgres, administrator, [...owners.values()]);
  const manifest = {
    ...rest,
    stores: { here: { local: { path: ".keyturn" } } },
    secrets: {
      "ops/admin": { type: "held", store: "here" },
      ...Object.fromEntries(
        Object.entries(secrets).map(([ref, entry]) => [
          ref,
          { ...entry, ...common(postgres, owners.get(ref)) },
        ]),
      ),
    },
  };
  // JSON is YAML.
  writeFileSync(join(directory, "keyturn.yaml"), JSON.stringify(manifest, null, 2));
  await (await openLocal({ path: join(directory, ".keyturn"), create: true })).close();
  const opened = await openManifest(join(directory, "keyturn.yaml"));
  const { ports } = await opened.store("here");
  const password = new Secret(administrator.password);
  await storeValue("ops/admin", ports, new Secret(JSON.stringify(administrator)), { password });

  const printed: string[] = [];
  const values = new Set([administrator.password]);
  const current = async (ref: string): Promise<Login> => {
    const stored = await ports.store.read(ref, "current");
    const login: Login = JSON.parse(stored?.value.reveal() ?? "null");
    values.add(login.password);
    return login;
  };
  const begun = await inParallel(refs, 4, async (ref) => {
    await request(ref, ports, { kind: "rotate", by: "test" });
    await reconcile(ref, ports, { worker: "test" });
    await current(ref);
  });
  for (const one of begun) if (one.status === "rejected") throw one.reason;
  return {
    postgres,
    directory,
    environment,
    opened,
    printed,
    values,
    current,
    run: async (args, input = "") => {
      const ended = await runKeyturn(args, { input, environment, directory });
      printed.push(ended.stdout, ended.stderr);
      return ended;
    },
    start: (args) => startKeyturn(args, { environment, directory }),
    logsIn: async (login) => {
      const client = await postgres.client(login).catch(() => undefined);
      await client?.end();
      return client !== undefined;
    },
    record: async (ref) => {
      const loaded = await ports.journal.load(ref);
      if (loaded === undefined) throw new Error(`${ref} has no record`);
      return loaded.record;
    },
    emergencies: async (ref) => {
      let count = 0;
      for await (const { action } of ports.audit.read(ref)) if (action === "emergency.requested") count += 1;
      return count;
    },
    [Symbol.asyncDispose]: async () => {
      await opened[Symbol.asyncDispose]();
      await postgres.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function common(postgres: PostgresServer, owner: string | undefined) {
  const { host, port, database, caPath } = postgres;
  return {
    store: "here",
    type: "postgres-alternating",
    config: { host, port, database, owner, tls: { ca: caPath } },
    admin: { secret: "ops/admin" },
    cacheTtl: "1s",
    grace: { atLeast: "1s", atMost: "60s" },
  };
}

async function setUp(postgres: PostgresServer, admin: Login, owners: readonly string[]): Promise<void> {
  const superuser = await postgres.client();
  await superuser.query(`CREATE ROLE ${admin.username} LOGIN CREATEROLE PASSWORD '${admin.password}'`);
  for (const owner of owners) {
    await superuser.query(setupSql({ owner, admin: admin.username, database: postgres.database }));
  }
  await superuser.end();
}
