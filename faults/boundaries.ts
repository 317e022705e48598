import { type ErrorCode, KeyturnError } from "../core/errors.ts";
import type { Ports } from "../core/ports.ts";
import type { Boundary, Fate } from "./wire.ts";

/** What becomes of a call. `held` says that it was carried out or sent, and waits for what becomes of its reply. */
interface Met {
  readonly fate: Fate;
  readonly held: () => Promise<unknown>;
}

/** Waits at a boundary for what becomes of the call. */
export type Meet = (boundary: Boundary) => Promise<Met>;

interface AtBoundary {
  readonly meet: Meet;
  readonly boundary: Boundary;
  /** As whoever calls is told that there is no answer. */
  readonly failure: (message: string) => Error;
}

/** Makes a call, or does not, or makes it and keeps its reply back, as its fate is. */
export async function atBoundary<Result>(
  { meet, boundary, failure }: AtBoundary,
  carryOut: () => Promise<Result>,
): Promise<Result> {
  const { fate, held } = await meet(boundary);
  if (fate === "fail") throw failure(`${boundary.what}: out of reach`);
  const call = carryOut();
  if (fate === "go on") return call;
  // Whatever it came to, nobody hears of it.
  await Promise.allSettled([call]);
  await held();
  throw failure(`${boundary.what}: the reply is lost`);
}

const outages = {
  store: "store-unavailable",
  journal: "journal-unavailable",
  bus: "bus-unavailable",
  audit: "audit-unavailable",
} as const satisfies Partial<Record<keyof Ports, ErrorCode>>;

const reads = ["list", "versions", "read", "load", "due", "nextDueAt", "refs", "agents", "identify"];

type Outward = Pick<Ports, keyof typeof outages>;

/** Ports each call of which is a boundary. */
export function withBoundaries(ports: Outward, meet: Meet): Outward {
  const behind = <Part extends object>(name: keyof typeof outages, part: Part): Part =>
    new Proxy(part, {
      get: (owner, method) => {
        const found: unknown = Reflect.get(owner, method);
        // A chain that is read is an iterator, and only a verifier's business.
        if (typeof found !== "function" || (name === "audit" && method === "read")) return found;
        const boundary = { what: `${name}.${String(method)}`, changes: !reads.includes(String(method)) };
        return (...args: unknown[]) =>
          atBoundary(
            { meet, boundary, failure: (message) => new KeyturnError(outages[name], message) },
            async () => Reflect.apply(found, owner, args),
          );
      },
    });
  return {
    store: behind("store", ports.store),
    journal: behind("journal", ports.journal),
    bus: behind("bus", ports.bus),
    audit: behind("audit", ports.audit),
  };
}
