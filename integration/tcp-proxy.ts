import { connect, createServer, type Socket } from "node:net";

/** A wire between a client and a server that can be torn or go silent at a chosen message of the client. */
export interface TcpProxy {
  readonly port: number;
  /**
   * Tears every connection at the client's nth chunk from now on, counted over all connections. `before`: the server never gets
   * it. `after`: the server gets it and acts, and the client never learns of it.
   */
  tear(chunk: number, when: "before" | "after"): void;
  /** From the nth chunk on the server gets what the client says, and the client hears nothing: it is as good as frozen. */
  silence(chunk: number): void;
  /** Whether what was asked for has happened; forgets it. */
  calm(): boolean;
  close(): Promise<void>;
}

export async function startProxy(target: {
  readonly host: string;
  readonly port: number;
}): Promise<TcpProxy> {
  let plan: { act: "before" | "after" | "silence"; at: number } | undefined;
  let seen = 0;
  let silent = false;
  let happened = false;
  const sockets = new Set<Socket>();

  const server = createServer((client) => {
    const upstream = connect(target.port, target.host);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => undefined);
      socket.on("close", () => sockets.delete(socket));
    }
    client.on("close", () => upstream.end());
    upstream.on("close", () => client.destroy());
    upstream.on("data", (chunk) => {
      if (!silent) client.write(chunk);
    });
    client.on("data", (chunk) => {
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
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the proxy has no port");
  const arm = (act: "before" | "after" | "silence", at: number) => {
    plan = { act, at };
    seen = 0;
    happened = false;
  };
  return {
    port: address.port,
    tear: (chunk, when) => arm(when, chunk),
    silence: (chunk) => arm("silence", chunk),
    calm: () => {
      plan = undefined;
      silent = false;
      return happened;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
