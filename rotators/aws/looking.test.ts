import { afterAll, beforeAll, expect, test } from "vitest";
import type { Secret } from "../../core/secret.ts";
import {
  createIamTarget,
  type IamTarget,
  idOf,
  keysOf,
  secretOf,
  throughEnvironment,
} from "../../integration/aws/iam-target.ts";
import { type StrictIam, startStrictIam } from "../../integration/aws/strict-iam.ts";
import { rotator as unwrapped } from "../aws-iam-access-key.ts";
import { type StepOptions, Steps } from "../steps.contract.ts";

let model: StrictIam;
const rotator = throughEnvironment(unwrapped, () => model.port);

beforeAll(async () => {
  model = await startStrictIam();
});

afterAll(async () => {
  delete process.env.AWS_ENDPOINT_URL;
  await model.close();
});

const code = (expected: string) => expect.objectContaining({ code: expected });

function arrange(): [IamTarget, Steps] {
  const target = createIamTarget(model);
  return [target, new Steps(rotator, target)];
}

function adopt(steps: Steps, epoch: number, value: Secret, options: StepOptions = {}): Promise<void> {
  return steps.run(epoch, value, options, async (context) => rotator.adopt?.(value, context));
}

test("an imported key goes on, is retired, and stays until a person deletes it", async () => {
  const [target, steps] = arrange();
  const byHand = model.addKey(target.user, Date.now() - 86_400_000);
  const value = secretOf(byHand);
  await adopt(steps, 0, value);
  await adopt(steps, 0, value);
  await expect(adopt(steps, 0, value, { fence: { ref: "team/other" } })).rejects.toEqual(code("not-managed"));
  const next = await steps.create(value);
  await steps.set(1, next, value);
  await steps.retire(2, value);
  const failure = await steps.create(next).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: "not-managed" });
  expect(String(failure)).toContain("it was imported, and a person has to delete it");
  expect(keysOf(target)).toEqual({ [byHand.accessKeyId]: "Inactive", [idOf(next)]: "Active" });
  const third = await steps.create(next, { config: { ...target.config, deleteImported: true } });
  expect(keysOf(target)).toEqual({ [idOf(next)]: "Active", [idOf(third)]: "Active" });
});

test("an imported key in its grace stays also where what has leaked must have a successor, but where its deletion was allowed", async () => {
  const [target, steps] = arrange();
  const byHand = model.addKey(target.user, Date.now() - 86_400_000);
  const value = secretOf(byHand);
  await adopt(steps, 0, value);
  const leaked = await steps.create(value);
  await steps.set(1, leaked, value);
  const failure = await steps.create(leaked, { urgent: true }).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: "not-managed" });
  expect(String(failure)).toContain(`${byHand.accessKeyId} was imported, and a person has to delete it`);
  expect(keysOf(target)).toEqual({ [byHand.accessKeyId]: "Active", [idOf(leaked)]: "Active" });
  const next = await steps.create(leaked, {
    urgent: true,
    config: { ...target.config, deleteImported: true },
  });
  expect(keysOf(target)).toEqual({ [idOf(leaked)]: "Active", [idOf(next)]: "Active" });
});

test("an import refuses what does not sign, and what is no key of the user", async () => {
  const [target, steps] = arrange();
  const [other] = arrange();
  const inactive = model.addKey(target.user);
  inactive.status = "Inactive";
  await expect(adopt(steps, 0, secretOf(inactive))).rejects.toEqual(code("login-refused"));
  await expect(adopt(steps, 0, secretOf(model.addKey(other.user)))).rejects.toEqual(code("access-differs"));
  const wrong = { ...model.addKey(target.user), secretAccessKey: "not this one" };
  await expect(adopt(steps, 0, secretOf(wrong))).rejects.toEqual(code("login-refused"));
  expect([...target.user.tags]).toEqual([]);
});

test("the dry run says what is in the way, and changes nothing", async () => {
  const [target, steps] = arrange();
  const failing = async (options?: StepOptions, epoch?: number) =>
    (await steps.preflight(options, epoch))
      .filter(({ ok }) => !ok)
      .map(({ check, code: what }) => [check, what]);
  const user = `user ${target.user.userName}`;
  expect(await failing()).toEqual([]);
  expect(await failing({ config: { ...target.config, userName: "nobody" } })).toEqual([
    ["user nobody", "config-invalid"],
  ]);
  const one = await steps.first();
  expect(await failing()).toEqual([]);
  expect(await failing({}, 0)).toEqual([["epoch", "superseded"]]);
  expect(await failing({ fence: { installation: "other" } })).toEqual([[user, "not-managed"]]);
  expect(await failing({ admin: target.wrongAdmin })).toEqual([[user, "admin-refused"]]);
  target.administrator.denied.add("ListUserTags");
  expect(await failing()).toEqual([[user, "role-lacks-rights"]]);
  target.administrator.denied.clear();
  const two = await steps.create(one);
  await steps.set(2, two, one);
  expect(await failing()).toEqual([]);
  const tags = [...target.user.tags];
  for (const key of target.user.keys) if (key.accessKeyId === idOf(one)) key.status = "Inactive";
  expect(await failing()).toEqual([]);
  await steps.retire(3, one);
  expect(await failing()).toEqual([]);
  expect(await failing({ config: { ...target.config, keepInactiveMs: 9_999_999 } })).toEqual([
    ["slots", "target-busy"],
  ]);
  expect(tags.length).toBe(4);
  const asked = model.said.length;
  await steps.preflight();
  const actions = model.said.slice(asked).map((body) => new URLSearchParams(body).get("Action"));
  expect(actions.filter((action) => !/^(List|Get)/.test(action ?? ""))).toEqual([]);
});

test("a rollback needs no slot", async () => {
  const [target, steps] = arrange();
  const one = await steps.first();
  const byHand = model.addKey(target.user);
  byHand.status = "Inactive";
  const [mark] = await marks(steps);
  const fence = { fingerprint: mark?.fingerprint ?? "" };
  const slots = async (options: StepOptions) =>
    (await steps.preflight(options)).find(({ check }) => check === "slots")?.ok;
  expect(await slots({})).toBe(false);
  expect(await slots({ fence })).toBe(true);
  expect(await steps.refused(one)).toBe("accepted");
});

test("the marks are told, and whether each key is active", async () => {
  const [target, steps] = arrange();
  expect(await marks(steps)).toEqual([]);
  const one = await steps.first();
  const two = await steps.create(one);
  await steps.set(2, two, one);
  await steps.retire(3, one);
  const common = { ref: "team/secret", installation: "test" };
  expect(await marks(steps)).toEqual([
    expect.objectContaining({
      ...common,
      login: idOf(one),
      verb: "retire",
      epoch: 3,
      seen: 3,
      accepts: false,
    }),
    expect.objectContaining({ ...common, login: idOf(two), verb: "set", epoch: 2, seen: 2, accepts: true }),
  ]);
  expect(keysOf(target)).toEqual({ [idOf(one)]: "Inactive", [idOf(two)]: "Active" });
});

test("a key can be cut by its id alone", async () => {
  const [, steps] = arrange();
  const one = await steps.first();
  await steps.run(9, one, {}, async (context) => rotator.cut?.(idOf(one), context));
  expect(await steps.refused(one)).toBe("refused");
  await expect(steps.set(8, one)).rejects.toEqual(code("superseded"));
});

test("whoever used a key lately is told, as AWS tells it", async () => {
  const [target, steps] = arrange();
  const value = await steps.create();
  expect(await steps.usage(value)).toEqual({ sessions: 0, clients: [] });
  const [key] = target.user.keys;
  if (key !== undefined) key.lastUsedAt = Date.now() + 60_000;
  const usage = await steps.usage(value);
  expect(usage?.sessions).toBe(1);
  expect(usage?.clients.join()).toMatch(/^whoever used it for sts in eu-west-1, last at \d{4}-/);
});

test("what a rotation would do is told without asking anybody", () => {
  const config = { userName: "uploader", region: "eu-west-1" };
  expect(rotator.outline(undefined, config)?.changes.map(({ step }) => step)).toEqual(["set"]);
  const current = secretOf({ accessKeyId: "AKIA0000000000000001", secretAccessKey: "canary" });
  const outline = rotator.outline(current, config);
  expect(outline?.changes.map(({ change }) => change)).toEqual([
    "user uploader gets one more access key",
    "AKIA0000000000000001 becomes inactive; a later rotation deletes it",
  ]);
});

function marks(steps: Steps) {
  return steps.run(0, undefined, {}, async (context) => (await rotator.inspect(context)) ?? []);
}
