import {
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  paginateListObjectsV2,
  type S3Client,
} from "@aws-sdk/client-s3";
import { KeyturnError } from "../core/errors.ts";
import { type AwsPart, awsErrorName, translateAws } from "./aws-errors.ts";

/** A bucket with Object Lock and a default retention: what is written there stays, whoever asks. */
export interface LockedBucket {
  readonly client: S3Client;
  readonly bucket: string;
}

/** The last line's place, 1 for the first, and its hash; 0 and "" where there is none. */
interface LineEnd {
  readonly place: number;
  readonly hash: string;
}

/** What the lines of a chain are: JSON, each of which names its place, its own hash and the hash of the line before. */
export interface LineKind<Line> {
  /** As a person would say it, with its article. */
  readonly name: string;
  /** Undefined: it is no such line. */
  readonly read: (json: unknown) => Line | undefined;
  readonly link: (line: Line) => LineEnd & { readonly previousHash: string };
}

const part: AwsPart = { name: "the audit's bucket", outage: "audit-unavailable" };

/** Tries against others that write the same object at the same moment. */
const triesMax = 5;
/** Objects that are fetched before they are asked for: one after another a long chain would take minutes. */
const ahead = 16;

/**
 * A chain as objects of a bucket, one a line, below `folder`. S3 lists names in their order, so a name counts down: the newest line is the first
 * that is listed, and the end of a chain costs the same however long it is.
 */
export class LockedChain<Line> {
  readonly #bucket: LockedBucket;
  readonly #folder: string;
  readonly #kind: LineKind<Line>;
  /** A line of this chain that is known to be there. It stays, so it need not be asked for again. */
  #known: LineEnd = { place: 0, hash: "" };

  constructor(bucket: LockedBucket, folder: string, kind: LineKind<Line>) {
    this.#bucket = bucket;
    this.#folder = folder;
    this.#kind = kind;
  }

  /** The same line again is done. False: it does not follow, or another one is there. */
  async append(line: Line): Promise<boolean> {
    const { place, hash, previousHash } = this.#kind.link(line);
    if ((await this.#hashAt(place - 1)) !== previousHash) return false;
    for (let tries = 1; ; tries += 1) {
      const outcome = await this.#put(place, line);
      // Whoever else writes it is not done yet.
      if (outcome === "busy" && tries < triesMax) continue;
      if (outcome === "written" || (await this.#hashAt(place)) === hash) {
        this.#known = { place, hash };
        return true;
      }
      return false;
    }
  }

  /** Every line in its order, as it is: verifying is the reader's. */
  async *read(): AsyncGenerator<Line> {
    const names = await asking(`listing ${this.#folder}`, () => this.#names());
    const coming: Promise<Line>[] = [];
    for (const name of names.toReversed()) {
      const line = this.#line(name);
      // Whoever reads on learns of it; whoever stops has no need to.
      line.catch(() => undefined);
      coming.push(line);
      if (coming.length >= ahead) yield* await first(coming);
    }
    while (coming.length > 0) yield* await first(coming);
  }

  async end(): Promise<LineEnd> {
    const { client, bucket } = this.#bucket;
    const { Contents = [] } = await asking(`looking for the end of ${this.#folder}`, () =>
      client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: `${this.#folder}/`, MaxKeys: 1 })),
    );
    const name = Contents[0]?.Key;
    if (name === undefined) return { place: 0, hash: "" };
    const { place, hash } = this.#kind.link(await this.#line(name));
    return { place, hash };
  }

  async #names(): Promise<readonly string[]> {
    const { client, bucket } = this.#bucket;
    const names: string[] = [];
    const pages = paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: `${this.#folder}/` });
    for await (const { Contents = [] } of pages) names.push(...Contents.flatMap(({ Key }) => Key ?? []));
    return names;
  }

  /** "" before the first line; undefined where there is no line. */
  async #hashAt(place: number): Promise<string | undefined> {
    if (place === 0) return "";
    if (place === this.#known.place) return this.#known.hash;
    const text = await this.#text(this.#nameOf(place));
    return text === undefined ? undefined : this.#kind.link(this.#lineIn(text, place)).hash;
  }

  async #put(place: number, line: Line): Promise<"written" | "taken" | "busy"> {
    const { client, bucket } = this.#bucket;
    try {
      await client.send(
        new PutObjectCommand({
          Bucket: bucket,
          Key: this.#nameOf(place),
          Body: JSON.stringify(line),
          ContentType: "application/json",
          IfNoneMatch: "*",
        }),
      );
      return "written";
    } catch (thrown) {
      const name = awsErrorName(thrown);
      if (name === "PreconditionFailed") return "taken";
      if (name === "ConditionalRequestConflict") return "busy";
      throw translateAws(thrown, part, `writing ${this.#nameOf(place)}`);
    }
  }

  async #line(name: string): Promise<Line> {
    const text = await this.#text(name);
    if (text === undefined) throw new KeyturnError("data-broken", `${name} was listed and is not there`);
    return this.#lineIn(text, name);
  }

  #lineIn(text: string, where: string | number): Line {
    const line = parsed(text, this.#kind);
    if (line !== undefined) return line;
    const name = typeof where === "number" ? this.#nameOf(where) : where;
    throw new KeyturnError("data-broken", `${name} is not ${this.#kind.name}`);
  }

  /** Undefined where there is no such object. */
  async #text(name: string): Promise<string | undefined> {
    const { client, bucket } = this.#bucket;
    try {
      const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: name }));
      return (await Body?.transformToString()) ?? "";
    } catch (thrown) {
      if (awsErrorName(thrown) === "NoSuchKey") return undefined;
      throw translateAws(thrown, part, `reading ${name}`);
    }
  }

  #nameOf(place: number): string {
    return `${this.#folder}/${String(Number.MAX_SAFE_INTEGER - place).padStart(16, "0")}.json`;
  }
}

/** The names that stand directly below a folder, up to their next `/`. */
export async function foldersIn(
  { client, bucket }: LockedBucket,
  folder: string,
): Promise<readonly string[]> {
  const prefix = `${folder}/`;
  return asking(`listing ${folder}`, async () => {
    const found: string[] = [];
    const pages = paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: prefix, Delimiter: "/" });
    for await (const { CommonPrefixes = [] } of pages) {
      found.push(...CommonPrefixes.map(({ Prefix = "" }) => Prefix.slice(prefix.length, -1)));
    }
    return found;
  });
}

async function first<Line>(coming: Promise<Line>[]): Promise<readonly Line[]> {
  const line = coming.shift();
  return line === undefined ? [] : [await line];
}

function parsed<Line>(text: string, kind: LineKind<Line>): Line | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return kind.read(json);
  } catch {
    return undefined;
  }
}

async function asking<Result>(doing: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (thrown) {
    throw translateAws(thrown, part, doing);
  }
}
