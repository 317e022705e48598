import { once } from "node:events";
import { createServer, type IncomingMessage, request } from "node:http";

/** Stands before an HTTP server, and loses replies: what was asked for is done there, and whoever asked is hung up on. */
export interface LossyProxy extends AsyncDisposable {
  readonly endpoint: string;
  /** Loses that many of the next replies. */
  lose(replies: number): void;
  /** How many were lost. */
  readonly lost: number;
}

export async function startLossyProxy(port: number): Promise<LossyProxy> {
  let toLose = 0;
  let lost = 0;
  const server = createServer((asked, answer) => {
    const { method, url: path, headers } = asked;
    const onward = request({ host: "127.0.0.1", port, method, path, headers }, (reply: IncomingMessage) => {
      if (toLose > 0) {
        toLose -= 1;
        lost += 1;
        reply.resume().on("end", () => asked.socket.destroy());
        return;
      }
      answer.writeHead(reply.statusCode ?? 500, reply.headers);
      reply.pipe(answer);
    });
    onward.on("error", () => asked.socket.destroy());
    asked.pipe(onward);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the proxy has no port");
  return {
    endpoint: `http://127.0.0.1:${address.port}`,
    lose: (replies) => {
      toLose = replies;
    },
    get lost() {
      return lost;
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
