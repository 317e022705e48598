import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { AssumeRoleCommand, STSClient } from "@aws-sdk/client-sts";
import { connect, type HeldSecret, type KeyturnClient } from "../../../agent/index.ts";
import { createPool, type RotatingPgPool } from "../../../agent/pg.ts";

/**
 * Hosts of a fleet in one process, each with an identity of its own: they read a secret and use every version that they get. With the authority of
 * its database they log in there, and go on asking it.
 */
const [installation = "", fleet = "", ref = "", prefix = "", count = "0", ca] = process.argv.slice(2);
const sts = new STSClient();
const betweenQueriesMs = 1_000;
const queries = { done: 0, failed: 0 };
const pools: RotatingPgPool[] = [];
const asking: Promise<void>[] = [];
let held: HeldSecret | undefined;
let isOver = false;

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
  const got = (version: string) => {
    // A pool says itself what the database has let in.
    if (ca === undefined) client.used(ref, version);
    say({ host: client.agent, version, at: Date.now() });
  };
  client.subscribeToRotation(ref, ({ version }) => got(version));
  const { version } = await client.getSecret(ref);
  got(version);
  if (ca !== undefined) {
    const pool = createPool(client, ref, { max: 1, idleTimeoutMillis: 3_600_000, ssl: { ca } });
    pools.push(pool);
    asking.push(ask(pool));
  }
  return client;
}

/** One query after the other, until all is over. */
async function ask(pool: RotatingPgPool): Promise<void> {
  while (!isOver) {
    try {
      await pool.query("SELECT 1");
      queries.done += 1;
    } catch (thrown) {
      queries.failed += 1;
      process.stderr.write(`a query failed: ${String(thrown)}\n`);
    }
    await sleep(betweenQueriesMs);
  }
}

function say(line: unknown): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

const names = Array.from({ length: Number(count) }, (_, index) => `${prefix}-${index}`);
const clients = await Promise.all(names.map(startHost));
for await (const command of createInterface({ input: process.stdin })) {
  const [first] = clients;
  if (command === "count") say({ queries });
  if (command === "hold") {
    held = await first?.hold(ref);
    say({ held: held?.secret.version });
  }
  if (command === "release") await held?.release();
}
isOver = true;
await Promise.all(asking);
await Promise.all(pools.map((pool) => pool.end()));
await Promise.all(clients.map((client) => client.close()));
