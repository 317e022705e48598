import { randomUUID } from "node:crypto";
import {
  CreateSecretCommand,
  DeleteSecretCommand,
  GetSecretValueCommand,
  PutSecretValueCommand,
  RestoreSecretCommand,
  SecretsManagerClient,
  UpdateSecretVersionStageCommand,
} from "@aws-sdk/client-secrets-manager";
import { expect, test, vi } from "vitest";
import { ask, eventsOf, logOf, rotating } from "./asking.ts";
import { installation } from "./installation.ts";
import { keyturn } from "./keyturn.ts";
import { hasEnded, play } from "./scenes.ts";
import { adminOf } from "./secrets.ts";
import { atRest, begun, current, letsIn, record, rotateSecret } from "./stage.ts";
import { stand } from "./steering.ts";

const manager = new SecretsManagerClient(installation.aws);

/** Does something to a secret, and gives what undoes it. */
type Breaking = (ref: string) => Promise<() => Promise<void>>;

interface Refusal {
  readonly ref: string;
  readonly where: string;
  readonly breaking: Breaking;
  /** What the function says that is asked for createSecret. */
  readonly says: RegExp;
  /** The outcome of the event that is told first, which is counted for the alarms; nothing where nothing began. */
  readonly tells?: "undone";
}

/** AWS answers the rotating function so, whatever is asked about the secret. */
function answered(code: string, service: string, operation?: string): Breaking {
  return async (ref) => {
    const message = `User: any is not authorized to perform: ${service}:${operation} on resource: ${ref}`;
    const rule = { service, by: rotating, about: [ref], act: { code, message } };
    const standing = await stand(operation === undefined ? rule : { ...rule, operation });
    return () => standing.letGo();
  };
}

/** What the role may not read is missing from a batch, and refused where it is asked for by itself. */
const unreadable: Breaking = async (ref) => {
  const alone = await answered("AccessDeniedException", "secretsmanager", "GetSecretValue")(ref);
  const together = await answered("InvalidRequestException", "secretsmanager", "BatchGetSecretValue")(ref);
  return async () => void (await Promise.all([alone(), together()]));
};

/** Somebody stores another value. */
function stored(of: (ref: string) => string, value: string): Breaking {
  return async (ref) => {
    const SecretId = of(ref);
    const before = await manager.send(new GetSecretValueCommand({ SecretId }));
    const { VersionId } = await manager.send(new PutSecretValueCommand({ SecretId, SecretString: value }));
    return async () => {
      const back = { SecretId, VersionStage: "AWSCURRENT", MoveToVersionId: before.VersionId };
      await manager.send(new UpdateSecretVersionStageCommand({ ...back, RemoveFromVersionId: VersionId }));
    };
  };
}

/** Somebody has Secrets Manager delete it in a week, thinks better of it, and lets the rotation, which a person was called for, go on. */
const deleted: Breaking = async (SecretId) => {
  await manager.send(new DeleteSecretCommand({ SecretId, RecoveryWindowInDays: 7 }));
  return async () => {
    await manager.send(new RestoreSecretCommand({ SecretId }));
    const goesOn = { code: 0, stderr: expect.stringContaining("it goes on with undo") };
    expect(await keyturn(["resume", SecretId])).toMatchObject(goesOn);
  };
};

const refusals: readonly Refusal[] = [
  {
    ref: "refused/reading",
    where: "a role that may not read",
    breaking: unreadable,
    says: /^role-lacks-rights: .* \(needs secretsmanager:GetSecretValue on .*\. Grant /,
    tells: "undone",
  },
  {
    ref: "refused/writing",
    where: "a role that may not write",
    breaking: answered("AccessDeniedException", "secretsmanager", "PutSecretValue"),
    says: /^role-lacks-rights: .* \(needs secretsmanager:PutSecretValue on .*\. Grant /,
    tells: "undone",
  },
  {
    ref: "refused/journal",
    where: "a role that may not use the table",
    breaking: answered("AccessDeniedException", "dynamodb", "GetItem"),
    says: /^role-lacks-rights: the journal's table: .* \(needs dynamodb:GetItem on .*\. Grant /,
  },
  {
    ref: "throttled/store",
    where: "Secrets Manager throttles every call",
    breaking: answered("ThrottlingException", "secretsmanager"),
    says: /^throttled: .*Secrets Manager: .*\. Wait, or raise the quota/,
    tells: "undone",
  },
  {
    ref: "throttled/journal",
    where: "DynamoDB throttles every call",
    breaking: answered("ThrottlingException", "dynamodb"),
    says: /^throttled: the journal's table: .*\. Wait, or raise the quota/,
  },
  {
    ref: "gone/table",
    where: "the table is gone",
    breaking: answered("ResourceNotFoundException", "dynamodb"),
    says: /^journal-unavailable: the journal's table: .*it is not there; deploy the whole installation\./,
  },
  {
    ref: "gone/secret",
    where: "the secret is scheduled for its deletion",
    breaking: deleted,
    says: /^secret-missing: .*gone\/secret is scheduled for deletion in Secrets Manager: restore it \(/,
    tells: "undone",
  },
  {
    ref: "broken/admin",
    where: "the administering login lacks its password",
    breaking: stored(adminOf, JSON.stringify({ username: "admin" })),
    says: /^credential-invalid: .*password.*\. Store a value that has the fields named/,
    tells: "undone",
  },
  {
    ref: "broken/current",
    where: "the current value is no JSON",
    breaking: stored((ref) => ref, "canary-that-is-no-json"),
    says: /^credential-invalid: .*JSON.*\. Store a value that has the fields named/,
    tells: "undone",
  },
];

/** What a function has written is in its log a little later. */
async function isLogged(ref: string, said: string | undefined): Promise<void> {
  const isThere = async () => expect((await logOf(ref)).join("\n")).toContain(said);
  await vi.waitFor(isThere, { timeout: 30_000, interval: 1_000 });
}

test.concurrent("what is broken is said with what to do, current stays as it is, and the next rotation after it is mended ends", async () => {
  const wrong = await play(refusals, async ({ ref, breaking, says, tells }) => {
    const before = await begun(ref);
    const mend = await breaking(ref);
    const said = await ask("createSecret", ref, randomUUID());
    expect(said).toMatch(says);
    expect(await letsIn(before.value)).toBe(true);
    await mend();
    expect((await current(ref))?.version).toBe(before.version);
    await atRest(ref, 240_000);
    // Lambda writes down what a function fails with, and counts it: there is an alarm on that.
    await isLogged(ref, said);
    const token = randomUUID();
    await rotateSecret(ref, token);
    await hasEnded(ref, [before.value]);
    expect((await current(ref))?.version).toBe(token);
    const outcomes = (await eventsOf(ref)).flatMap(
      (line) => /"outcome":"(?<outcome>\w+)"/.exec(line)?.groups?.outcome ?? [],
    );
    expect(outcomes.slice(0, 1)).toEqual(tells === undefined ? [] : [tells]);
  });
  expect(wrong).toEqual([]);
}, 480_000);

test.concurrent("a secret that the manifest does not have is refused, and stays as it is", async () => {
  const Name = "refused/unknown";
  const { VersionId } = await manager.send(
    new CreateSecretCommand({ Name, SecretString: `{"username":"x"}` }),
  );
  const said = await ask("createSecret", Name, randomUUID());
  expect(said).toMatch(
    /^input-invalid: the manifest that was deployed has no secret refused\/unknown: deploy it, or take the rotation off/,
  );
  await rotateSecret(Name, randomUUID());
  expect((await current(Name))?.version).toBe(VersionId);
  expect(await record(Name)).toBeUndefined();
  await isLogged(Name, said);
}, 60_000);
