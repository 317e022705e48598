import { describe, expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { cutDirectly, type DirectAccess, liveLogins } from "./direct.ts";
import type { KeyturnError } from "./errors.ts";
import type { Mark, RawContext, Rotator } from "./rotator.ts";
import { Secret } from "./secret.ts";

const admin = new Secret('{"username":"root","password":"canary-direct-1Vq7"}');

/** Two logins of this secret that the target lets in, and others that are not to be touched. */
const mark = (login: string, changes: Partial<Mark> = {}): Mark => ({
  login,
  verb: "set",
  epoch: 3,
  seen: 4,
  fingerprint: `print of ${login}`,
  rotationId: "v1",
  ref: "app/db",
  installation: "theirs",
  accepts: true,
  ...changes,
});
const marks = [
  mark("app_a"),
  mark("app_b", { seen: 9 }),
  mark("app_c"),
  mark("shut", { accepts: false }),
  mark("other", { ref: "other/db" }),
];

/** Access to a target whose marks are those; `verbs` says what is otherwise with it. Tells what it was asked, in which surroundings. */
function world(verbs: Partial<Rotator> = {}) {
  const { bothLive } = modelTarget();
  const { ports, clock, managed, lines } = memoryPorts(bothLive);
  const shut = new Set<string>();
  const contexts: RawContext[] = [];
  const cuts: (readonly [string, RawContext["fence"]])[] = [];
  const rotator: Rotator = {
    ...bothLive,
    adminFields: () => ({ password: new Secret("canary-direct-1Vq7") }),
    inspect: async (context) => {
      contexts.push(context);
      return marks.filter(({ login }) => !shut.has(login));
    },
    cut: async (login, { fence }) => {
      cuts.push([login, fence]);
      shut.add(login);
      return { sessionsEnded: 2, survives: ["a copy"] };
    },
    ...verbs,
  };
  const access: DirectAccess = { managed, rotator, admin, ports };
  return { access, clock, contexts, cuts, lines };
}
const failure = (work: () => Promise<unknown>): Promise<KeyturnError> =>
  Promise.resolve()
    .then(work)
    .then(
      () => {
        throw new Error("it did not fail");
      },
      (error: KeyturnError) => error,
    );

describe("a direct cut", () => {
  test("goes by each login's own mark, far above all that the target has seen of it", async () => {
    const { access, cuts } = world();
    const residue = { installation: "theirs", sessionsEnded: 2, survives: ["a copy"] };
    expect(await cutDirectly(access, ["app_a", "app_b", "shut", "other"])).toEqual([
      { login: "app_a", ...residue },
      { login: "app_b", ...residue },
    ]);
    const fence = {
      installation: "theirs",
      ref: "app/db",
      rotationId: expect.stringMatching(/^direct-.{36}$/),
    };
    expect(cuts).toEqual([
      ["app_a", { ...fence, epoch: 1_004, fingerprint: "print of app_a" }],
      ["app_b", { ...fence, epoch: 1_009, fingerprint: "print of app_b" }],
    ]);
  });

  test("that the target does not heed is not proven, and the logins are named", async () => {
    const { access } = world({ cut: async () => ({ sessionsEnded: 0, survives: [] }) });
    expect(await failure(() => cutDirectly(access, ["app_a", "app_b"]))).toMatchObject({
      code: "not-proven",
      message: "the target still lets in app_a, app_b",
    });
  });

  test("of a type that cannot is refused", async () => {
    const { access, contexts } = world({ cut: undefined });
    expect(await failure(() => cutDirectly(access, ["app_a"]))).toMatchObject({
      code: "request-refused",
      message: "type model-both-live cannot be cut without its store",
    });
    expect(contexts).toEqual([]);
  });
});

describe("the logins of a secret", () => {
  test("are asked for as nobody, with nothing but the administering login", async () => {
    const { access, contexts } = world();
    expect(await liveLogins(access)).toEqual([marks[0], marks[1], marks[2]]);
    expect(contexts).toMatchObject([
      {
        config: { owner: "app" },
        admin,
        fence: { installation: "", ref: "app/db", rotationId: "direct", epoch: 0, fingerprint: "" },
      },
    ]);
  });

  test("of a type that keeps no marks are not known", async () => {
    const { access } = world({ inspect: async () => undefined });
    expect(await failure(() => liveLogins(access))).toMatchObject({
      code: "request-refused",
      message: "type model-both-live keeps no marks at its target",
    });
  });

  test("are not asked for with a config or an administering login that cannot be", async () => {
    const { access, contexts } = world();
    const managed = { ...access.managed, config: { owner: 7 } };
    const refused = { code: "config-invalid" };
    expect(await failure(() => liveLogins({ ...access, managed }))).toMatchObject(refused);
    const invalid = { code: "credential-invalid" };
    expect(await failure(() => liveLogins({ ...access, admin: new Secret("root") }))).toMatchObject(invalid);
    expect(contexts).toEqual([]);
  });
});

describe("whatever becomes of it", () => {
  test("no part of the administering login is in the error or in the log", async () => {
    const { access, lines } = world({
      inspect: async ({ log }) => {
        log("warn", "tried canary-direct-1Vq7");
        throw new Error("no entry for canary-direct-1Vq7");
      },
    });
    expect(await failure(() => liveLogins(access))).toMatchObject({
      code: "internal",
      message: "no entry for [redacted]",
    });
    expect(lines).toEqual(["warn tried [redacted] {}"]);
  });

  test("what was kept open is closed", async () => {
    const closed: string[] = [];
    const { access } = world({
      inspect: async ({ defer }) => {
        defer(() => void closed.push("closed"));
        return [];
      },
    });
    await liveLogins(access);
    expect(closed).toEqual(["closed"]);
  });

  test("it ends at the deadline of a step, and the target is told to stop", async () => {
    const aborted: unknown[] = [];
    const { access, clock } = world({
      inspect: ({ signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener("abort", () => {
            aborted.push(signal.reason.code);
            reject(signal.reason);
          });
        }),
    });
    const late = failure(() => liveLogins(access));
    await new Promise(setImmediate);
    clock.advance(5_000);
    expect(await late).toMatchObject({
      code: "timeout",
      message: "cutting directly did not end within 5000 ms",
    });
    expect(aborted).toEqual(["timeout"]);
  });
});
