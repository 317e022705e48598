import { createInterface } from "node:readline";
import { AssumeRoleCommand, STSClient } from "@aws-sdk/client-sts";
import { connect, type KeyturnClient } from "../../../agent/index.ts";

/** Hosts of a fleet in one process, each with an identity of its own: they read a secret and use every version that they get. */
const [installation = "", fleet = "", ref = "", prefix = "", count = "0"] = process.argv.slice(2);
const sts = new STSClient();

async function startHost(name: string): Promise<KeyturnClient> {
  const role = { RoleArn: "arn:aws:iam::000000000000:role/agents", RoleSessionName: name };
  const { Credentials } = await sts.send(new AssumeRoleCommand(role));
  const { AccessKeyId = "", SecretAccessKey = "", SessionToken = "" } = Credentials ?? {};
  const credentials = {
    accessKeyId: AccessKeyId,
    secretAccessKey: SecretAccessKey,
    sessionToken: SessionToken,
  };
  const client = await connect({ aws: { installation, credentials }, fleet, spreadMs: 500 });
  client.subscribeToRotation(ref, ({ version }) => {
    client.used(ref, version);
    say({ host: client.agent, version, at: Date.now() });
  });
  const { version } = await client.getSecret(ref);
  client.used(ref, version);
  say({ host: client.agent, version, at: Date.now() });
  return client;
}

function say(line: unknown): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

const names = Array.from({ length: Number(count) }, (_, index) => `${prefix}-${index}`);
const clients = await Promise.all(names.map(startHost));
for await (const command of createInterface({ input: process.stdin })) {
  const [first] = clients;
  if (command === "hold") say({ held: (await first?.hold(ref))?.secret.version });
}
await Promise.all(clients.map((client) => client.close()));
