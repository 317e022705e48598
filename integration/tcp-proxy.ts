import { randomInt } from "node:crypto";
import { connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * How a network is when it fails. `refused`: nobody listens. `reset`: whoever speaks is hung up on. `a black hole`: nothing arrives, either way.
 * `half-open`: the server gets what is said and acts, nothing comes back, and it never learns that the client is gone. `slow` and `very slow`:
 * everything arrives, late, and so does the end of a connection.
 */
export const outages = ["refused", "reset", "a black hole", "half-open", "slow", "very slow"] as const;
export type Outage = (typeof outages)[number];

/** Where an outage has begun: the connection, counted from the order on, 0 for one that was open before; and the message, counted in it. */
export interface Beginning {
  readonly connection: number;
  readonly message: number;
}

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
  /**
   * Fails from the client's nth message from now on, counted over all connections; 0: at once. A message is all that a client says until it
   * is answered.
   */
  fail(outage: Outage, message?: number): Promise<void>;
  /**
   * Carries everything again. What was lost stays lost, and of connections whose client has gone the server still knows nothing. Tells at which
   * message it had begun to fail, if it had.
   */
  heal(): Promise<Beginning | undefined>;
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
  /** How much the client has said, and whether the server has answered the last of it. */
  messages: number;
  answered: boolean;
}

/** How long one way takes. */
const waysMs = { slow: 150, "very slow": 2_000 } as const;

interface Order {
  readonly kind: Outage;
  /** The message that it begins with, and how many there have been. */
  readonly message: number;
  heard: number;
  /** How many connections there were before. */
  readonly connections: number;
  began: Beginning | undefined;
}

export async function startProxy(target: Address): Promise<TcpProxy> {
  let leadsTo = target;
  let plan: { act: "before" | "after" | "silence"; at: number } | undefined;
  let seen = 0;
  let silent = false;
  let happened = false;
  let order: Order | undefined;
  let wires = 0;
  const open = new Set<Wire>();
  const sockets = new Set<Socket>();

  const outage = () => (order?.began === undefined ? undefined : order.kind);
  const begin = (ordered: Order, at: Beginning) => {
    ordered.began = at;
    if (ordered.kind === "refused") server.close();
    if (ordered.kind === "refused" || ordered.kind === "reset") for (const wire of open) hangUp(wire);
  };
  const hear = (wire: Wire) => {
    if (!wire.answered) return;
    wire.answered = false;
    wire.messages += 1;
    if (order === undefined || order.began !== undefined) return;
    order.heard += 1;
    const connection = Math.max(0, wire.number - order.connections);
    if (order.heard === order.message) begin(order, { connection, message: wire.messages });
  };
  const fromClient = async (wire: Wire, chunk: Buffer) => {
    hear(wire);
    const kind = outage();
    switch (kind) {
      case "refused":
      case "reset":
        hangUp(wire);
        return;
      case "a black hole":
        return;
      case "slow":
      case "very slow":
        await sleep(waysMs[kind]);
        if (!wire.upstream.destroyed) wire.upstream.write(chunk);
        return;
      case "half-open":
        wire.upstream.write(chunk);
        return;
      case undefined:
        planned(wire, chunk);
    }
  };
  const fromServer = async (wire: Wire, chunk: Buffer) => {
    wire.answered = true;
    const kind = outage();
    if (silent || kind === "a black hole" || kind === "half-open") return;
    if (kind === "slow" || kind === "very slow") await sleep(waysMs[kind]);
    if (!wire.client.destroyed) wire.client.write(chunk);
  };
  /** The end of one side, as far as the other side learns of it. */
  const fromEnded = async (tell: () => void) => {
    const kind = outage();
    if (kind === "a black hole" || kind === "half-open") return;
    if (kind === "slow" || kind === "very slow") await sleep(waysMs[kind]);
    tell();
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
    wires += 1;
    const wire = { client, upstream, number: wires, messages: 0, answered: true };
    open.add(wire);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => undefined);
      socket.on("close", () => sockets.delete(socket));
    }
    client.on("close", () => {
      open.delete(wire);
      void fromEnded(() => upstream.end());
    });
    upstream.on("close", () => void fromEnded(() => client.destroy()));
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
    fail: async (kind, message = 0) => {
      order = { kind, message, heard: 0, connections: wires, began: undefined };
      if (message === 0) begin(order, { connection: 0, message: 0 });
    },
    heal: async () => {
      const began = order?.began;
      order = undefined;
      if (!server.listening) await listenAt(server, port);
      return began;
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

function hangUp({ client, upstream }: Wire): void {
  client.resetAndDestroy();
  upstream.resetAndDestroy();
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
