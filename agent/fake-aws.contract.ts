import { KeyturnError } from "../core/errors.ts";
import {
  type HostMessage,
  HostNotice,
  HostReport,
  hostEvents,
  hostMessageMark,
  hostQueueName,
  hostSource,
} from "../core/host-messages.ts";
import { Refused, StrictQueues } from "../integration/aws/strict-queues.ts";
import type { FakeService } from "./fake-service.contract.ts";

export const principal = "AROAEXAMPLE:i-1";
const installation = "test";
const fleet = "invoices";

interface Entry {
  readonly EventBusName: string;
  readonly Source: string;
  readonly DetailType: string;
  readonly Detail: string;
}

/**
 * A service as hosts on AWS see it, behind the real protocols: STS, EventBridge, Secrets Manager and SQS at one address. What it holds and hears is
 * the service's that it is given; the model of the queues says what was called, and fails where a test wants it to.
 */
export class FakeAws implements AsyncDisposable {
  readonly model = new StrictQueues();
  readonly service: FakeService;
  /** Every entry that the bus has taken. */
  readonly said: Entry[] = [];
  /** Called with every entry: the name of an error is what the bus answers instead of taking it. */
  refusing: (entry: Entry) => string | undefined = () => undefined;
  /** Whether a queue is made for who enrols. */
  enrols = true;
  /** Whether reports that ask for it are answered. */
  answers = true;
  /** The labels of what is read, where they are others than its own. */
  labels: readonly string[] | undefined;
  userId = principal;
  /** Whether events come as EventBridge wraps them. */
  isWrapping = false;
  readonly #stop = new AbortController();

  private constructor(service: FakeService) {
    this.service = service;
  }

  static async start(service: FakeService): Promise<FakeAws> {
    const aws = new FakeAws(service);
    aws.model.others.set("GetCallerIdentity", () => aws.#identity());
    aws.model.others.set("PutEvents", (input) => aws.#put(input));
    aws.model.others.set("GetSecretValue", (input) => aws.#read(input));
    await aws.model.start();
    void aws.#listen();
    return aws;
  }

  get options() {
    const { endpoint, region, credentials } = this.model.config;
    return { installation, endpoint, region, credentials };
  }

  queueOf(host: string): string {
    return hostQueueName(installation, fleet, host);
  }

  welcome(host: string): void {
    const { overlap, cacheTtlMs } = this.service;
    const secrets = this.service.refs().map((ref) => ({ ref, type: "test", overlap, cacheTtlMs }));
    this.#tell(host, { say: "welcome", secrets });
  }

  saidOf(type: string): readonly unknown[] {
    return this.said.filter(({ DetailType }) => DetailType === type).map(({ Detail }) => JSON.parse(Detail));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.model[Symbol.asyncDispose]();
  }

  #identity(): string {
    return `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><UserId>${this.userId}</UserId></GetCallerIdentityResult></GetCallerIdentityResponse>`;
  }

  async #put(input: Record<string, unknown>): Promise<unknown> {
    if (this.service.down) throw new Refused("InternalException");
    const entries: readonly Entry[] = Object(input.Entries);
    const Entries = [];
    for (const entry of entries) {
      const ErrorCode = this.refusing(entry);
      Entries.push(
        ErrorCode === undefined ? { EventId: "e" } : { ErrorCode, ErrorMessage: "canary-in-a-message" },
      );
      if (ErrorCode !== undefined) continue;
      this.said.push(entry);
      await this.#hear(entry);
    }
    return { FailedEntryCount: Entries.filter((one) => "ErrorCode" in one).length, Entries };
  }

  async #hear(entry: Entry): Promise<void> {
    if (entry.EventBusName !== `keyturn-${installation}` || entry.Source !== hostSource(fleet, this.userId)) {
      throw new Error(`IAM would not let ${entry.Source} speak on ${entry.EventBusName}`);
    }
    const detail: unknown = JSON.parse(entry.Detail);
    if (entry.DetailType === hostEvents.enrolled && this.enrols) {
      const { host } = HostNotice.parse(detail);
      const name = this.queueOf(host);
      if (!this.model.queues.has(name))
        this.model.queues.set(name, { attributes: {}, tags: {}, messages: [] });
      this.welcome(host);
    }
    if (entry.DetailType !== hostEvents.reported) return;
    const { host, reports, answer } = HostReport.parse(detail);
    const { refusedHolds } = await this.service.report(reports);
    if (answer !== undefined && this.answers) this.#tell(host, { say: "heard", answer, refusedHolds });
  }

  async #read({ SecretId, VersionStage }: Record<string, unknown>): Promise<unknown> {
    const stage = VersionStage === "AWSPENDING" ? "pending" : "current";
    const found = await this.service.read(String(SecretId), stage).catch((thrown: unknown) => {
      throw thrown instanceof KeyturnError ? new Refused("InternalServiceError") : thrown;
    });
    if (found === undefined) throw new Refused("ResourceNotFoundException");
    const VersionStages = this.labels ?? [VersionStage];
    return { Name: SecretId, VersionId: found.version, SecretString: found.value, VersionStages };
  }

  #tell(host: string, message: HostMessage): void {
    const mark = { [hostMessageMark]: { DataType: "String", StringValue: message.say } };
    this.model.put(this.queueOf(host), JSON.stringify(message), mark);
  }

  /** What the service announces goes to every queue, as by the fleet's topic. */
  async #listen(): Promise<void> {
    for await (const line of await this.service.events(this.#stop.signal)) {
      for (const queue of this.model.queues.keys())
        this.model.put(queue, this.isWrapping ? `{"detail-type":"any","detail":${line}}` : line);
    }
  }
}
