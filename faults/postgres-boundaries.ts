import { once } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import pg from "pg";
import type { Meet } from "./boundaries.ts";

/** Makes a boundary of every connection, every statement and every farewell of this process. A fault tears the connection, as it does on a network. */
export function driverWithBoundaries(meet: Meet): void {
  const { connect, query, end } = pg.Client.prototype;
  for (const [name, method] of Object.entries({ connect, query, end })) {
    Reflect.set(pg.Client.prototype, name, async function (this: pg.Client, ...args: unknown[]) {
      const { fate, held } = await meet({ what: `pg.${name}${statement(args[0])}`, changes: true });
      if (fate === "fail") throw torn(this);
      const carryOut: unknown = method;
      if (typeof carryOut !== "function") return undefined;
      // Its reply stays in the socket: whoever dies now has a statement at the server, and never hears of it.
      if (fate === "send" && name !== "connect") this.connection.stream.pause();
      const call = Promise.resolve(Reflect.apply(carryOut, this, args));
      if (fate === "go on") return call;
      const settled = Promise.allSettled([call]);
      await (fate === "send" ? sent(this, name, settled) : settled);
      await held();
      throw torn(this);
    });
  }
}

/** Its first word is enough to find it, and has no value in it. */
function statement(text: unknown): string {
  return typeof text === "string" ? ` ${text.trimStart().split(/\s/, 1)[0]}` : "";
}

/** A connection is under way when it is encrypted and the login begins; anything else when its last byte has been given to the network. */
async function sent({ connection }: pg.Client, name: string, settled: Promise<unknown>): Promise<void> {
  if (name === "connect") {
    await Promise.race([once(connection, "sslconnect"), settled]);
    return;
  }
  do await turn();
  while (connection.stream.writableLength > 0);
}

function torn(client: pg.Client): Error {
  client.connection.stream.destroy();
  return Object.assign(new Error("the connection is torn"), { code: "ECONNRESET" });
}
