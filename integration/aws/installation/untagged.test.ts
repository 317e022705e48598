import { randomUUID } from "node:crypto";
import {
  DescribeSecretCommand,
  SecretsManagerClient,
  UntagResourceCommand,
} from "@aws-sdk/client-secrets-manager";
import { expect, test, vi } from "vitest";
import { ask, logOf } from "./asking.ts";
import { installation } from "./installation.ts";
import { keyturn } from "./keyturn.ts";
import { hasEnded } from "./scenes.ts";
import { begun, current, letsIn, processesOf, rotated, tick } from "./stage.ts";
import { refusedAbout } from "./steering.ts";

const manager = new SecretsManagerClient(installation.aws);
const ref = "untagged/db";
const tags = { "keyturn:installation": "shown", "keyturn:type": "postgres-alternating" };
const within = { timeout: 30_000, interval: 1_000 };
const lacking =
  /secrets lack the tags by which their function may touch them: untagged\/db \(keyturn:installation=shown keyturn:type=postgres-alternating\); `keyturn doctor --fix` sets them/;

async function borne(): Promise<object> {
  const { Tags = [] } = await manager.send(new DescribeSecretCommand({ SecretId: ref }));
  return Object.fromEntries(Tags.map(({ Key, Value }) => [Key, Value]));
}

/** A new process keeps house at once, and not only when the hour is over. */
async function ticksAnew(): Promise<string | undefined> {
  for (const pid of processesOf("keyturn-shown-schedule")) process.kill(pid, "SIGKILL");
  return tick().then(
    () => undefined,
    (failure: unknown) => String(failure),
  );
}

test("a secret that lacks the tags which rights go by: its function may not touch it and says what to do, the tick tells it, current stays, and with its tags the next rotation ends", async () => {
  const before = await begun(ref);
  expect(await borne()).toEqual(tags);
  expect(await refusedAbout(`:secret:${ref}-`)).toEqual([]);
  await manager.send(new UntagResourceCommand({ SecretId: ref, TagKeys: Object.keys(tags) }));

  const said = await ask("createSecret", ref, randomUUID());
  expect(said).toMatch(
    /^role-lacks-rights: .*\(needs secretsmanager:\w+ on .*\): rights go by tags here, does it bear keyturn:installation=shown keyturn:type=postgres-alternating\? `keyturn doctor --fix` sets them/,
  );
  await vi.waitFor(async () => expect((await logOf(ref)).join("\n")).toContain(said), within);
  // There is an alarm on a tick that fails.
  await vi.waitFor(async () => expect(await ticksAnew()).toMatch(lacking), within);
  expect((await current(ref))?.version).toBe(before.version);
  expect(await letsIn(before.value)).toBe(true);

  const looked = await keyturn(["doctor"]);
  expect(looked.stdout).toContain(
    `tags of ${ref}  it lacks keyturn:installation=shown, keyturn:type=postgres-alternating`,
  );
  expect(await borne()).toEqual({});
  expect((await keyturn(["doctor", "--fix"])).stdout).toContain("They are set now.");
  expect(await borne()).toEqual(tags);
  await vi.waitFor(async () => expect(await ticksAnew()).toBeUndefined(), within);
  const refused = await refusedAbout(`:secret:${ref}-`);
  expect(refused).not.toEqual([]);
  for (const why of refused)
    expect(why).toMatch(/^User: keyturn-shown-\S+ is not authorized to perform: secretsmanager:/);
  // What is refused from here on fails the run.
  const after = await rotated(ref);
  await hasEnded(ref, [before.value]);
  expect((await current(ref))?.version).toBe(after.version);
}, 480_000);
