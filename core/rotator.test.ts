import { describe, expect, test } from "vitest";
import * as z from "zod/mini";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { defineRotator, type RawContext, type RotatorDefinition, secretField } from "./rotator.ts";
import { Secret } from "./secret.ts";

const Config = z.strictObject({ owner: z.string() });
const Credential = z.looseObject({ username: z.string(), password: secretField() });
const Admin = z.looseObject({ password: secretField() });
type Config = z.infer<typeof Config>;
type Credential = z.infer<typeof Credential>;
type Admin = z.infer<typeof Admin>;
type Definition = RotatorDefinition<Config, Credential, Admin>;

const { ports } = memoryPorts(modelTarget().bothLive);
const value = (username: string) =>
  new Secret(JSON.stringify({ username, password: `of ${username}`, tag: 1 }));
const current = value("a");
const pending = value("b");
const context: RawContext = {
  config: { owner: "app" },
  admin: new Secret('{"password":"root"}'),
  nextAdmin: async () => new Secret('{"password":"next"}'),
  fence: { installation: "i", ref: "app/db", rotationId: "v2", epoch: 7, fingerprint: "f" },
  clock: ports.clock,
  random: ports.random,
  log: ports.log,
  signal: new AbortController().signal,
  defer: () => undefined,
};

/** As a test reads it: secrets in the open. */
function open(input: unknown): unknown {
  if (input instanceof Secret) return input.reveal();
  if (typeof input !== "object" || input === null) return input;
  return Object.fromEntries(Object.entries(input).map(([name, field]) => [name, open(field)]));
}

/** A type that tells what its verbs were given. */
function world(changes: Partial<Definition> = {}) {
  const calls: unknown[][] = [];
  const called = (
    verb: string,
    given: unknown,
    { config, admin, fence }: { config: unknown; admin: unknown; fence: unknown },
  ) => {
    calls.push([verb, open(given), open(config), open(admin), fence === context.fence]);
  };
  const residue = { sessionsEnded: 3, survives: [] };
  const definition: Definition = {
    type: "told",
    overlap: "cutover",
    config: Config,
    credential: Credential,
    admin: Admin,
    needs: { network: ["target"] },
    create: async (known, at) => {
      called("create", known, at);
      return { username: "made", password: new Secret("anew") };
    },
    set: async (change, at) => called("set", change, at),
    test: async (change, at) => called("test", change, at),
    retire: async (known, at) => {
      called("retire", known, at);
      return residue;
    },
    refused: async (known, at) => {
      called("refused", known, at);
      return "accepted";
    },
    sweep: async (at) => called("sweep", "", at),
    usage: async (known, at) => {
      called("usage", known, at);
      return { sessions: 1, clients: ["psql"] };
    },
    preflight: async (at, adopting) => {
      called("preflight", adopting, at);
      return [{ check: "login", ok: true, message: "works" }];
    },
    adopt: async (known, at) => called("adopt", known, at),
    inspect: async (at) => {
      called("inspect", "", at);
      return [];
    },
    outline: (known, { owner }) => ({
      changes: [{ step: "set", change: `${known?.username} of ${owner}` }],
      connections: 1,
      refusedLogins: 0,
    }),
    cut: async (login, at) => {
      called("cut", login, at);
      return residue;
    },
    ...changes,
  };
  return { rotator: defineRotator(definition), definition, calls };
}
const seenIn = (verb: string, given: unknown) => [verb, given, { owner: "app" }, { password: "root" }, true];
const a = { username: "a", password: "of a", tag: 1 };
const b = { username: "b", password: "of b", tag: 1 };
const failure = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (thrown) {
    return thrown;
  }
};

test("a type is what its definition says", () => {
  const { rotator, definition } = world();
  const { type, overlap, config, credential, admin, needs } = rotator;
  expect({ type, overlap, needs }).toEqual({
    type: "told",
    overlap: "cutover",
    needs: { network: ["target"] },
  });
  expect([config, credential, admin]).toEqual([definition.config, definition.credential, definition.admin]);
  expect(rotator.needsAdmin).toBe(true);
  expect(modelTarget().bothLive.needsAdmin).toBe(false);
});

describe("its verbs get what its schemas read, and give what it gives:", () => {
  test("create, whose credential keeps what it does not know", async () => {
    const { rotator, calls } = world();
    expect((await rotator.create(current, context)).reveal()).toBe(
      '{"username":"made","password":"anew","tag":1}',
    );
    expect((await rotator.create(undefined, context)).reveal()).toBe('{"username":"made","password":"anew"}');
    expect(calls).toEqual([seenIn("create", a), seenIn("create", undefined)]);
  });

  test("set and test, with current or without", async () => {
    const { rotator, calls } = world();
    await rotator.set({ pending, current }, context);
    await rotator.test({ pending, current: undefined }, context);
    expect(calls).toEqual([
      seenIn("set", { pending: b, current: a }),
      seenIn("test", { pending: b, current: undefined }),
    ]);
  });

  test("whatever is asked of one value", async () => {
    const { rotator, calls } = world();
    expect(await rotator.retire(current, context)).toEqual({ sessionsEnded: 3, survives: [] });
    expect(await rotator.refused(current, context)).toBe("accepted");
    expect(await rotator.usage(current, context)).toEqual({ sessions: 1, clients: ["psql"] });
    await rotator.adopt?.(current, context);
    expect(calls).toEqual(["retire", "refused", "usage", "adopt"].map((verb) => seenIn(verb, a)));
  });

  test("whatever is asked of the target", async () => {
    const { rotator, calls } = world();
    await rotator.sweep(context);
    expect(await rotator.inspect(context)).toEqual([]);
    expect(await rotator.preflight(context)).toEqual([{ check: "login", ok: true, message: "works" }]);
    await rotator.preflight(context, current);
    expect(await rotator.cut?.("app_a", context)).toEqual({ sessionsEnded: 3, survives: [] });
    expect(calls).toEqual([
      seenIn("sweep", ""),
      seenIn("inspect", ""),
      seenIn("preflight", undefined),
      seenIn("preflight", a),
      seenIn("cut", "app_a"),
    ]);
  });

  test("an outline, of current or of none", () => {
    const { rotator } = world();
    const said = (known: Secret | undefined) => rotator.outline(known, { owner: "app" })?.changes[0]?.change;
    expect([said(current), said(undefined)]).toEqual(["a of app", "undefined of app"]);
  });

  test("a cut that goes by another verb of the type", async () => {
    const { definition, calls } = world();
    const rotator = defineRotator<Config, Credential, Admin>({
      ...definition,
      async cut(login, at) {
        return this.retire({ username: login, password: new Secret("unknown") }, at);
      },
    });
    await rotator.cut?.("app_a", context);
    expect(calls).toEqual([seenIn("retire", { username: "app_a", password: "unknown" })]);
  });
});

test("what a type cannot do is done quietly, or told as absent", async () => {
  const { definition } = world();
  const { type, overlap, config, credential, admin, needs, create, set, test, retire, refused } = definition;
  const verbs = { create, set, test, retire, refused };
  const rotator = defineRotator<Config, Credential, Admin>({
    type,
    overlap,
    config,
    credential,
    admin,
    needs,
    ...verbs,
  });
  expect(await rotator.sweep(context)).toBeUndefined();
  expect(await rotator.usage(current, context)).toBeUndefined();
  expect(await rotator.preflight(context)).toEqual([]);
  expect(await rotator.inspect(context)).toBeUndefined();
  expect(rotator.outline(current, { owner: "app" })).toBeUndefined();
  expect([rotator.adopt, rotator.cut]).toEqual([undefined, undefined]);
});

describe("the administering login", () => {
  test("is read anew each time that there may be another one", async () => {
    const seen: unknown[] = [];
    const { rotator } = world({
      sweep: async ({ nextAdmin }) => {
        seen.push(open(await nextAdmin?.()));
      },
    });
    await rotator.sweep(context);
    await rotator.sweep({ ...context, nextAdmin: async () => undefined });
    const { nextAdmin: _, ...without } = context;
    await rotator.sweep(without);
    expect(seen).toEqual([{ password: "next" }, undefined, undefined]);
  });

  test.each([
    [undefined, "the administering login is not usable: Invalid input: expected object, received undefined"],
    [new Secret("root"), "the administering login is not JSON"],
    [
      new Secret("{}"),
      "the administering login is not usable: password: Invalid input: expected string, received undefined",
    ],
  ])("that cannot be one ends every verb: %#", async (admin, message) => {
    const { rotator, calls } = world();
    await expect(rotator.sweep({ ...context, admin })).rejects.toMatchObject({
      code: "credential-invalid",
      message,
    });
    expect(calls).toEqual([]);
  });
});

describe("what is not as it should be is named", () => {
  const { rotator } = world();

  test("in a config", () => {
    expect(rotator.checkConfig({ owner: "app" })).toBeUndefined();
    expect(failure(() => rotator.checkConfig({ owner: 7 }))).toMatchObject({
      code: "config-invalid",
      message:
        "the config of type told is not usable: owner: Invalid input: expected string, received number",
    });
  });

  test("in a value", () => {
    expect(rotator.checkCredential(current)).toBeUndefined();
    expect(failure(() => rotator.checkCredential(new Secret("a")))).toMatchObject({
      code: "credential-invalid",
      message: "the stored value is not JSON",
    });
    expect(failure(() => rotator.checkCredential(new Secret('{"username":"a"}')))).toMatchObject({
      code: "credential-invalid",
      message: "the stored value is not usable: password: Invalid input: expected string, received undefined",
    });
  });

  test("in an administering login", () => {
    expect(rotator.checkAdmin(new Secret('{"password":"root"}'))).toBeUndefined();
    expect(failure(() => rotator.checkAdmin(new Secret("{}")))).toMatchObject({ code: "credential-invalid" });
  });
});

test("the secret fields of either are told by name", () => {
  const { rotator } = world();
  expect(open(rotator.secretFields(current))).toEqual({ password: "of a" });
  expect(open(rotator.adminFields(new Secret('{"user":"root","password":"r"}')))).toEqual({ password: "r" });
});

test("what leaks is found by the secret fields, and by what names it to others", () => {
  const { rotator, definition } = world();
  expect(open(rotator.findableFields(current))).toEqual({ password: "of a" });
  const named = defineRotator({ ...definition, namedBy: ["username"] });
  expect(open(named.findableFields(current))).toEqual({ password: "of a", username: "a" });
  // Only what is secret is kept out of messages.
  expect(open(named.secretFields(current))).toEqual({ password: "of a" });
});

test("whose login it is say the fields by which it is named and those of its account, and nothing of it is secret", () => {
  const { definition, rotator } = world();
  const account = (fields: Partial<Definition>, of = current) =>
    defineRotator({ ...definition, ...fields }).accountOf(of);
  expect(rotator.accountOf(current)).toBe("[]");
  expect(account({ namedBy: ["username"] })).toBe('["a"]');
  expect(account({ account: ["username"] })).toBe('["a"]');
  expect(account({ namedBy: ["tag"], account: ["username"] }, pending)).toBe('[1,"b"]');
  expect(account({ account: ["password"] })).toBe('["[secret]"]');
  expect(() => rotator.accountOf(new Secret("no JSON"))).toThrow(/the stored value/);
});

test("an empty secret field is none, and that is said", () => {
  const { rotator } = world();
  const empty = new Secret('{"username":"a","password":""}');
  expect(() => rotator.checkCredential(empty)).toThrow(/password.*must not be empty/);
});
