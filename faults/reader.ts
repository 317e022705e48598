import * as z from "zod/mini";
import type { SecretStore } from "../core/ports.ts";
import type { PostgresServer } from "../integration/postgres-server.ts";

const Login = z.object({ username: z.string(), password: z.string() });
export type Login = z.infer<typeof Login>;

/**
 * A client that knows only the readers' rules: current; of a cutover type pending when current is refused, and then current again. It remembers every
 * value that it has ever read, so that the end can ask which of them still work.
 */
export class Reader {
  /** Where it found no credential that works. */
  readonly failures: string[] = [];
  readonly #seen = new Map<string, Login>();
  readonly #ref: string;
  readonly #store: SecretStore;
  readonly #server: PostgresServer;
  readonly #stages: readonly ("current" | "pending")[];

  constructor(ref: string, store: SecretStore, server: PostgresServer, overlap: "both-live" | "cutover") {
    this.#ref = ref;
    this.#store = store;
    this.#server = server;
    this.#stages = overlap === "cutover" ? ["current", "pending", "current"] : ["current"];
  }

  /** Logs in by the rules. */
  async look(where: string): Promise<void> {
    await this.note();
    for (const stage of this.#stages) {
      const login = await this.#read(stage);
      if (login !== undefined && (await this.accepts(login))) return;
    }
    this.failures.push(where);
  }

  /** Which of all values ever read the target accepts now. */
  async live(): Promise<readonly Login[]> {
    const live: Login[] = [];
    for (const login of this.#seen.values()) if (await this.accepts(login)) live.push(login);
    return live;
  }

  async current(): Promise<Login | undefined> {
    return this.#read("current");
  }

  /** Remembers what there is to read now. */
  async note(): Promise<void> {
    await this.#read("current");
    await this.#read("pending");
  }

  /** Whether the target accepts it. Only a clear answer counts as refused; anything else throws. */
  async accepts(login: Login): Promise<boolean> {
    try {
      const client = await this.#server.client(login);
      await client.end();
      return true;
    } catch (error) {
      const code: unknown = Object(error).code;
      if (code === "28P01" || code === "28000") return false;
      throw error;
    }
  }

  async #read(stage: "current" | "pending"): Promise<Login | undefined> {
    const stored = await this.#store.read(this.#ref, stage);
    if (stored === undefined) return undefined;
    const login = z.parse(Login, JSON.parse(stored.value.reveal()));
    this.#seen.set(JSON.stringify(login), login);
    return login;
  }
}
