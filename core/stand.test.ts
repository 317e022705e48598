import { describe, expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { newRecord, type Rotation, type RotationRecord } from "./record.ts";
import { Redactor } from "./redact.ts";
import { Secret } from "./secret.ts";
import { Session } from "./session.ts";
import { changeOf, contextOf, fingerprintOf, markOf, protect, read, required, type Stand } from "./stand.ts";

const ref = "app/db";
const value = (version: string) =>
  new Secret(JSON.stringify({ username: "app", password: `canary-${version}-6Hw3` }));

function world(changes: Partial<RotationRecord> = {}) {
  const { bothLive } = modelTarget();
  const { ports, managed, lines } = memoryPorts(bothLive);
  const record = { ...newRecord(ref), epoch: 7, ...changes };
  const redactor = new Redactor();
  const stand: Stand = { ports, managed, rotator: bothLive, record, session: new Session(), redactor };
  const print = (version: string) => ports.fingerprinter.fingerprint(value(version).reveal());
  const save = async (version: string, after?: { readonly current: string | undefined }) => {
    await ports.store.savePending(ref, version, value(version));
    if (after !== undefined) await ports.store.promote(ref, version, after.current);
  };
  return { ports, stand, redactor, print, save, lines };
}
const rotationOf = (pending: string | undefined): Rotation => ({
  id: "v2",
  kind: "rotate",
  urgent: false,
  requestedBy: "ann",
  startedAt: 0,
  pending: pending === undefined ? undefined : { version: "v2", fingerprint: pending },
});
const clean = (redactor: Redactor, version: string) => redactor.redact(`canary-${version}-6Hw3`);

describe("a change", () => {
  test("is the candidate as it was saved, and current, and neither can be printed any more", async () => {
    const { stand, print, save, redactor } = world();
    await save("v1", { current: undefined });
    await save("v2");
    const { pending, current } = await changeOf(stand, rotationOf(print("v2")));
    expect([pending.reveal(), current?.reveal()]).toEqual([value("v2").reveal(), value("v1").reveal()]);
    expect([clean(redactor, "v1"), clean(redactor, "v2")]).toEqual(["[redacted]", "[redacted]"]);
  });

  test("is the candidate alone where nothing is current", async () => {
    const { stand, print, save } = world();
    await save("v2");
    const { pending, current } = await changeOf(stand, rotationOf(print("v2")));
    expect([pending.reveal(), current]).toEqual([value("v2").reveal(), undefined]);
  });

  test.each<readonly [string, string | undefined, string | undefined]>([
    ["nothing is pending", undefined, "v2"],
    ["somebody else's is pending", "v9", "v9"],
    ["it holds another value", "v2", "v9"],
    ["the record does not know it", "v2", undefined],
  ])("is none where %s", async (_, saved, known) => {
    const { stand, print, save } = world();
    if (saved !== undefined) await save(saved);
    await expect(changeOf(stand, rotationOf(known && print(known)))).rejects.toMatchObject({
      code: "pending-lost",
      message: "the store no longer has the candidate v2 as it was saved",
    });
  });
});

describe("what is read", () => {
  test("by stage is the version with its value, which cannot be printed any more", async () => {
    const { stand, save, redactor } = world();
    await save("v1");
    expect(await read(stand, "current")).toBeUndefined();
    expect(await read(stand, "pending")).toMatchObject({ version: "v1" });
    expect(clean(redactor, "v1")).toBe("[redacted]");
  });

  test("by version, too, and has to be there", async () => {
    const { stand, save, redactor } = world();
    await save("v1");
    expect(await required(stand, { version: "v1" })).toMatchObject({ version: "v1" });
    expect(clean(redactor, "v1")).toBe("[redacted]");
    await expect(required(stand, { version: "v9" })).rejects.toMatchObject({
      code: "secret-missing",
      message: "the store has no version v9 of app/db",
    });
  });
});

test("of a value that is protected neither the whole nor a secret field can be printed", () => {
  const { stand, redactor } = world();
  protect(stand, value("v1"));
  expect(redactor.redact(`${value("v1").reveal()} and canary-v1-6Hw3 and app`)).toBe(
    "[redacted] and [redacted] and app",
  );
});

describe("a value's fingerprint", () => {
  const old = "k0:the print by an older key";
  const mark = { version: "v0", fingerprint: old };
  const rotation = rotationOf(undefined);
  const inSet = (of: Partial<Rotation>): Partial<RotationRecord> => ({
    state: { phase: "set", rotation: { ...rotation, ...of }, attempts: 0, notBefore: 0 },
  });
  const debt = { ...mark, reason: "leaked", since: 0, cutFirst: false, attempts: 0, notBefore: 0 } as const;

  test.each<readonly [string, Partial<RotationRecord>, boolean]>([
    ["current", { current: { ...mark, since: 0 } }, true],
    ["the candidate", inSet({ pending: mark }), true],
    ["the one before", inSet({ previous: mark }), true],
    ["what is brought back", inSet({ restores: mark }), true],
    ["what is owed", { debts: [debt] }, true],
    ["nothing of the record", inSet({}), false],
  ])("is the one by which the record knows %s, else by the newest key", (_, changes, isKnown) => {
    const { stand, print } = world(changes);
    const { fingerprinter } = stand.ports;
    const turned = {
      ...stand,
      ports: {
        ...stand.ports,
        fingerprinter: {
          ...fingerprinter,
          candidates: (text: string) => [fingerprinter.fingerprint(text), old],
        },
      },
    };
    const fingerprint = isKnown ? old : print("v1");
    expect(fingerprintOf(turned, value("v1"))).toBe(fingerprint);
    const stored = { ref, version: "v1", value: value("v1"), createdAt: 0 };
    expect(markOf(turned, stored)).toEqual({ version: "v1", fingerprint });
  });
});

test("the surroundings of a verb are those of its secret, with a log that cannot print what was read", async () => {
  const { stand, ports, lines } = world();
  const context = await contextOf(stand, "v2", "print");
  const { nextAdmin, log, defer, ...rest } = context;
  expect(rest).toEqual({
    config: { owner: "app" },
    urgent: false,
    admin: undefined,
    fence: { installation: "test", ref, rotationId: "v2", epoch: 7, fingerprint: "print" },
    clock: ports.clock,
    random: ports.random,
    signal: stand.session.signal,
  });
  expect(defer).toBe(stand.session.defer);
  expect(await nextAdmin?.()).toBeUndefined();
  protect(stand, value("v1"));
  log("info", "met canary-v1-6Hw3");
  expect(lines).toEqual(["info met [redacted] {}"]);
});
