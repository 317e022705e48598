import { once } from "node:events";
import { writeFileSync } from "node:fs";
import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { createAuthority } from "../integration/certificates.ts";
import { temporaryFolder } from "../local/folder.contract.ts";

export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Answers a request; by default with 200. */
export type Behaviour = (response: ServerResponse, received: Received, count: number) => void;

export interface Receiver {
  readonly url: string;
  readonly host: string;
  /** The file of the authority that a channel must trust. */
  readonly ca: string;
  readonly received: readonly Received[];
  /** The bodies that came to a path, in their order. */
  bodies(path?: string): readonly unknown[];
  behave(behaviour: Behaviour): void;
}

export const fine: Behaviour = (response) => void response.writeHead(200).end("ok");

/** An HTTPS server on this machine that keeps what it is sent; its certificate is for `dns`. */
export async function startReceiver(
  options: { readonly dns?: readonly string[]; readonly ip?: readonly string[] } = {},
): Promise<Receiver> {
  const authority = createAuthority();
  const issued = authority.issue({ dns: options.dns ?? ["localhost"], ip: options.ip ?? ["127.0.0.1"] });
  const ca = join(temporaryFolder(), "ca.pem");
  writeFileSync(ca, authority.certificate);
  const received: Received[] = [];
  let behave = fine;
  const server = createServer({ key: issued.key, cert: issued.certificate }, async (request, response) => {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    const one = { path: request.url ?? "", headers: request.headers, body };
    received.push(one);
    behave(response, one, received.length);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const host = `127.0.0.1:${port}`;
  return {
    url: `https://${host}`,
    host,
    ca,
    received,
    bodies: (path) =>
      received.filter((one) => path === undefined || one.path === path).map(({ body }) => JSON.parse(body)),
    behave: (behaviour) => {
      behave = behaviour;
    },
  };
}
