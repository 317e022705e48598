import { DynamoDBClient, GetItemCommand } from "@aws-sdk/client-dynamodb";
import pg from "pg";
import { expect } from "vitest";
import type { AgentState } from "../../../core/fleet.ts";
import { openJournal } from "../../../functions/journal.ts";
import { wakeKey } from "../../../functions/journal-table.ts";
import { HostProcesses } from "./host-processes.ts";
import { installation } from "./installation.ts";

const { aws, tables, hosts: script, postgres } = installation;
const table = { client: new DynamoDBClient(tables), name: "keyturn-shown-journal" };
const journal = openJournal(table);

/** A value as agents read it. */
export interface Value {
  readonly version: string;
  readonly value: string;
}

/** What the hosts of a secret's fleets have said last. */
export function agentsOf(ref: string): Promise<readonly AgentState[]> {
  return journal.agents(ref);
}

/** Hosts of the shared installation that log in at the database with what they read, and go on asking it. */
export class Fleet implements AsyncDisposable {
  readonly processes: HostProcesses;
  /** For when looks at the secret were ordered because of what hosts said, as far as that was seen. */
  readonly looks = new Set<string>();
  readonly #ref: string;
  readonly #database: pg.Client;

  private constructor(fleet: string, ref: string, database: pg.Client) {
    this.processes = new HostProcesses({ aws, script, installation: "shown", fleet, ref, ca: postgres.ca });
    this.#ref = ref;
    this.#database = database;
  }

  static async open(fleet: string, ref: string): Promise<Fleet> {
    const { host, port, ca, superuser } = postgres;
    const database = new pg.Client({
      ...{ host, port, ssl: { ca }, database: "postgres" },
      ...{ user: superuser.username, password: superuser.password },
    });
    await database.connect();
    return new Fleet(fleet, ref, database);
  }

  /** Sessions that are open with a value's login, as the server knows them. */
  async sessionsOf({ value }: Value): Promise<number> {
    const asked = "SELECT count(*)::int AS count FROM pg_stat_activity WHERE usename = $1";
    const { rows } = await this.#database.query(asked, [JSON.parse(value).username]);
    return rows[0].count;
  }

  /**
   * So many hosts say that they use this and nothing else, and the server has their sessions. Those that have left are not of them. To hand on
   * what hosts say takes LocalStack a while on a machine that is busy.
   */
  async allUse(value: Value, hosts: number, left = 0): Promise<void> {
    const stand = async () => {
      const agents = await agentsOf(this.#ref);
      await this.#seeLook();
      return {
        left: agents.filter(({ leaving }) => leaving === true).length,
        using: agents.filter((one) => one.leaving !== true && uses(one, value.version)).length,
        sessions: await this.sessionsOf(value),
      };
    };
    await expect
      .poll(stand, { timeout: 240_000, interval: 1_000 })
      .toEqual({ left, using: hosts, sessions: hosts });
  }

  async #seeLook(): Promise<void> {
    const asked = { TableName: table.name, Key: { ...wakeKey(this.#ref) }, ConsistentRead: true };
    const { Item } = await table.client.send(new GetItemCommand(asked));
    if (Item?.lookAt?.N !== undefined) this.looks.add(Item.lookAt.N);
  }

  /** No query of theirs has, of those that were made until now. */
  async nothingFailed(): Promise<number> {
    const { done, failed } = await this.processes.queries();
    expect({ failed, errors: this.processes.errors }).toEqual({ failed: 0, errors: [] });
    return done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.processes.kill();
    await this.#database.end();
  }
}

export function uses({ adopted, inUse }: AgentState, version: string): boolean {
  return adopted === version && inUse.every((one) => one === version);
}
