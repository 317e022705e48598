import { NotFoundException, type SNSClient, SubscribeCommand, UnsubscribeCommand } from "@aws-sdk/client-sns";
import {
  CreateQueueCommand,
  DeleteQueueCommand,
  ListQueueTagsCommand,
  paginateListQueues,
  QueueDoesNotExist,
  SendMessageCommand,
  SetQueueAttributesCommand,
  type SQSClient,
  TagQueueCommand,
} from "@aws-sdk/client-sqs";
import { fleetTopicName, type HostMessage, hostMessageMark, hostQueueName } from "../core/host-messages.ts";
import { inParallel } from "../core/parallel.ts";
import { awsErrorName, translateAws } from "./aws-errors.ts";
import {
  attributesOf,
  heardTag,
  isGone,
  isHostQueue,
  isTurn,
  leftTag,
  type Marks,
  marksOf,
  shareOf,
  tagsOfHost,
} from "./host-queue-marks.ts";
import type { Host } from "./host-speaker.ts";

export interface HostQueuesOptions {
  readonly sqs: SQSClient;
  readonly sns: SNSClient;
  readonly installation: string;
  /** What the addresses of all queues of the installation begin with. */
  readonly queuesUrl: string;
}

/** A host is heard of every few minutes; that is written down once an hour. */
const noteEveryMs = 3_600_000;
const sweepsAtOnce = 8;

/** Each host has a queue, subscribed to its fleet's topic. Agents have no right to make one; these are made for them. */
export class HostQueues {
  readonly #options: HostQueuesOptions;
  readonly #base: string;

  constructor(options: HostQueuesOptions) {
    this.#options = options;
    this.#base = options.queuesUrl.slice(0, options.queuesUrl.lastIndexOf("/") + 1);
  }

  /** Makes what is missing of it, and notes that the host was heard. Any number of times, by two at once, after one that stopped half-way: the same comes of it. */
  make(host: Host, heardAt: number): Promise<void> {
    return asking(`making the queue of ${host.host}`, async () => {
      const url = this.#urlOf(host);
      await this.#create(url, host, heardAt);
      await this.#subscribe(url, host.fleet);
      const noted = await this.#marks(url);
      const isNoted = heardAt - noted.heardAt < noteEveryMs && noted.leftAt < noted.heardAt;
      if (heardAt > noted.heardAt && !isNoted) await this.#tag(url, heardTag(heardAt));
    });
  }

  /** The host says that it ends: its queue goes after a while, unless the host is heard again. */
  left(host: Host, at: number): Promise<void> {
    return asking(`noting that ${host.host} has left`, async () => {
      await ifThere(this.#tag(this.#urlOf(host), leftTag(at)));
    });
  }

  /** False: the host has no queue, and will ask for one. */
  send(host: Host, message: HostMessage): Promise<boolean> {
    return asking(`writing to ${host.host}`, () =>
      ifThere(
        this.#options.sqs.send(
          new SendMessageCommand({
            QueueUrl: this.#urlOf(host),
            MessageBody: JSON.stringify(message),
            MessageAttributes: { [hostMessageMark]: { DataType: "String", StringValue: message.say } },
          }),
        ),
      ),
    );
  }

  /**
   * Removes queues and subscriptions of hosts that are gone, and gives the names of the queues. Called every minute, it looks at a share of
   * them now and then. A host that comes back at that very moment enrols again, as one does whose queue was deleted.
   */
  async sweep(now: number): Promise<readonly string[]> {
    if (!isTurn(now)) return [];
    const doing = "sweeping the queues of hosts that are gone";
    const marked = await asking(doing, async () => {
      const names = shareOf(await this.#names(), now);
      return inParallel(names, sweepsAtOnce, async (name) => ({
        name,
        marks: await this.#marks(this.#base + name),
      }));
    });
    const known = fulfilled(marked).filter(
      ({ marks }) => marks.installation === this.#options.installation && Number.isFinite(marks.heardAt),
    );
    const anyHeardAt = Math.max(...known.map(({ marks }) => marks.heardAt));
    const gone = known.filter(({ marks }) => isGone(marks, anyHeardAt, now));
    const removed = await inParallel(gone, sweepsAtOnce, async ({ name, marks }) =>
      (await this.#remove(this.#base + name, marks, (later) => isGone(later, anyHeardAt, now))) ? [name] : [],
    );
    const failed = [...marked, ...removed].find((one) => one.status === "rejected");
    if (failed?.status === "rejected") throw translateAws(failed.reason, part, doing);
    return fulfilled(removed).flat();
  }

  async #create(url: string, host: Host, heardAt: number): Promise<void> {
    const { sqs, installation } = this.#options;
    const QueueName = url.slice(this.#base.length);
    const Attributes = attributesOf(await this.#topicOf(host.fleet), host.principal);
    const tags = { ...tagsOfHost(installation, host), ...heardTag(heardAt) };
    try {
      await sqs.send(new CreateQueueCommand({ QueueName, Attributes, tags }));
    } catch (thrown) {
      // It is there with other attributes: an older version of Keyturn, or somebody else, has set them.
      if (!["QueueNameExists", "QueueAlreadyExists"].includes(awsErrorName(thrown) ?? "")) throw thrown;
      await sqs.send(new SetQueueAttributesCommand({ QueueUrl: url, Attributes }));
    }
  }

  /** Gives the subscription, the one that was there if it was. */
  async #subscribe(url: string, fleet: string): Promise<string | undefined> {
    const TopicArn = await this.#topicOf(fleet);
    const { SubscriptionArn } = await this.#options.sns.send(
      new SubscribeCommand({
        TopicArn,
        Protocol: "sqs",
        Endpoint: await this.#arn("sqs", url.slice(this.#base.length)),
        Attributes: { RawMessageDelivery: "true" },
        ReturnSubscriptionArn: true,
      }),
    );
    return SubscriptionArn;
  }

  /** The subscription first: without its queue nobody would find it any more. False: its host was heard meanwhile. */
  async #remove(url: string, { fleet }: Marks, isGoneNow: (marks: Marks) => boolean): Promise<boolean> {
    const { sqs, sns } = this.#options;
    try {
      // To subscribe what is subscribed tells the subscription, in one call instead of a list of all.
      const SubscriptionArn = await this.#subscribe(url, fleet);
      await sns.send(new UnsubscribeCommand({ SubscriptionArn }));
    } catch (thrown) {
      // The topic went with its fleet, and the subscription with it.
      if (!(thrown instanceof NotFoundException)) throw thrown;
    }
    if (!isGoneNow(await this.#marks(url))) {
      await this.#subscribe(url, fleet);
      return false;
    }
    await ifThere(sqs.send(new DeleteQueueCommand({ QueueUrl: url })));
    return true;
  }

  async #names(): Promise<readonly string[]> {
    const { sqs, installation } = this.#options;
    const names: string[] = [];
    const pages = paginateListQueues(
      { client: sqs, pageSize: 1000 },
      { QueueNamePrefix: `keyturn-${installation}-` },
    );
    for await (const { QueueUrls = [] } of pages) {
      names.push(...QueueUrls.map((url) => url.slice(url.lastIndexOf("/") + 1)).filter(isHostQueue));
    }
    return names;
  }

  async #marks(url: string): Promise<Marks> {
    const { Tags = {} } = await this.#options.sqs.send(new ListQueueTagsCommand({ QueueUrl: url }));
    return marksOf(Tags);
  }

  async #tag(QueueUrl: string, Tags: Record<string, string>): Promise<void> {
    await this.#options.sqs.send(new TagQueueCommand({ QueueUrl, Tags }));
  }

  #urlOf({ fleet, host }: Host): string {
    return this.#base + hostQueueName(this.#options.installation, fleet, host);
  }

  #topicOf(fleet: string): Promise<string> {
    return this.#arn("sns", fleetTopicName(this.#options.installation, fleet));
  }

  /** The topics and queues of an installation are in its own account and region. */
  async #arn(service: string, name: string): Promise<string> {
    const region = await this.#options.sqs.config.region();
    const account = this.#base.split("/").at(-2);
    const partition = /^(?:cn|us-gov)(?=-)/.exec(region)?.[0];
    return `arn:${partition === undefined ? "aws" : `aws-${partition}`}:${service}:${region}:${account}:${name}`;
  }
}

const part = { name: "SQS or SNS", outage: "bus-unavailable" } as const;

async function asking<Result>(doing: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (thrown) {
    throw translateAws(thrown, part, doing);
  }
}

/** False where the queue is not there. */
async function ifThere(call: Promise<unknown>): Promise<boolean> {
  try {
    await call;
    return true;
  } catch (thrown) {
    if (thrown instanceof QueueDoesNotExist) return false;
    throw thrown;
  }
}

function fulfilled<Value>(settled: readonly PromiseSettledResult<Value>[]): readonly Value[] {
  return settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
}
