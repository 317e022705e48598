import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { Socket } from "node:net";

/** Connections that are waited on in the background: they never keep the process alive, in use or not. */
export function backgroundConnections() {
  const options = { keepAlive: true, maxSockets: 4 };
  return {
    httpAgent: inBackground(new HttpAgent(options)),
    httpsAgent: inBackground(new HttpsAgent(options)),
  };
}

function inBackground<Connections extends HttpAgent>(connections: Connections): Connections {
  const connect = connections.createConnection.bind(connections);
  connections.createConnection = (options, callback) => unreferenced(connect(options, callback));
  // Node takes a connection that is used again for a reason to live.
  const reuse = connections.reuseSocket.bind(connections);
  connections.reuseSocket = (socket, request) => {
    reuse(socket, request);
    unreferenced(socket);
  };
  return connections;
}

function unreferenced<Connection>(connection: Connection): Connection {
  if (connection instanceof Socket) connection.unref();
  return connection;
}
