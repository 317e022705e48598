import { randomInt } from "node:crypto";
import { connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * How a network is when it fails. `refused`: nobody listens. `reset`: whoever speaks is hung up on. `a black hole`: nothing arrives, either way.
 * `half-open`: the server gets what is said and acts, nothing comes back, and it never learns that the client is gone. `slow`: everything
 * arrives, late.
 */
export const outages = ["refused", "reset", "a black hole", "half-open", "slow"] as const;
export type Outage = (typeof outages)[number];

/** A wire between a client and a server that can be torn or go silent at a chosen message of the client. */
export interface TcpProxy {
  readonly port: number;
  /** How many connections clients have made. */
  connections(): number;
  /**
   * Tears every connection at the client's nth chunk from now on, counted over all connections. `before`: the server never gets
   * it. `after`: the server gets it and acts, and the client never learns of it.
   */
  tear(chunk: number, when: "before" | "after"): void;
  /** From the nth chunk on the server gets what the client says, and the client hears nothing: it is as good as frozen. */
  silence(chunk: number): void;
  /** Whether it has come to a silence that was asked for. */
  readonly isSilent: boolean;
  /** Whether what was asked for has happened; forgets it. */
  calm(): boolean;
  /** Fails from now on. So many of the next connections are spared, and then those that are open already, too. */
  fail(outage: Outage, spared?: number): Promise<void>;
  /** Carries everything again. What was lost stays lost, and of connections whose client has gone the server still knows nothing. */
  heal(): Promise<void>;
  /** Leads new connections elsewhere. */
  redirect(target: Address): void;
  close(): Promise<void>;
}

interface Address {
  readonly host: string;
  readonly port: number;
}

interface Wire {
  readonly client: Socket;
  readonly upstream: Socket;
  readonly number: number;
}

/** One way of a slow wire. */
const slowMs = 400;

export async function startProxy(target: Address): Promise<TcpProxy> {
  let leadsTo = target;
  let plan: { act: "before" | "after" | "silence"; at: number } | undefined;
  let seen = 0;
  let silent = false;
  let happened = false;
  let outage: { readonly kind: Outage; readonly fromWire: number } | undefined;
  let wires = 0;
  const open = new Set<Wire>();
  const sockets = new Set<Socket>();

  const outageOf = ({ number }: Wire) =>
    outage !== undefined && number >= outage.fromWire ? outage.kind : undefined;

  const fromClient = async (wire: Wire, chunk: Buffer) => {
    const { client, upstream } = wire;
    switch (outageOf(wire)) {
      case "refused":
      case "reset":
        client.resetAndDestroy();
        upstream.resetAndDestroy();
        return;
      case "a black hole":
        return;
      case "slow":
        await sleep(slowMs);
        if (!upstream.destroyed) upstream.write(chunk);
        return;
      case "half-open":
        upstream.write(chunk);
        return;
      case undefined:
        planned(wire, chunk);
    }
  };
  const fromServer = async (wire: Wire, chunk: Buffer) => {
    const kind = outageOf(wire);
    if (silent || kind === "a black hole" || kind === "half-open") return;
    if (kind === "slow") await sleep(slowMs);
    if (!wire.client.destroyed) wire.client.write(chunk);
  };
  const planned = ({ client, upstream }: Wire, chunk: Buffer) => {
    seen++;
    const due = plan !== undefined && seen >= plan.at ? plan.act : undefined;
    happened ||= due !== undefined;
    switch (due) {
      case "before":
        upstream.destroy();
        client.destroy();
        return;
      case "after":
        upstream.end(chunk);
        client.destroy();
        return;
      case "silence":
        silent = true;
        upstream.write(chunk);
        return;
      case undefined:
        upstream.write(chunk);
    }
  };

  const server = createServer((client) => {
    const upstream = connect(leadsTo.port, leadsTo.host);
    const wire = { client, upstream, number: wires++ };
    open.add(wire);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => undefined);
      socket.on("close", () => sockets.delete(socket));
    }
    client.on("close", () => {
      open.delete(wire);
      const kind = outageOf(wire);
      if (kind !== "a black hole" && kind !== "half-open") upstream.end();
    });
    upstream.on("close", () => {
      const kind = outageOf(wire);
      if (kind !== "a black hole" && kind !== "half-open") client.destroy();
    });
    upstream.on("data", (chunk) => void fromServer(wire, chunk));
    client.on("data", (chunk) => void fromClient(wire, chunk));
  });
  const port = await listenSomewhere(server);
  const arm = (act: "before" | "after" | "silence", at: number) => {
    plan = { act, at };
    seen = 0;
    happened = false;
  };
  return {
    port,
    connections: () => wires,
    tear: (chunk, when) => arm(when, chunk),
    silence: (chunk) => arm("silence", chunk),
    get isSilent() {
      return silent;
    },
    calm: () => {
      plan = undefined;
      silent = false;
      return happened;
    },
    fail: async (kind, spared = 0) => {
      outage = { kind, fromWire: spared > 0 ? wires + spared : 0 };
      if (kind !== "refused" && kind !== "reset") return;
      for (const wire of open) {
        if (outageOf(wire) === undefined) continue;
        wire.client.resetAndDestroy();
        wire.upstream.resetAndDestroy();
      }
      // With some spared they are hung up on instead: nobody can tell beforehand who comes.
      if (kind === "refused" && spared === 0) server.close();
    },
    heal: async () => {
      outage = undefined;
      if (!server.listening) await listenAt(server, port);
    },
    redirect: (other) => {
      leadsTo = other;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Below the range that the system gives to outgoing connections, so that the port is still free when the proxy comes back to it. */
async function listenSomewhere(server: Server): Promise<number> {
  for (;;) {
    const port = randomInt(15_000, 32_768);
    try {
      await listenAt(server, port);
      return port;
    } catch {
      // Somebody has it.
    }
  }
}

async function listenAt(server: Server, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      server.off("error", reject);
      resolve();
    });
  });
}
