import {
  DeleteMessageBatchCommand,
  GetQueueUrlCommand,
  QueueDoesNotExist,
  ReceiveMessageCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";
import { hostMessageMark } from "../core/host-messages.ts";
import type { AwsPart } from "../functions/aws-errors.ts";
import { clientConfig, translate } from "./aws-calls.ts";
import type { AwsOptions } from "./aws-options.ts";
import { backgroundConnections } from "./background-connections.ts";

export interface Received {
  readonly body: string;
  /** From the service itself, and to this host alone. */
  readonly isDirect: boolean;
}

const part: AwsPart = { name: "SQS", outage: "bus-unavailable" };
const waitSeconds = 20;

/** This host's queue, which the service makes for it. */
export class AwsQueue {
  readonly #client: SQSClient;
  readonly #name: string;
  #url: string | undefined;

  constructor(aws: AwsOptions, name: string) {
    this.#name = name;
    this.#client = new SQSClient({
      ...clientConfig(aws),
      // A time-out of the request would be a timer, and keep the process alive.
      requestHandler: {
        connectionTimeout: 2_000,
        socketTimeout: (waitSeconds + 10) * 1_000,
        ...backgroundConnections(),
      },
    });
  }

  /** False where it is not there. */
  async find(signal: AbortSignal): Promise<boolean> {
    try {
      const call = new GetQueueUrlCommand({ QueueName: this.#name });
      this.#url = (await this.#client.send(call, { abortSignal: signal })).QueueUrl;
      return true;
    } catch (thrown) {
      if (thrown instanceof QueueDoesNotExist) return false;
      throw translate(thrown, part, `looking for the queue ${this.#name}`);
    }
  }

  /** The next messages, or none after a while; undefined where the queue is gone. They are deleted: what is lost between, the pulse makes up for. */
  async receive(signal: AbortSignal): Promise<readonly Received[] | undefined> {
    try {
      const { Messages = [] } = await this.#client.send(
        new ReceiveMessageCommand({
          QueueUrl: this.#url,
          WaitTimeSeconds: waitSeconds,
          MaxNumberOfMessages: 10,
          MessageAttributeNames: [hostMessageMark],
        }),
        { abortSignal: signal },
      );
      await this.#delete(Messages.flatMap(({ ReceiptHandle }) => ReceiptHandle ?? []));
      return Messages.map(({ Body = "", MessageAttributes = {} }) => ({
        body: Body,
        isDirect: hostMessageMark in MessageAttributes,
      }));
    } catch (thrown) {
      if (thrown instanceof QueueDoesNotExist) return undefined;
      throw translate(thrown, part, `listening to the queue ${this.#name}`);
    }
  }

  close(): void {
    this.#client.destroy();
  }

  /** What cannot be deleted comes once more, which is no harm. */
  async #delete(handles: readonly string[]): Promise<void> {
    if (handles.length === 0) return;
    const Entries = handles.map((ReceiptHandle, index) => ({ Id: String(index), ReceiptHandle }));
    const call = new DeleteMessageBatchCommand({ QueueUrl: this.#url, Entries });
    await this.#client.send(call).catch(() => undefined);
  }
}
