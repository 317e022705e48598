import { expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { adopt } from "./adopt.ts";
import { diagnose } from "./diagnose.ts";
import { KeyturnError } from "./errors.ts";
import { examine } from "./examine.ts";
import { isOtherName } from "./finish-import.ts";
import { request, storeValue, versionMark } from "./operate.ts";
import type { Ports } from "./ports.ts";
import { reconcile } from "./reconcile.ts";
import { newRecord } from "./record.ts";
import { repair } from "./repair.ts";
import { Secret } from "./secret.ts";

const ref = "app/db";
const worded = (words: string, username = "app_a") =>
  new Secret(JSON.stringify({ username, password: "of old", words }));

/** A login that was imported, and that somebody has stored by hand in other words since. */
async function renamed(overlap: "bothLive" | "cutover" = "bothLive") {
  const target = modelTarget();
  const { ports, clock } = memoryPorts(target[overlap]);
  const login = overlap === "cutover" ? "app" : "app_a";
  target.meddle(login, "of old");
  const { version: first } = await adopt(ref, ports, worded("hers", login), "ann");
  const second = await storeValue(ref, ports, worded("his", login), {});
  const work = async (its: Ports = ports) => {
    for (let turn = 0; turn < 8; turn += 1) {
      clock.advance(60_000);
      await reconcile(ref, its, { worker: "worker" });
    }
    return (await its.journal.load(ref))?.record;
  };
  const leak = async (which: string, cutFirst = false) => {
    const version = await versionMark(ref, ports, which);
    await request(ref, ports, { kind: "emergency", by: "ann", version, cutFirst });
  };
  const isLetIn = () => target.accepts(login, "of old");
  return { target, ports, first, second, work, leak, isLetIn };
}

test.each(["bothLive", "cutover"] as const)(
  "%s: what somebody has stored in other words is retired by the next rotation like any other",
  async (overlap) => {
    const { ports, work, isLetIn, first, second } = await renamed(overlap);
    await request(ref, ports, { kind: "rotate", by: "ann" });
    const record = await work();
    expect(record).toMatchObject({ state: { phase: "idle" }, debts: [] });
    expect(record?.sameLogin).toContainEqual([second, first]);
    expect(isLetIn()).toBe(false);
  },
);

test.each([
  ["current", false],
  ["current", true],
  ["the name before", false],
  ["the name before", true],
] as const)("a leak of %s, cut first: %s, is cut, and has a successor", async (which, cutFirst) => {
  const { target, ports, work, leak, isLetIn, first } = await renamed();
  await leak(which === "current" ? which : first, cutFirst);
  expect(await work()).toMatchObject({ state: { phase: "idle" }, debts: [] });
  expect(isLetIn()).toBe(false);
  const current = await ports.store.read(ref, "current");
  const { username, password } = JSON.parse(current?.value.reveal() ?? "{}");
  expect(target.accepts(username, password)).toBe(true);
});

test("another account with the same password is another login: it is not marked, and its leak is its own", async () => {
  const { target, ports, work, leak, first } = await renamed();
  target.meddle("app_b", "of old");
  await storeValue(ref, ports, worded("theirs", "app_b"), {});
  await leak(first);
  await work();
  expect([target.accepts("app_a", "of old"), target.accepts("app_b", "of old")]).toEqual([false, true]);
});

test("a candidate that somebody left with the login of current in other words is put aside, and no rotation shuts current for it", async () => {
  const { target, ports, isLetIn } = await renamed();
  await ports.store.savePending(ref, "left", worded("theirs"));
  expect(diagnose(await examine(ref, ports), 3).map(({ ailment }) => ailment)).toEqual([]);
  target.fail("set", new KeyturnError("unreachable", "stop here"));
  await request(ref, ports, { kind: "rotate", by: "ann" });
  await reconcile(ref, ports, { worker: "worker" });
  expect(isLetIn()).toBe(true);
});

test("what is owed by a name that shuts nothing is found by the doctor, and shut by the other", async () => {
  const { ports, work, isLetIn, second } = await renamed();
  await request(ref, ports, { kind: "rotate", by: "ann" });
  await work();
  const loaded = await ports.journal.load(ref);
  expect(loaded).toBeDefined();
  expect(await repair(await examine(ref, ports), ports, "doctor")).toBeUndefined();
  expect([isLetIn(), second === loaded?.record.current?.version]).toEqual([false, false]);
});

test.each<readonly [string, string | undefined, Secret, boolean, readonly string[]]>([
  ["that the record knows by another version, in other words", "v1", worded("his"), true, ["v1"]],
  ["that is another login", "v1", worded("his", "app_b"), false, ["v1"]],
  ["whose version before is gone", "v0", worded("his"), false, ["v0"]],
  ["that the record knows by that version", "v2", worded("his"), false, []],
  ["of which the record knows nothing", undefined, worded("his"), false, []],
])("of a current value %s: another name of the same login", async (_, known, value, expected, reads) => {
  const { bothLive } = modelTarget();
  const { ports } = memoryPorts(bothLive);
  await ports.store.savePending(ref, "v1", worded("hers"));
  const asked: string[] = [];
  const store: Ports["store"] = {
    ...ports.store,
    read: (name, which) => {
      asked.push(typeof which === "string" ? which : Object.values(which).join());
      return ports.store.read(name, which);
    },
  };
  const current = known === undefined ? {} : { current: { version: known, fingerprint: "any", since: 0 } };
  const stand = { ports: { ...ports, store }, rotator: bothLive, record: { ...newRecord(ref), ...current } };
  expect(await isOtherName(stand, { version: "v2", value })).toBe(expected);
  expect(asked).toEqual(reads);
});

test.each([
  ["data-broken", false],
  ["unreachable", "unreachable"],
] as const)("a version before that fails to be read with %s: %s", async (code, expected) => {
  const { bothLive } = modelTarget();
  const { ports } = memoryPorts(bothLive);
  const read = () => Promise.reject(new KeyturnError(code, "it cannot be read"));
  const record = { ...newRecord(ref), current: { version: "v1", fingerprint: "any", since: 0 } };
  const stand = { ports: { ...ports, store: { ...ports.store, read } }, rotator: bothLive, record };
  const found = isOtherName(stand, { version: "v2", value: worded("his") });
  expect(await found.catch((thrown: KeyturnError) => thrown.code)).toBe(expected);
});

test.each(["data-broken", "unreachable"] as const)(
  "an emergency is taken although the version before cannot be read: %s",
  async (code) => {
    const { ports, second } = await renamed();
    const read: Ports["store"]["read"] = (name, which) =>
      typeof which === "string"
        ? ports.store.read(name, which)
        : Promise.reject(new KeyturnError(code, "it cannot be read"));
    const broken: Ports = { ...ports, store: { ...ports.store, read } };
    const version = await versionMark(ref, ports, "current");
    const answered = await request(ref, broken, { kind: "emergency", by: "ann", version, cutFirst: false });
    expect(answered).toMatchObject({ answer: "began", record: { current: { version: second } } });
  },
);
