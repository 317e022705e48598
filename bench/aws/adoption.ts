import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { ListQueuesCommand, SQSClient } from "@aws-sdk/client-sqs";
import { openJournal } from "../../functions/journal.ts";
import { HostProcesses } from "../../integration/aws/installation/host-processes.ts";
import { median } from "../median.ts";
import { type AwsStage, adopted, fleet, rotatingFunction } from "./stage.ts";

const [processCount, hostsEach] = [5, 10];
const patienceMs = 90_000;

export interface Adoption {
  readonly hosts: number;
  /** From the event on the bus until a host uses the new version. */
  readonly medianMs: number;
  readonly lastMs: number;
}

/** A rotation of a secret that hosts read, each with a queue of its own, by the fan-out as it is deployed. */
export async function benchAdoption({ installation, hands, callsSince }: AwsStage): Promise<Adoption> {
  const { aws, hosts: script } = installation;
  const hosts = processCount * hostsEach;
  await hands.begun(adopted);
  const journal = openJournal({ client: new DynamoDBClient(aws), name: "keyturn-shown-journal" });
  const sqs = new SQSClient(aws);
  const processes = new HostProcesses({ aws, script, installation: "shown", fleet, ref: adopted });
  const until = async (what: string, isThere: () => Promise<number>) => {
    const end = Date.now() + patienceMs;
    for (let count = await isThere(); count < hosts; count = await isThere()) {
      if (Date.now() > end)
        throw new Error(`${count} of ${hosts} hosts ${what}: ${processes.errors.join("")}`);
      await sleep(250);
    }
  };
  try {
    for (let index = 0; index < processCount; index += 1) processes.start(`p${index}`, hostsEach);
    await until("are known", async () => (await journal.agents(adopted)).length);
    await until("have a queue", async () => queueCount(sqs));
    const [token, since] = [randomUUID(), Date.now()];
    await hands.rotateSecret(adopted, token);
    const announced = (await callsSince(since)).find(
      ({ by, operation }) => by === rotatingFunction && operation === "PutEvents",
    );
    if (announced === undefined) throw new Error("nothing was announced");
    const versions = () => [...processes.seen.values()].map(({ version }) => version);
    await until("use the new version", async () => versions().filter((one) => one === token).length);
    const lags = processes.lagsSince(announced.at);
    return { hosts, medianMs: median(lags), lastMs: lags.at(-1) ?? Number.NaN };
  } finally {
    processes.kill();
    sqs.destroy();
  }
}

async function queueCount(sqs: SQSClient): Promise<number> {
  const QueueNamePrefix = `keyturn-shown-${fleet}-`;
  const { QueueUrls = [] } = await sqs.send(new ListQueuesCommand({ QueueNamePrefix, MaxResults: 1000 }));
  return QueueUrls.length;
}
