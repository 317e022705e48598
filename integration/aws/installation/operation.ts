import type { IncomingMessage } from "node:http";

/** A call of a function to AWS: what may be told of it to everybody. */
export interface Call {
  /** As AWS calls it where a request is signed: `secretsmanager`, `dynamodb`, `s3`. */
  readonly service: string;
  /** For S3 the method, for it names no operation. */
  readonly operation: string;
  /** The name of the function. */
  readonly by: string;
  /** The same for a call that the SDK has repeated. */
  readonly id: string;
  /** The port of its connection's own end. */
  readonly port: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** What a request asks for, by its headers; of what is asked by a form, by that. */
export function operationOf({ headers, method = "", socket }: IncomingMessage, body: string): Call {
  const target = headers["x-amz-target"];
  const action = /(?:^|&)Action=(?<name>\w+)/.exec(body)?.groups?.name;
  return {
    service:
      /Credential=[^/]+\/\d+\/[^/]+\/(?<service>[^/]+)\//.exec(headers.authorization ?? "")?.groups
        ?.service ?? "",
    operation: typeof target === "string" ? target.slice(target.lastIndexOf(".") + 1) : (action ?? method),
    by: / app\/(?<name>\S+)/.exec(headers["user-agent"] ?? "")?.groups?.name ?? "",
    id: String(headers["amz-sdk-invocation-id"] ?? ""),
    port: socket.remotePort ?? 0,
    at: Date.now(),
  };
}
