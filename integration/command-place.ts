import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import { expect } from "vitest";
import { parseDocument } from "yaml";
import { openManifest } from "../cli/open.ts";
import { type Ended, runKeyturn } from "./keyturn-command.ts";
import type { PostgresServer } from "./postgres-server.ts";
import { quicken } from "./quicken.ts";

const schemas = join(import.meta.dirname, "../schemas/cli");
const ajv = new Ajv2020({ strict: false });
const validators = new Map(
  readdirSync(schemas).map((name) => [
    name.replace(".schema.json", ""),
    ajv.compile(JSON.parse(readFileSync(join(schemas, name), "utf8"))),
  ]),
);

/** Times that a test can wait for. */
const quick = { cacheTtl: "100ms", atLeast: "100ms", atMost: "300ms" };

/** Whether a line of JSON is what the published schema of the command says, or else a failure. */
export function expectToFit(command: string, line: string): void {
  const json: unknown = JSON.parse(line);
  const { error, ...rest } = Object(json);
  const name =
    error !== undefined && Object.keys(rest).length === 0 ? "failure" : command.replaceAll(" ", "-");
  const validate = validators.get(name);
  expect(validate, `a schema of ${name}`).toBeDefined();
  expect({ fits: validate?.(json), why: validate?.errors ?? [], json }).toEqual({
    fits: true,
    why: [],
    json,
  });
}

/** A folder of its own in which a person calls the command, and a PostgreSQL that it may change. */
export class CommandPlace {
  readonly directory = mkdtempSync(join(tmpdir(), "keyturn-commands-"));
  readonly environment: NodeJS.ProcessEnv = {
    ...process.env,
    XDG_CONFIG_HOME: join(this.directory, "config"),
  };
  /** Everything that any command printed. */
  readonly printed: string[] = [];
  /** Every value that was ever current, and the administering password: none of them may be printed. */
  readonly values = new Set<string>();
  readonly #postgres: PostgresServer;
  readonly #adminPassword: string;

  constructor(postgres: PostgresServer, adminPassword: string) {
    this.#postgres = postgres;
    this.#adminPassword = adminPassword;
    this.values.add(adminPassword);
  }

  get manifestPath(): string {
    return join(this.directory, "keyturn.yaml");
  }

  async keyturn(args: readonly string[], input = ""): Promise<Ended> {
    const { environment, directory } = this;
    const ended = await runKeyturn(args, { input, environment, directory });
    this.printed.push(ended.stdout, ended.stderr);
    return ended;
  }

  /** Runs it with --json, expects that exit code and a result of its published shape, and gives it. */
  async json<Result = unknown>(
    args: readonly string[],
    { code = 0, input = "" }: { readonly code?: number; readonly input?: string } = {},
  ): Promise<Result> {
    const ended = await this.keyturn([...args, "--json"], input);
    expect({ ...ended, args }).toEqual({ ...ended, args, code });
    const [first = "", second = ""] = args;
    for (const line of ended.stdout.trimEnd().split("\n"))
      expectToFit(first === "audit" ? `${first} ${second}` : first, line);
    return JSON.parse(ended.stdout.split("\n")[0] ?? "");
  }

  /** Puts a secret with an owner role of its own under Keyturn, with times that a test can wait for. */
  async init(ref: string, owner: string, changes: Readonly<Record<string, string>> = {}): Promise<void> {
    const { host, port, database, caPath } = this.#postgres;
    const options = {
      host,
      port: String(port),
      database,
      owner,
      ca: caPath,
      fleet: "invoice-agents",
      ...changes,
    };
    const args = ["init", ref, "--admin", "db-admin"];
    const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
    const { sql } = await this.json<{ sql: string }>([...args, ...flags], {
      input: `keyturn_admin\n${this.#adminPassword}\n`,
    });
    const superuser = await this.#postgres.client();
    await superuser.query(sql);
    await superuser.end();
    quicken(this.manifestPath, ref, quick);
  }

  /** Adds a secret in the same store and at the same database, with the same times: of an owner's two logins, or of one role with one password. */
  manage(ref: string, admin: string, config: Readonly<Record<string, unknown>>): void {
    const { host, port, database, caPath } = this.#postgres;
    const document = parseDocument(readFileSync(this.manifestPath, "utf8"));
    document.setIn(["secrets", ref], {
      store: "here",
      type: "owner" in config ? "postgres-alternating" : "postgres-password",
      config: { host, port, database, tls: { ca: caPath }, ...config },
      admin: { secret: admin },
      fleets: ["invoice-agents"],
    });
    writeFileSync(this.manifestPath, document.toString());
    quicken(this.manifestPath, ref, quick);
  }

  /** What the store has as current. */
  async current(ref: string): Promise<{ username: string; password: string }> {
    process.env.XDG_CONFIG_HOME = this.environment.XDG_CONFIG_HOME;
    await using opened = await openManifest(this.manifestPath);
    const { ports } = await opened.secret(ref);
    const stored = await ports.store.read(ref, "current");
    const login: { username: string; password: string } = JSON.parse(stored?.value.reveal() ?? "null");
    this.values.add(login.password);
    return login;
  }

  async logsIn(login: { username: string; password: string }): Promise<boolean> {
    try {
      const client = await this.#postgres.client(login);
      await client.end();
      return true;
    } catch {
      return false;
    }
  }

  /** The values that were printed: there should be none. */
  leaked(): readonly string[] {
    const all = this.printed.join("\n");
    return [...this.values].filter((value) => all.includes(value));
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}
