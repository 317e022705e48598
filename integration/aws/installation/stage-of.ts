import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { GetFunctionConfigurationCommand, InvokeCommand, LambdaClient } from "@aws-sdk/client-lambda";
import {
  GetSecretValueCommand,
  ResourceNotFoundException,
  RotateSecretCommand,
  type RotationRulesType,
  SecretsManagerClient,
} from "@aws-sdk/client-secrets-manager";
import { GetQueueUrlCommand, SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import pg from "pg";
import type { RotationRecord } from "../../../core/record.ts";
import { openJournal } from "../../../functions/journal.ts";
import type { AwsConfig } from "../aws-config.ts";

/** What PostgreSQL says to a wrong password, and to a login that may not log in. */
const refusals = ["28P01", "28000"];

interface Deployed {
  readonly aws: AwsConfig;
  readonly tables: AwsConfig;
  readonly postgres: { readonly host: string; readonly port: number; readonly ca: string };
}

/** What happens on a deployed installation, by whoever uses it. */
export function stageOf({ aws, tables, postgres }: Deployed) {
  const manager = new SecretsManagerClient(aws);
  const lambda = new LambdaClient(aws);
  const sqs = new SQSClient(aws);
  const journal = openJournal({ client: new DynamoDBClient(tables), name: "keyturn-shown-journal" });

  /** What agents read; undefined while there is nothing. */
  async function current(
    ref: string,
  ): Promise<{ readonly version: string; readonly value: string } | undefined> {
    const read = await manager.send(new GetSecretValueCommand({ SecretId: ref })).catch((thrown: unknown) => {
      if (thrown instanceof ResourceNotFoundException) return undefined;
      throw thrown;
    });
    const { VersionId: version = "", SecretString: value = "" } = read ?? {};
    return value.startsWith("{") ? { version, value } : undefined;
  }

  /** Whether the database lets a value in; whatever else it says than that it does not is thrown. */
  async function letsIn(value: string | undefined): Promise<boolean> {
    if (value === undefined) throw new Error("there is no value to log in with");
    const { username: user, password } = JSON.parse(value);
    const { host, port, ca } = postgres;
    const client = new pg.Client({ host, port, user, password, database: "postgres", ssl: { ca } });
    try {
      await client.connect();
      return true;
    } catch (thrown) {
      if (thrown instanceof pg.DatabaseError && refusals.includes(thrown.code ?? "")) return false;
      throw thrown;
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  async function record(ref: string): Promise<RotationRecord | undefined> {
    return (await journal.load(ref))?.record;
  }

  /** Waits until nothing is under way and nothing is owed; what is then. */
  async function atRest(ref: string, withinMs = 180_000): Promise<RotationRecord | undefined> {
    const isAtRest = async () => {
      const found = await record(ref);
      return found?.state.phase === "idle" && found.debts.length === 0;
    };
    await eventually(`${ref} is at rest`, withinMs, isAtRest);
    return record(ref);
  }

  /** Orders something by hand, as a person's tool does: through the queue of incidents. */
  async function order(said: Readonly<Record<string, unknown>>): Promise<void> {
    const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: "keyturn-shown-incidents" }));
    await sqs.send(
      new SendMessageCommand({ QueueUrl, MessageBody: JSON.stringify({ by: "alice", ...said }) }),
    );
  }

  /** Has a first value made, and waits until it is there and nothing is under way. */
  async function begun(ref: string): Promise<{ readonly version: string; readonly value: string }> {
    await order({ order: "rotate", ref });
    await eventually(`${ref} has a value`, 240_000, async () => (await record(ref))?.current !== undefined);
    await atRest(ref);
    const found = await current(ref);
    if (found === undefined) throw new Error(`${ref} has no value`);
    return found;
  }

  /**
   * Begins a rotation as the console does; LocalStack answers when all four steps are over, and with success although one failed. Only
   * with rules does it say, as AWS always does, that it rotates the secret from then on.
   */
  async function rotateSecret(ref: string, token: string, rules?: RotationRulesType): Promise<void> {
    const { FunctionArn } = await lambda.send(
      new GetFunctionConfigurationCommand({ FunctionName: "keyturn-shown-postgres-alternating" }),
    );
    const asked = { SecretId: ref, RotationLambdaARN: FunctionArn, ClientRequestToken: token };
    await manager.send(new RotateSecretCommand({ ...asked, RotationRules: rules }));
  }

  /** Rotates it so, and tells the value that has come out. */
  async function rotated(ref: string): Promise<{ readonly version: string; readonly value: string }> {
    const token = randomUUID();
    await rotateSecret(ref, token);
    const found = await current(ref);
    if (found?.version !== token) throw new Error(`${ref} was not rotated: current is ${found?.version}`);
    return found;
  }

  /** What EventBridge Scheduler does every minute, and LocalStack does not. */
  async function tick(): Promise<void> {
    const { FunctionError, Payload } = await lambda.send(
      new InvokeCommand({ FunctionName: "keyturn-shown-schedule", Payload: "{}" }),
    );
    if (FunctionError !== undefined) throw new Error(Payload?.transformToString());
  }

  return { current, letsIn, record, atRest, order, begun, rotateSecret, rotated, tick, processesOf };
}

/** The processes that run a function: what AWS calls its execution environments. */
function processesOf(name: string): readonly number[] {
  return readdirSync("/proc")
    .filter((pid) => /^\d+$/.test(pid))
    .map(Number)
    .filter((pid) => runs(pid, name));
}

function runs(pid: number, name: string): boolean {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    return words.includes(name) && words.some((word) => word.endsWith("/runtime.mjs"));
  } catch {
    return false;
  }
}

/** Looks again and again; throws if what is waited for has not come to be in time. */
async function eventually(what: string, withinMs: number, holds: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + withinMs;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`);
    await sleep(750);
  }
}
