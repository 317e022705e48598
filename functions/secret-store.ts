import type { SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { KeyturnError } from "../core/errors.ts";
import type { Clock, Log, SecretStore, StoredVersion, Which } from "../core/ports.ts";
import type { Secret } from "../core/secret.ts";
import { type Found, type NewSecret, SecretCalls } from "./secret-calls.ts";
import { conflict } from "./secret-errors.ts";
import { CurrentReads } from "./secret-reads.ts";
import { isValueless, stageOf } from "./secret-stages.ts";
import { SecretWrites } from "./secret-writes.ts";

export interface AwsSecretStore {
  readonly client: SecretsManagerClient;
  readonly clock: Pick<Clock, "now">;
  readonly log: Log;
  /** Secrets that are not there are made, with these tags and this key. Without it a missing secret is an error. */
  readonly create?: NewSecret;
  /** What Secrets Manager gave to the rotation that it drives; it is sent with the value, and shown to nobody. */
  readonly rotationToken?: (ref: string, rotationId: string) => Secret | undefined;
}

interface Finding {
  readonly calls: SecretCalls;
  readonly currents: CurrentReads;
  readonly writes: SecretWrites;
}

const labels = { pending: "AWSPENDING", current: "AWSCURRENT", previous: "AWSPREVIOUS" } as const;

/**
 * Secrets in AWS Secrets Manager, under their own names. A version's id is the request token that it was put with, which is the rotation's id; a
 * value that may be owed has a label of ours, for AWS removes what has none (`secret-stages.ts`). All that moves a label names the
 * version that has it, so that whoever was frozen and goes on later moves nothing that has moved since. A value that is put into the empty version which
 * Secrets Manager has begun names AWSPENDING, which is there: that version is closed to values before the label goes elsewhere.
 *
 * `promote` has one window: AWS cannot make a move depend on the label of another version. A promote that was frozen after it looked, and goes on
 * after that very candidate was discarded and while the same version is still current, makes it current. A rotation that has begun to finish
 * is never undone, so nobody discards what somebody may be promoting.
 */
export function awsSecretStore(options: AwsSecretStore): SecretStore {
  const calls = new SecretCalls(options.client);
  const currents = new CurrentReads(calls);
  const writes = new SecretWrites(calls, options);
  return {
    list: async (prefix = "") => {
      if (!/^[\w/+=.@-]*$/.test(prefix)) return [];
      const found = await calls.list(prefix);
      return found
        .filter(({ SecretVersionsToStages: versions = {} }) =>
          Object.entries(versions).some(([version, its]) => !isValueless(version, its)),
        )
        .map(({ Name = "" }) => Name)
        .filter((name) => name.startsWith(prefix))
        .sort();
    },
    versions: async (ref) => versions(calls, named(ref)),
    read: async (ref, which) => {
      const found = await find({ calls, currents, writes }, named(ref), which);
      return found && { ref, version: found.version, value: found.value, createdAt: found.createdAt };
    },
    savePending: async (ref, rotationId, value) => writes.save(named(ref), identified(rotationId), value),
    discardPending: async (ref, rotationId) => writes.discard(named(ref), identified(rotationId)),
    promote: async (ref, rotationId, expectedCurrent) =>
      writes.promote(named(ref), rotationId, expectedCurrent),
    disable: async (ref, version) => writes.unpin(named(ref), version),
  };
}

async function find(
  { calls, currents, writes }: Finding,
  ref: string,
  which: Which,
): Promise<Found | undefined> {
  if (typeof which !== "string") {
    if ("pendingFor" in which) return writes.lookToSave(ref, which.pendingFor);
    return isToken(which.version) ? calls.get(ref, { VersionId: which.version }) : undefined;
  }
  const found = await (which === "current"
    ? currents.get(ref)
    : calls.get(ref, { VersionStage: labels[which] }));
  return found && stageOf(found.version, found.labels) === which ? found : undefined;
}

/** What has lost its last label is as good as gone, and is called disabled. */
async function versions(calls: SecretCalls, ref: string): Promise<readonly StoredVersion[]> {
  const listed = (await calls.versions(ref)).map((entry) => {
    const { VersionId: version = "", VersionStages: its = [], CreatedDate } = entry;
    const createdAt = CreatedDate?.getTime() ?? 0;
    return { version, its, createdAt, stage: stageOf(version, its), disabled: its.length === 0 };
  });
  const valued = listed.filter(({ version, its }) => !isValueless(version, its));
  // A pending version that is not ours may be the empty one of a rotation that Secrets Manager has just begun.
  const strange = valued.find(({ stage, its }) => stage === "pending" && its.length === 1);
  const isEmpty =
    strange !== undefined && (await calls.get(ref, { VersionId: strange.version })) === undefined;
  return valued
    .filter((each) => !isEmpty || each !== strange)
    .toSorted((one, other) => other.createdAt - one.createdAt)
    .map(({ version, createdAt, stage, disabled }) => ({ version, createdAt, stage, disabled }));
}

/** https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html */
function named(ref: string): string {
  if (/^[\w/+=.@-]{1,512}$/.test(ref)) return ref;
  throw new KeyturnError(
    "config-invalid",
    `${ref} cannot be a name in Secrets Manager: letters, digits and /_+=.@- make one`,
  );
}

function identified(rotationId: string): string {
  if (isToken(rotationId)) return rotationId;
  throw conflict(
    `${rotationId} cannot be the id of a version in Secrets Manager, which has 32 to 64 characters`,
  );
}

function isToken(id: string): boolean {
  return id.length >= 32 && id.length <= 64;
}
