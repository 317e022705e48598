import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import pg from "pg";
import { expect } from "vitest";
import type { AgentState } from "../../../core/fleet.ts";
import { openJournal } from "../../../functions/journal.ts";
import { HostProcesses } from "../stack/host-processes.ts";
import { installation } from "./installation.ts";

const { aws, tables, postgres } = installation;
const journal = openJournal({ client: new DynamoDBClient(tables), name: "keyturn-shown-journal" });

/** A value as agents read it. */
export interface Value {
  readonly version: string;
  readonly value: string;
}

/** Hosts of the shared installation that log in at the database with what they read, and go on asking it. */
export class Fleet implements AsyncDisposable {
  readonly processes: HostProcesses;
  readonly #ref: string;
  readonly #database: pg.Client;

  private constructor(fleet: string, ref: string, database: pg.Client) {
    this.processes = new HostProcesses({ aws, installation: "shown", fleet, ref, ca: postgres.ca });
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

  agents(): Promise<readonly AgentState[]> {
    return journal.agents(this.#ref);
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
      const agents = await this.agents();
      return {
        left: agents.filter(({ leaving }) => leaving === true).length,
        using: agents.filter((one) => one.leaving !== true && uses(one, value.version)).length,
        sessions: await this.sessionsOf(value),
      };
    };
    await expect
      .poll(stand, { timeout: 240_000, interval: 500 })
      .toEqual({ left, using: hosts, sessions: hosts });
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

function uses({ adopted, inUse }: AgentState, version: string): boolean {
  return adopted === version && inUse.every((one) => one === version);
}
