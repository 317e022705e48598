import { ServiceError } from "./service-error.ts";

/** Either of the two, as it came: the binary one in base64. */
export interface Content {
  readonly string: string | undefined;
  readonly binary: string | undefined;
}

export interface Version {
  readonly id: string;
  /** Undefined: the version that RotateSecret makes for a rotation to fill. */
  readonly content: Content | undefined;
  readonly createdAt: number;
}

export interface Strictness {
  /**
   * What becomes of a version that has lost its last label. AWS removes such versions when there are more than 100, and none that is younger
   * than a day: "later" keeps them for good, "at once" is the worst that a caller who reads "can be deleted" has to expect.
   */
  readonly vanish: "at once" | "later";
  /** AWS says that PutSecretValue attaches the labels named, and not what becomes of others that the version has. True: it loses them. */
  readonly putDropsOtherLabels: boolean;
}

/** https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html: staging labels attached across all versions of a secret. */
const labelsMax = 20;

/** The versions of one secret, and which of them has which label: every label is on one version at most. */
export class StrictSecret {
  readonly versions = new Map<string, Version>();
  readonly #strictness: Strictness;
  #labels: ReadonlyMap<string, string> = new Map();

  constructor(strictness: Strictness) {
    this.#strictness = strictness;
  }

  holderOf(label: string): string | undefined {
    return this.#labels.get(label);
  }

  labelsOf(id: string): readonly string[] {
    return [...this.#labels].filter(([, holder]) => holder === id).map(([label]) => label);
  }

  /** What DescribeSecret shows: versions without a label are deprecated, and not among them. */
  stages(): Readonly<Record<string, readonly string[]>> {
    return Object.fromEntries(
      [...this.versions.keys()]
        .map((id) => [id, this.labelsOf(id)] as const)
        .filter(([, labels]) => labels.length > 0),
    );
  }

  /**
   * https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html: the same token with the same content does nothing, with
   * another one it fails, for a version cannot be changed; the first value of a secret gets AWSCURRENT, whatever labels are asked for.
   */
  put(token: string, content: Content, stages: readonly string[] | undefined, now: number): void {
    const existing = this.versions.get(token);
    if (existing?.content !== undefined) {
      if (sameContent(existing.content, content)) return;
      throw new ServiceError(
        "ResourceExistsException",
        `The operation failed because the version ${token} exists already with another value.`,
      );
    }
    const isFirst = [...this.versions.values()].every((version) => version.content === undefined);
    const asked = stages ?? ["AWSCURRENT"];
    const labels = new Map(
      [...this.#labels].filter(
        ([label, holder]) =>
          holder !== token || !this.#strictness.putDropsOtherLabels || asked.includes(label),
      ),
    );
    for (const label of new Set(isFirst ? [...asked, "AWSCURRENT"] : asked)) attach(labels, label, token);
    this.#commit(labels);
    this.versions.set(token, { id: token, content, createdAt: existing?.createdAt ?? now });
    this.#sweep();
  }

  /** The empty version that a rotation is to fill: https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_how.html */
  beginRotation(token: string, now: number): void {
    const labels = new Map(this.#labels);
    attach(labels, "AWSPENDING", token);
    this.#commit(labels);
    this.versions.set(token, this.versions.get(token) ?? { id: token, content: undefined, createdAt: now });
    this.#sweep();
  }

  /**
   * https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html: a label that is on another version moves only
   * when that version is named, so that a move is a compare-and-set. Whenever AWSCURRENT moves, AWSPREVIOUS goes to where it was.
   */
  move(label: string, to: string | undefined, from: string | undefined): void {
    const holder = this.holderOf(label);
    const labels = new Map(this.#labels);
    if (to === undefined && from === undefined)
      throw invalid("Name the version to move the label to or from.");
    for (const id of [to, from]) {
      if (id !== undefined && !this.versions.has(id)) {
        throw new ServiceError(
          "ResourceNotFoundException",
          `Secrets Manager can't find the secret version ${id}.`,
        );
      }
    }
    if (from !== undefined && from !== holder) {
      throw invalid(`Staging label ${label} is not attached to version ${from}.`);
    }
    if (to !== undefined && holder !== undefined && holder !== to && from === undefined) {
      throw invalid(
        `The parameter RemoveFromVersionId can't be empty. Staging label ${label} is currently attached to version ${holder}.`,
      );
    }
    if (to === undefined) {
      if (label === "AWSCURRENT") throw invalid("AWSCURRENT can be moved, and not be removed.");
      labels.delete(label);
    } else attach(labels, label, to);
    this.#commit(labels);
    this.#sweep();
  }

  #commit(labels: ReadonlyMap<string, string>): void {
    if (labels.size > labelsMax && labels.size > this.#labels.size) {
      throw new ServiceError(
        "LimitExceededException",
        `A secret can have ${labelsMax} staging labels across all of its versions.`,
      );
    }
    this.#labels = labels;
  }

  #sweep(): void {
    if (this.#strictness.vanish === "later") return;
    for (const id of [...this.versions.keys()]) {
      if (this.labelsOf(id).length === 0) this.versions.delete(id);
    }
  }
}

function attach(labels: Map<string, string>, label: string, to: string): void {
  const from = labels.get(label);
  labels.set(label, to);
  if (label === "AWSCURRENT" && from !== undefined && from !== to) labels.set("AWSPREVIOUS", from);
}

function sameContent(one: Content, other: Content): boolean {
  return one.string === other.string && one.binary === other.binary;
}

function invalid(message: string): ServiceError {
  return new ServiceError("InvalidParameterException", message);
}
