import pg from "pg";
import { type ErrorCode, KeyturnError } from "../core/errors.ts";
import type { Ports } from "../core/ports.ts";
import type { Boundary, Fate } from "./wire.ts";

/** Waits at a boundary for what becomes of the call. */
export type Meet = (boundary: Boundary) => Promise<Fate>;

const outages = {
  store: "store-unavailable",
  journal: "journal-unavailable",
  bus: "bus-unavailable",
  audit: "audit-unavailable",
} as const satisfies Partial<Record<keyof Ports, ErrorCode>>;

const reads = ["list", "versions", "read", "load", "due", "nextDueAt", "refs", "agents", "identify"];

/** Ports each call of which is a boundary. */
export function withBoundaries(ports: Ports, meet: Meet): Ports {
  const behind = <Part extends object>(name: keyof typeof outages, part: Part): Part =>
    new Proxy(part, {
      get: (owner, method) => {
        const found: unknown = Reflect.get(owner, method);
        // A chain that is read is an iterator, and only a verifier's business.
        if (typeof found !== "function" || (name === "audit" && method === "read")) return found;
        const boundary = { what: `${name}.${String(method)}`, changes: !reads.includes(String(method)) };
        return async (...args: unknown[]) => {
          const fate = await meet(boundary);
          if (fate === "fail") throw new KeyturnError(outages[name], `${boundary.what}: out of reach`);
          const result: unknown = await Reflect.apply(found, owner, args);
          if (fate === "go on") return result;
          throw new KeyturnError(outages[name], `${boundary.what}: the reply is lost`);
        };
      },
    });
  return {
    ...ports,
    store: behind("store", ports.store),
    journal: behind("journal", ports.journal),
    bus: behind("bus", ports.bus),
    audit: behind("audit", ports.audit),
  };
}

/** Makes a boundary of every connection, every statement and every farewell of this process. A fault tears the connection, as it does on a network. */
export function driverWithBoundaries(meet: Meet): void {
  const { connect, query, end } = pg.Client.prototype;
  for (const [name, method] of Object.entries({ connect, query, end })) {
    Reflect.set(pg.Client.prototype, name, async function (this: pg.Client, ...args: unknown[]) {
      const fate = await meet({ what: `pg.${name}${statement(args[0])}`, changes: true });
      if (fate === "fail") throw torn(this);
      const call: unknown = method;
      const result: unknown = typeof call === "function" ? await Reflect.apply(call, this, args) : undefined;
      if (fate === "go on") return result;
      throw torn(this);
    });
  }
}

/** Its first word is enough to find it, and has no value in it. */
function statement(text: unknown): string {
  return typeof text === "string" ? ` ${text.trimStart().split(/\s/, 1)[0]}` : "";
}

function torn(client: pg.Client): Error {
  client.connection.stream.destroy();
  return Object.assign(new Error("the connection is torn"), { code: "ECONNRESET" });
}
