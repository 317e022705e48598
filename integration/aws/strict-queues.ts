import { createHash, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";

interface Message {
  readonly id: string;
  readonly body: string;
  readonly attributes: Readonly<Record<string, { readonly DataType: string; readonly StringValue: string }>>;
  readonly delaySeconds: number;
  visibleAt: number;
}

export interface Queue {
  attributes: Readonly<Record<string, string>>;
  tags: Record<string, string>;
  readonly messages: Message[];
}

/** What a service answers instead: the name of one of its errors. */
export class Refused extends Error {}

/**
 * SQS and SNS as far as hosts' queues need them, by AWS's documented rules and behind its protocols, so that the real SDK speaks to it: a queue is made
 * again only with the same attributes, a subscription is made once, messages come again until they are deleted. It ends at any call that it is told.
 */
export class StrictQueues implements AsyncDisposable {
  readonly queues = new Map<string, Queue>();
  /** Subscription by topic and queue. */
  readonly subscriptions = new Map<
    string,
    { readonly topic: string; readonly queue: string; readonly arn: string }
  >();
  readonly topics = new Set<string>();
  /** Every call that arrived. */
  readonly calls: string[] = [];
  /** What befalls calls, by operation; whatever is left is carried out. */
  readonly faults = new Map<string, string | "cut" | "reply lost">();
  /** What other services answer that are behind the same address, by operation. */
  readonly others = new Map<string, (input: Record<string, unknown>) => unknown>();
  /** What happens besides when an operation is carried out. */
  readonly hooks = new Map<string, () => void>();
  readonly account = "111122223333";
  readonly region = "eu-west-1";
  readonly #server = createServer((request, response) => void this.#serve(request, response));
  #port = 0;

  async start(): Promise<this> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    const address = this.#server.address();
    this.#port = address !== null && typeof address === "object" ? address.port : 0;
    return this;
  }

  get config() {
    return {
      endpoint: `http://127.0.0.1:${this.#port}`,
      region: this.region,
      credentials: { accessKeyId: "AKIATEST", secretAccessKey: "canary" },
      maxAttempts: 1,
    };
  }

  /** What the addresses of queues begin with. */
  get base(): string {
    return `http://127.0.0.1:${this.#port}/${this.account}/`;
  }

  /** As SNS does with raw delivery: no attribute comes along. */
  publish(topic: string, body: string): void {
    for (const { topic: mine, queue } of this.subscriptions.values()) {
      if (mine.endsWith(`:${topic}`)) this.put(queue, body);
    }
  }

  put(queue: string, body: string, attributes: Message["attributes"] = {}, delaySeconds = 0): void {
    this.queues.get(queue)?.messages.push({ id: randomUUID(), body, attributes, delaySeconds, visibleAt: 0 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    const target = request.headers["x-amz-target"];
    const query = new URLSearchParams(body);
    const operation = typeof target === "string" ? target.replace(/^.*\./, "") : (query.get("Action") ?? "");
    this.calls.push(operation);
    const fault = this.faults.get(operation);
    if (fault === "cut") return void request.socket.destroy();
    try {
      if (fault !== undefined && fault !== "reply lost") throw new Refused(fault);
      this.hooks.get(operation)?.();
      const isQueues = typeof target === "string";
      const other = this.others.get(operation);
      const input = isQueues ? JSON.parse(body) : Object.fromEntries(query);
      const isLeft = () => request.socket.destroyed;
      const own = () => (isQueues ? this.#sqs(operation, input, isLeft) : this.#sns(operation, query));
      const answer = await (other === undefined ? own() : other(input));
      if (fault === "reply lost") return void request.socket.destroy();
      response.setHeader("content-type", isQueues ? "application/x-amz-json-1.0" : "text/xml");
      response.end(isQueues ? JSON.stringify(answer) : String(answer));
    } catch (thrown) {
      if (!(thrown instanceof Refused)) throw thrown;
      refuse(response, thrown.message, typeof target === "string");
    }
  }

  async #sqs(operation: string, input: Record<string, unknown>, isLeft: () => boolean): Promise<unknown> {
    const name = String(input.QueueUrl ?? "").replace(/^.*\//, "");
    switch (operation) {
      case "CreateQueue":
        return this.#create(String(input.QueueName), strings(input.Attributes), strings(input.tags));
      case "ListQueues": {
        const mine = [...this.queues.keys()].filter((one) => one.startsWith(String(input.QueueNamePrefix)));
        return { QueueUrls: mine.map((one) => this.base + one) };
      }
      case "GetQueueUrl":
        this.#queue(String(input.QueueName));
        return { QueueUrl: this.base + String(input.QueueName) };
      case "SetQueueAttributes":
        this.#queue(name).attributes = strings(input.Attributes);
        return {};
      case "ListQueueTags":
        return { Tags: this.#queue(name).tags };
      case "TagQueue":
        Object.assign(this.#queue(name).tags, strings(input.Tags));
        return {};
      case "DeleteQueue":
        this.#queue(name);
        this.queues.delete(name);
        return {};
      case "SendMessage": {
        this.#queue(name);
        const body = String(input.MessageBody);
        this.put(name, body, Object(input.MessageAttributes), Number(input.DelaySeconds ?? 0));
        return { MessageId: randomUUID(), MD5OfMessageBody: md5(body) };
      }
      case "ReceiveMessage":
        return this.#receive(
          name,
          Number(input.WaitTimeSeconds ?? 0),
          Number(input.MaxNumberOfMessages ?? 1),
          isLeft,
        );
      case "DeleteMessageBatch": {
        const queue = this.#queue(name);
        const entries: { Id: string; ReceiptHandle: string }[] = Object(input.Entries);
        for (const { ReceiptHandle } of entries) {
          const at = queue.messages.findIndex(({ id }) => id === ReceiptHandle);
          if (at >= 0) queue.messages.splice(at, 1);
        }
        return { Successful: entries.map(({ Id }) => ({ Id })), Failed: [] };
      }
    }
    throw new Error(`the model of SQS does not know ${operation}`);
  }

  #create(name: string, attributes: Readonly<Record<string, string>>, tags: Record<string, string>): unknown {
    const there = this.queues.get(name);
    if (there === undefined) this.queues.set(name, { attributes, tags, messages: [] });
    else if (JSON.stringify(there.attributes) !== JSON.stringify(attributes))
      throw new Refused("QueueNameExists");
    return { QueueUrl: this.base + name };
  }

  async #receive(name: string, seconds: number, most: number, isLeft: () => boolean): Promise<unknown> {
    const until = Date.now() + seconds * 1000;
    for (;;) {
      // Whoever has hung up takes nothing away.
      if (isLeft()) return {};
      const now = Date.now();
      const found = this.#queue(name)
        .messages.filter(({ visibleAt }) => visibleAt <= now)
        .slice(0, most);
      if (found.length === 0 && now < until) {
        await sleep(10);
        continue;
      }
      const Messages = found.map((message) => {
        message.visibleAt = now + 30_000;
        return {
          MessageId: message.id,
          ReceiptHandle: message.id,
          Body: message.body,
          MD5OfBody: md5(message.body),
          MessageAttributes: message.attributes,
        };
      });
      return { Messages };
    }
  }

  #queue(name: string): Queue {
    const queue = this.queues.get(name);
    if (queue === undefined) throw new Refused("QueueDoesNotExist");
    return queue;
  }

  #sns(operation: string, query: URLSearchParams): string {
    if (operation === "Unsubscribe") {
      const arn = query.get("SubscriptionArn");
      for (const [key, one] of this.subscriptions) if (one.arn === arn) this.subscriptions.delete(key);
      return xml("Unsubscribe", "");
    }
    if (operation !== "Subscribe") throw new Error(`the model of SNS does not know ${operation}`);
    const topic = query.get("TopicArn") ?? "";
    const endpoint = query.get("Endpoint") ?? "";
    if (!this.topics.has(topic.replace(/^.*:/, ""))) throw new Refused("NotFound");
    const key = `${topic} ${endpoint}`;
    const arn = this.subscriptions.get(key)?.arn ?? `${topic}:${randomUUID()}`;
    this.subscriptions.set(key, { topic, queue: endpoint.replace(/^.*:/, ""), arn });
    return xml("Subscribe", `<SubscriptionArn>${arn}</SubscriptionArn>`);
  }
}

function refuse(response: ServerResponse, error: string, isQueues: boolean): void {
  // AWS's messages may quote what was sent: ours must not come from them.
  const message = "canary-in-a-message";
  response.statusCode = 400;
  if (isQueues) {
    response.setHeader("content-type", "application/x-amz-json-1.0");
    response.end(JSON.stringify({ __type: `com.amazonaws.sqs#${error}`, message }));
    return;
  }
  response.setHeader("content-type", "text/xml");
  response.end(
    `<ErrorResponse><Error><Type>Sender</Type><Code>${error}</Code><Message>${message}</Message></Error></ErrorResponse>`,
  );
}

function xml(operation: string, result: string): string {
  return `<${operation}Response xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><${operation}Result>${result}</${operation}Result></${operation}Response>`;
}

function strings(value: unknown): Record<string, string> {
  return Object.fromEntries(Object.entries(Object(value)).map(([key, one]) => [key, String(one)]));
}

function md5(body: string): string {
  return createHash("md5").update(body).digest("hex");
}
