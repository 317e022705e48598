import { createHash } from "node:crypto";
import { SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { callLimits } from "../../../functions/call-limits.ts";
import type { Strictness } from "./secret.ts";
import { StrictServer } from "./server.ts";
import { StrictSecretsManager } from "./service.ts";

export interface StrictWorld {
  readonly service: StrictSecretsManager;
  readonly server: StrictServer;
  /** The SDK's client with the settings that production has. */
  client(region?: string): SecretsManagerClient;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A strict Secrets Manager that listens, and clients of it. */
export async function strictWorld(strictness: Partial<Strictness> = {}): Promise<StrictWorld> {
  const service = new StrictSecretsManager(strictness);
  const server = await new StrictServer(service).start();
  const clients: SecretsManagerClient[] = [];
  return {
    service,
    server,
    client: (region = "eu-west-1") => {
      const client = new SecretsManagerClient({
        ...callLimits,
        region,
        endpoint: server.endpoint,
        credentials: { accessKeyId: "AKIAEXAMPLE", secretAccessKey: "not-a-secret-of-anybody" },
      });
      clients.push(client);
      return client;
    },
    [Symbol.asyncDispose]: async () => {
      for (const client of clients) client.destroy();
      await service.settled();
      await server.stop();
    },
  };
}

/** A UUID for a short name, the same one each time. */
export function idOf(name: string): string {
  const hex = createHash("sha256").update(name).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
