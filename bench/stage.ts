import pg from "pg";
import { type OpenSecret, openSecret } from "../cli/open.ts";
import { ref, type Stage, setStage } from "../demo/stage.ts";
import { quicken } from "../integration/quicken.ts";

/** A database under Keyturn whose agents, were there any, would keep a value for 20 ms: a whole rotation fits into a blink. */
export interface BenchStage extends AsyncDisposable {
  readonly stage: Stage;
  readonly secret: OpenSecret;
  readonly spy: Spy;
}

export async function setBenchStage(): Promise<BenchStage> {
  const stage = await setStage({ maxConnections: 200 });
  quicken(stage.manifestPath, ref, { cacheTtl: "20ms", atLeast: "20ms", atMost: "40ms" });
  const secret = await openSecret(stage.manifestPath, ref);
  const spy = new Spy();
  return {
    stage,
    secret,
    spy,
    [Symbol.asyncDispose]: async () => {
      spy.stop();
      await secret[Symbol.asyncDispose]();
      await stage[Symbol.asyncDispose]();
    },
  };
}

interface Statement {
  readonly user: string;
  readonly text: string;
  readonly values: unknown[] | undefined;
}

/** Sees every connection and every statement that this process makes through the driver. */
export class Spy {
  readonly #connect = pg.Client.prototype.connect;
  readonly #query = pg.Client.prototype.query;
  statements: Statement[] = [];
  logins: { readonly user: string; readonly failed: boolean }[] = [];

  constructor() {
    const spy = this;
    const connect: unknown = this.#connect;
    const query: unknown = this.#query;
    Reflect.set(pg.Client.prototype, "connect", async function (this: pg.Client) {
      try {
        if (typeof connect === "function") await Reflect.apply(connect, this, []);
        spy.logins.push({ user: this.user ?? "", failed: false });
      } catch (error) {
        spy.logins.push({ user: this.user ?? "", failed: true });
        throw error;
      }
    });
    Reflect.set(pg.Client.prototype, "query", function (this: pg.Client, ...args: unknown[]) {
      const [config, values] = args;
      const { text = config, values: inside = values }: { text?: unknown; values?: unknown } = Object(config);
      if (typeof text === "string") {
        spy.statements.push({
          user: this.user ?? "",
          text,
          values: Array.isArray(inside) ? inside : undefined,
        });
      }
      return typeof query === "function" ? Reflect.apply(query, this, args) : undefined;
    });
  }

  clear(): void {
    this.statements = [];
    this.logins = [];
  }

  stop(): void {
    pg.Client.prototype.connect = this.#connect;
    pg.Client.prototype.query = this.#query;
  }
}
