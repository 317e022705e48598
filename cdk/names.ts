import { KeyturnError } from "../core/errors.ts";
import { fleetTopicName } from "../core/host-messages.ts";
import { awsNames } from "../manifest/aws-names.ts";

/** Whose something is, and which part of it. */
export const installationTag = "keyturn:installation";
export const partTag = "keyturn:part";

/**
 * What the parts of an installation are called. The names are fixed, so that what is retained when a stack is destroyed can be taken up again by name,
 * and so that functions, agents and people find a part without being told where it is.
 */
export class Names {
  readonly installation: string;
  readonly prefix: string;
  readonly #names: ReturnType<typeof awsNames>;

  constructor(installation: string) {
    // The longest name made of it is the bucket's: 63 characters with an account and a region.
    if (!/^[a-z](?:-?[a-z0-9]){0,19}$/.test(installation)) {
      throw new KeyturnError(
        "config-invalid",
        `${installation} cannot name an installation on AWS: lower-case letters, digits and single dashes, 20 at the most, a letter first`,
      );
    }
    this.installation = installation;
    this.#names = awsNames(installation);
    this.prefix = this.#names.bus;
  }

  /** A credential type's function, or one of the others: `schedule`, `revoke`, `enrol`. */
  function(name: string): string {
    return limited(`${this.prefix}-${name}`, 64, "the function of this credential type");
  }

  workQueue(type: string): string {
    // Says so where the name of its function is too long.
    this.function(type);
    return this.#names.workQueue(type);
  }

  queue(name: string): string {
    return `${this.prefix}-${name}`;
  }

  /** The topic of a fleet; a host's queue has this name and a hash of who it is. */
  fleet(fleet: string): string {
    return fleetTopicName(this.installation, fleet);
  }

  agentPolicy(fleet: string): string {
    return `${this.prefix}-agents-${fleet}`;
  }

  get table(): string {
    return this.#names.table;
  }

  bucket(account: string, region: string): string {
    return this.#names.auditBucket(account, region);
  }

  get fingerprints(): string {
    return this.#names.fingerprints;
  }

  get auditAlias(): string {
    return this.#names.auditAlias;
  }

  get eventLog(): string {
    return `/keyturn/${this.installation}/events`;
  }
}

function limited(name: string, most: number, whose: string): string {
  if (name.length <= most) return name;
  throw new KeyturnError(
    "config-invalid",
    `${name} is too long a name for ${whose}: ${most} characters fit; give the installation a shorter one`,
  );
}
