import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Secret } from "../core/secret.ts";
import {
  createIamTarget,
  type IamTarget,
  idOf,
  keysOf,
  secretOf,
  throughEnvironment,
} from "../integration/aws/iam-target.ts";
import { type StrictIam, startStrictIam } from "../integration/aws/strict-iam.ts";
import { rotator as unwrapped } from "./aws-iam-access-key.ts";
import { describeRotator } from "./rotator.contract.ts";
import { Steps } from "./steps.contract.ts";

let model: StrictIam;
const rotator = throughEnvironment(unwrapped, () => model.port);
const before = process.env.AWS_ENDPOINT_URL;

beforeAll(async () => {
  model = await startStrictIam();
});

afterAll(async () => {
  if (before === undefined) delete process.env.AWS_ENDPOINT_URL;
  else process.env.AWS_ENDPOINT_URL = before;
  await model.close();
});

const code = (expected: string) => expect.objectContaining({ code: expected });

describeRotator("aws-iam-access-key", {
  rotator,
  arrange: async () => createIamTarget(model),
  mints: true,
  knowsNoSessions: true,
});

function arrange(options: { path?: string } = {}): [IamTarget, Steps] {
  Object.assign(model.behaviour, { freshMs: 0, staleMs: 0, flaps: 0 });
  const target = createIamTarget(model, options);
  return [target, new Steps(rotator, target)];
}

/** Both slots are taken: by what is current, and by what was current before. */
async function changedOver(): Promise<[IamTarget, Steps, Secret, Secret]> {
  const [target, steps] = arrange();
  const old = await steps.first();
  const value = await steps.create(old);
  await steps.set(2, value, old);
  await steps.test(2, value, old);
  return [target, steps, old, value];
}

test("the configuration is read strictly", () => {
  const config = { userName: "uploader", region: "eu-west-1" };
  rotator.checkConfig(config);
  rotator.checkConfig({ ...config, path: "/division/team/", region: "us-gov-west-1" });
  for (const wrong of [
    { ...config, endpoint: "http://localhost" },
    { ...config, userName: "a/b" },
    { ...config, region: "Frankfurt" },
    { ...config, path: "team" },
    { ...config, keepInactiveMs: -1 },
    { region: "eu-west-1" },
  ]) {
    expect(() => rotator.checkConfig(wrong), JSON.stringify(wrong)).toThrow(code("config-invalid"));
  }
  expect(rotator.needsAdmin).toBe(false);
});

test("a credential keeps what else is stored with it", async () => {
  const [, steps] = arrange();
  const one = JSON.parse((await steps.create()).reveal());
  expect(Object.keys(one)).toEqual(["accessKeyId", "secretAccessKey"]);
  const kept = new Secret(JSON.stringify({ ...one, bucket: "invoices" }));
  expect(JSON.parse((await steps.create(kept)).reveal())).toMatchObject({ bucket: "invoices" });
});

describe("a key goes", () => {
  test("inactive first, and deleted when the next one is made", async () => {
    const [target, steps, old, value] = await changedOver();
    await steps.retire(3, old);
    expect(keysOf(target)).toEqual({ [idOf(old)]: "Inactive", [idOf(value)]: "Active" });
    const next = await steps.create(value);
    expect(keysOf(target)).toEqual({ [idOf(value)]: "Active", [idOf(next)]: "Active" });
    expect([...target.user.tags.keys()].filter((name) => name.includes(idOf(old)))).toEqual([]);
  });

  test("not before its time, but for an emergency", async () => {
    const [target, steps, old, value] = await changedOver();
    await steps.retire(3, old);
    const config = { ...target.config, keepInactiveMs: 3_600_000 };
    const failure = await steps.create(value, { config }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "target-busy" });
    expect(String(failure)).toMatch(new RegExp(`${idOf(old)} is inactive since .+, and kept until`));
    expect(await steps.preflight({ config })).toContainEqual(
      expect.objectContaining({ check: "slots", ok: false, code: "target-busy" }),
    );
    const next = await steps.create(value, { config, urgent: true });
    expect(keysOf(target)).toEqual({ [idOf(value)]: "Active", [idOf(next)]: "Active" });
  });

  test("at once where it was a candidate that was taken back", async () => {
    const [target, steps, old, never] = await changedOver();
    await steps.retire(3, never);
    const config = { ...target.config, keepInactiveMs: 3_600_000 };
    const next = await steps.create(old, { config });
    expect(keysOf(target)).toEqual({ [idOf(old)]: "Active", [idOf(next)]: "Active" });
  });

  test("at once also where its rotation has marked what it was to take over from; and that is kept", async () => {
    for (const isTakenBack of [true, false]) {
      const [target, steps] = arrange();
      const old = await steps.first();
      const value = await steps.create(old);
      const worded = new Secret(` ${old.reveal()}`);
      await steps.run(2, worded, {}, async (context) => rotator.adopt?.(worded, context));
      await steps.set(2, value, old);
      await steps.retire(3, isTakenBack ? value : old);
      const config = { ...target.config, keepInactiveMs: 3_600_000 };
      const next = steps.create(isTakenBack ? old : value, { config });
      await (isTakenBack
        ? expect(next).resolves.toBeDefined()
        : expect(next).rejects.toEqual(code("target-busy")));
    }
  });

  test("never where it was used since, and its last use is told", async () => {
    const [target, steps, old, value] = await changedOver();
    await steps.retire(3, old);
    for (const key of target.user.keys)
      if (key.accessKeyId === idOf(old)) key.lastUsedAt = Date.now() + 400_000;
    for (const urgent of [false, true]) {
      const failure = await steps.create(value, { urgent }).catch((error: unknown) => error);
      expect(failure).toMatchObject({ code: "request-refused" });
      expect(String(failure)).toMatch(/was used since, for sts in eu-west-1, last at \d{4}-/);
    }
    expect(keysOf(target)).toEqual({ [idOf(old)]: "Inactive", [idOf(value)]: "Active" });
  });

  test("never where a person has made it", async () => {
    const [target, steps] = arrange();
    const byHand = model.addKey(target.user, Date.now() - 86_400_000);
    const one = await steps.first();
    for (const urgent of [false, true]) {
      const failure = await steps.create(one, { urgent }).catch((error: unknown) => error);
      expect(failure).toMatchObject({ code: "not-managed" });
      expect(String(failure)).toContain(`${byHand.accessKeyId} was made at`);
      expect(String(failure)).toContain("by somebody else");
    }
    expect(keysOf(target)).toEqual({ [byHand.accessKeyId]: "Active", [idOf(one)]: "Active" });
  });

  test("in its grace, where what has leaked must have a successor", async () => {
    const [target, steps, old, leaked] = await changedOver();
    await expect(steps.create(leaked)).rejects.toEqual(code("target-busy"));
    expect(await steps.refused(old)).toBe("accepted");
    const next = await steps.create(leaked, { urgent: true });
    expect(keysOf(target)).toEqual({ [idOf(leaked)]: "Active", [idOf(next)]: "Active" });
    expect(await steps.refused(old)).toBe("refused");
    await steps.retire(3, old);
    expect(steps.said.join()).toContain(`access key ${idOf(old)} makes room`);
  });
});

describe("an interrupted create", () => {
  test.each(["CreateAccessKey", "TagUser", "UntagUser"])(
    "whose %s was never answered leaves nothing",
    async (action) => {
      const [target, steps] = arrange();
      const one = await steps.first();
      model.behaviour.failures.push({ action, code: "lost" });
      await expect(steps.create(one)).rejects.toMatchObject({ disposition: "retry" });
      const two = await steps.create(one);
      expect(keysOf(target)).toEqual({ [idOf(one)]: "Active", [idOf(two)]: "Active" });
      expect([...target.user.tags.keys()].toSorted()).toEqual(
        ["installation", `key:${idOf(one)}`, `key:${idOf(two)}`, "secret"]
          .map((name) => `keyturn:${name}`)
          .toSorted(),
      );
    },
  );

  test("and a person's key that comes later are told apart, and where they cannot be, both stay", async () => {
    const [target, steps] = arrange();
    const one = await steps.first();
    model.behaviour.failures.push({ action: "CreateAccessKey", code: "Throttling" });
    await expect(steps.create(one)).rejects.toEqual(code("throttled"));
    const byHand = model.addKey(target.user, Date.now() + 90_000);
    const failure = await steps.create(one).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "not-managed" });
    expect(String(failure)).toMatch(/cannot be told who made it: .+ user agent keyturn\/rotation-0/);
    expect(keysOf(target)).toHaveProperty(byHand.accessKeyId, "Active");
  });
});

describe("a fresh key", () => {
  test("may be refused for a while, by some servers longer than by others", async () => {
    const [target, steps] = arrange();
    const config = { ...target.config, freshKeyMs: 10_000 };
    const value = await steps.create();
    await steps.set(1, value);
    Object.assign(model.behaviour, { freshMs: 600, flaps: 4 });
    expect(await steps.refused(value)).toBe("unknown");
    await steps.test(1, value, undefined, { config });
  });

  test("counts as good when three servers in a row agree, and a refusal between them begins the count anew", async () => {
    const [target, steps] = arrange();
    const config = { ...target.config, freshKeyMs: 10_000 };
    const value = await steps.create();
    await steps.set(1, value);
    // Accepted, refused, accepted, refused, and from then on accepted.
    model.behaviour.flaps = 4;
    const before = model.said.length;
    await steps.test(1, value, undefined, { config });
    const asked = model.said.slice(before).map((body) => new URLSearchParams(body).get("Action"));
    expect(asked).toEqual(Array.from({ length: 7 }, () => "GetCallerIdentity"));
    expect(model.behaviour.flaps).toBeLessThan(0);
  });

  test("is refused when its time is over, and the step ends at its deadline", async () => {
    const [target, steps] = arrange();
    const value = await steps.create();
    model.behaviour.freshMs = 60_000;
    await expect(steps.test(1, value)).rejects.toEqual(code("login-refused"));
    const config = { ...target.config, freshKeyMs: 10_000 };
    const began = performance.now();
    await expect(steps.test(1, value, undefined, { config, deadlineMs: 400 })).rejects.toEqual(
      code("timeout"),
    );
    expect(performance.now() - began).toBeLessThan(2_000);
  });

  test("of another user never passes", async () => {
    const [, steps] = arrange();
    const [other, others] = arrange({ path: "/division/" });
    await others.test(1, await others.first());
    const foreign = secretOf(model.addKey(other.user));
    await expect(steps.test(1, foreign)).rejects.toEqual(code("access-differs"));
    await expect(steps.set(1, foreign)).rejects.toEqual(code("login-refused"));
  });
});

test("retire waits until the key is refused, and what is not yet refused is called accepted", async () => {
  const [, steps, old, value] = await changedOver();
  model.behaviour.staleMs = 700;
  const began = performance.now();
  const { survives } = await steps.retire(3, old);
  expect(performance.now() - began).toBeGreaterThan(500);
  expect(survives.join()).toContain("GetSessionToken for up to 36 hours");
  expect(await steps.refused(old)).toBe("refused");
  const hurry = steps.retire(4, value, { deadlineMs: 300 });
  await expect(hurry).rejects.toEqual(code("timeout"));
  expect(await steps.refused(value)).toBe("accepted");
});

describe("whoever was superseded while it changed a key", () => {
  test("makes inactive again what it has made active", async () => {
    const [target, steps, old, value] = await changedOver();
    await steps.retire(3, old);
    model.behaviour.meanwhile.set("UpdateAccessKey", () => steps.retire(5, old));
    await expect(steps.set(4, old, value)).rejects.toEqual(code("superseded"));
    expect(keysOf(target)).toMatchObject({ [idOf(old)]: "Inactive" });
  });

  test("makes active again what it has made inactive", async () => {
    const [target, steps, old, value] = await changedOver();
    model.behaviour.meanwhile.set("UpdateAccessKey", () => steps.set(4, old, value));
    await expect(steps.retire(3, old)).rejects.toEqual(code("superseded"));
    expect(keysOf(target)).toMatchObject({ [idOf(old)]: "Active" });
  });
});

describe("the administrator", () => {
  test("may be changing at this very moment", async () => {
    const [target, steps] = arrange();
    const value = await steps.create();
    await steps.run(1, value, { admin: target.wrongAdmin }, (context) => {
      const others = [target.wrongAdmin, target.admin];
      return rotator.set(
        { pending: value, current: undefined },
        { ...context, nextAdmin: async () => others.shift() },
      );
    });
    await steps.test(1, value);
  });

  test("is whoever runs, where none is named", async () => {
    const [target, steps] = arrange();
    const { accessKeyId, secretAccessKey } = JSON.parse(target.admin.reveal());
    const known = { ...process.env };
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey });
    try {
      const value = await steps.run(0, undefined, {}, (context) =>
        rotator.create(undefined, { ...context, admin: undefined }),
      );
      await steps.set(1, value);
      await steps.test(1, value);
    } finally {
      for (const name of ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]) {
        if (known[name] === undefined) delete process.env[name];
        else process.env[name] = known[name];
      }
    }
  });
});

test("what it needs of AWS names fields of its config", () => {
  const rights = rotator.needs.aws ?? [];
  const config: Record<string, string> = {
    partition: "aws",
    account: "111122223333",
    path: "/",
    userName: "uploader",
  };
  const arns = rights.map(({ resource }) =>
    resource.replace(/\{(\w+)\}/g, (_, name: string) => config[name] ?? ""),
  );
  expect(arns).toEqual(["arn:aws:iam::111122223333:user/uploader"]);
  // Whatever the type asks IAM for in this file is among it.
  const asked = model.said.map((body) => `iam:${new URLSearchParams(body).get("Action")}`);
  const actions = new Set(asked.filter((action) => action !== "iam:GetCallerIdentity"));
  expect([...actions].filter((action) => !rights[0]?.actions.includes(action))).toEqual([]);
  expect(actions.size).toBe(rights[0]?.actions.length);
});
