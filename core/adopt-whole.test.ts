import { describe, expect, test } from "vitest";
import {
  type Given,
  marked,
  markOf,
  other,
  password,
  ref,
  secretOf,
  value,
  world,
} from "./adopt.contract.ts";
import { adopt, adoptable } from "./adopt.ts";
import { KeyturnError } from "./errors.ts";
import type { Finding } from "./rotator.ts";
import { Secret } from "./secret.ts";

describe("an import", () => {
  test("stores the value, marks it at its target, and is in the record, the audit and the index of what leaks", async () => {
    const { bring, current, print, now, contexts, ports } = { ...world(), now: Date.UTC(2026, 0, 1) };
    const imported = await bring();
    const version = (await current())?.version ?? "";
    expect(imported).toMatchObject({ answer: "imported", version, findable: true });
    expect(imported.record).toMatchObject({
      ref,
      epoch: 0,
      state: { phase: "idle" },
      current: { version, fingerprint: print(value), since: now },
      dueAt: now,
      importing: undefined,
      outbox: {
        entries: [
          { action: "imported", detail: "as it was, without a reset", version, actor: "ann", epoch: 0 },
        ],
      },
    });
    expect(await ports.journal.load(ref)).toEqual({ record: imported.record, revision: 2 });
    const fence = { installation: "test", ref, rotationId: "", epoch: 0, fingerprint: print(value) };
    expect(contexts.map(([verb, { fence: seen }]) => [verb, seen])).toEqual([
      ["inspect", fence],
      ["preflight true", fence],
      ["test true undefined", fence],
      ["adopt", { ...fence, rotationId: version }],
    ]);
    const found = await ports.journal.identify(ports.fingerprinter.candidates(password));
    expect(found).toEqual([{ ref, version, field: "password" }]);
  });

  test("again does nothing, and says so", async () => {
    const { bring, contexts } = world();
    const { version, record } = await bring();
    contexts.length = 0;
    expect(await bring()).toEqual({ answer: "known", version, record, findable: true });
    expect(contexts.map(([verb]) => verb)).toEqual(["inspect"]);
  });

  test("of what the record has already, and the target does not, marks it", async () => {
    const { bring, keep, put, print, contexts } = world();
    await keep("v1", value);
    await put({ current: { version: "v1", fingerprint: print(value), since: 0 } });
    expect(await bring()).toMatchObject({ answer: "imported", version: "v1" });
    expect(contexts.map(([verb]) => verb)).toContain("adopt");
  });

  test("of a value that tells too little is not found by its fingerprint", async () => {
    const { bring } = world({ verbs: { findableFields: () => ({ password: new Secret("1234") }) } });
    expect((await bring()).findable).toBe(false);
  });

  test("goes on with what the store has already, by whoever put it there", async () => {
    const { bring, keep, current } = world();
    await keep("v1", value);
    expect(await bring()).toMatchObject({ answer: "imported", version: "v1" });
    expect((await current())?.version).toBe("v1");
  });

  test.each([
    ["of the same value", value],
    ["of another one", other],
  ])("puts aside a candidate %s that nobody whom the record knows needs", async (_, left) => {
    const it = world();
    await it.ports.store.savePending(ref, "v1", left);
    expect((await it.bring()).version).not.toBe("v1");
    expect(await it.ports.store.read(ref, "pending")).toBeUndefined();
  });

  test("is in the record before anything changes, and shuts the versions of those before it that have not ended", async () => {
    const seen: (readonly [string, number | undefined, number | undefined])[] = [];
    const told = async (what: string) => {
      const record = (await it.ports.journal.load(ref))?.record;
      seen.push([what, record?.epoch, record?.importing?.length]);
    };
    const it = world({
      store: (own) => ({
        discardPending: async (name, version) => {
          await told(`discard ${version}`);
          await own.discardPending(name, version);
        },
        savePending: async (name, version, saved) => {
          const record = (await it.ports.journal.load(ref))?.record;
          await told(`save ${record?.importing?.at(-1) === version}`);
          return own.savePending(name, version, saved);
        },
      }),
      verbs: { test: () => told("test"), adopt: () => told("mark") },
    });
    await it.put({ epoch: 4, importing: ["v8", "v9"] });
    expect(await it.bring()).toMatchObject({ record: { epoch: 5, importing: undefined } });
    expect(seen).toEqual([
      ["test", 4, 2],
      ["discard v8", 5, 3],
      ["discard v9", 5, 3],
      ["save true", 5, 3],
      ["mark", 5, 3],
    ]);
  });

  test("of a login that administers itself is asked for with what is brought, which nobody has stored", async () => {
    const { bring, contexts } = world({ managed: { admin: ref } });
    await bring();
    expect(contexts.map(([, { admin }]) => admin?.reveal())).toEqual(contexts.map(() => value.reveal()));
  });

  test("with another administering login reads that one, and all else where it is", async () => {
    const it = world({ managed: { admin: "ops/admin" } });
    expect(await it.failure()).toMatchObject({ code: "secret-missing" });
    await it.ports.store.savePending("ops/admin", "a1", new Secret('{"password":"root"}'));
    await it.ports.store.promote("ops/admin", "a1", undefined);
    await it.bring();
    expect(it.contexts.map(([, { admin }]) => admin?.reveal())).toEqual(
      it.contexts.map(() => '{"password":"root"}'),
    );
  });
});

describe("the epoch of an import", () => {
  const after = async (given: Given, epoch: number) => {
    const it = world(given);
    await it.put({ epoch });
    await it.bring();
    return it.contexts.at(-1)?.[1].fence.epoch;
  };

  test.each<readonly [string, Given, number, number]>([
    ["is ahead of the record's where nothing is marked", marked(), 7, 8],
    ["is ahead of it where the target keeps no marks", { verbs: { inspect: async () => undefined } }, 7, 8],
    ["overtakes what this installation has left", marked(markOf({ seen: 9 }), markOf({ seen: 4 })), 7, 10],
    ["overtakes it also where the record is ahead", marked(markOf({ seen: 4 })), 7, 8],
    ["takes no notice of another secret's", marked(markOf({ seen: 9, ref: "other/db" })), 7, 8],
    ["takes no notice of another installation's", marked(markOf({ seen: 9, installation: "theirs" })), 7, 8],
  ])("%s", async (_, given, epoch, expected) => {
    expect(await after(given, epoch)).toBe(expected);
  });

  test.each([
    ["is what it was, for the very same mark", false, "set", 9, "old"],
    ["is a new one, for the very same mark where there is a record", true, "set", 10, "old"],
    ["is a new one, where the value was retired", false, "retire", 10, "new"],
  ] as const)("%s", async (_, isKnown, verb, epoch, key) => {
    const it = world(marked(markOf({ verb, seen: 9, fingerprint: "by an older key" })));
    if (isKnown) await it.put({ epoch: 4 });
    const { fingerprinter } = it.ports;
    const candidates = (text: string) => [fingerprinter.fingerprint(text), "by an older key"];
    const ports = { ...it.ports, fingerprinter: { ...fingerprinter, candidates } };
    const { record } = await adopt(ref, ports, value, "ann");
    expect(record).toMatchObject({
      epoch,
      current: { fingerprint: key === "old" ? "by an older key" : it.print(value) },
    });
  });
});

describe("what an import would find", () => {
  test("is told, and nothing is changed", async () => {
    const plain: Finding = { check: "network", ok: true, message: "open" };
    const { ports, contexts, current, print } = world({
      verbs: { inspect: async () => [markOf({ seen: 9 })], preflight: async () => [plain] },
    });
    expect(await adoptable(ref, ports, value)).toEqual([
      plain,
      { check: "record", ok: true, message: "free, or has this value already", code: "request-refused" },
      { check: "value", ok: true, message: "logs in" },
    ]);
    expect(contexts[1]?.[1].fence).toMatchObject({ epoch: 10, rotationId: "", fingerprint: print(value) });
    expect(await current()).toBeUndefined();
    expect(await ports.journal.load(ref)).toBeUndefined();
  });

  test("is told although the marks cannot be read", async () => {
    const { ports, contexts } = world({ verbs: { inspect: () => Promise.reject(new Error("no marks")) } });
    expect(await adoptable(ref, ports, value)).toHaveLength(2);
    expect(contexts[1]?.[1].fence.epoch).toBe(0);
  });

  test("says of a value that does not log in why", async () => {
    const { ports } = world();
    expect((await adoptable(ref, ports, secretOf("wrong"))).at(-1)).toEqual({
      check: "value",
      ok: false,
      message: "the target refuses app",
      code: "login-refused",
    });
  });

  test("is not told while the target is out of reach", async () => {
    const { ports, target } = world();
    const down = new KeyturnError("unreachable", "no answer");
    target.fail("test", down);
    await expect(adoptable(ref, ports, value)).rejects.toMatchObject({ code: "unreachable" });
  });
});

describe("whatever becomes of it", () => {
  test("the import has the time of a step, and what it kept open is closed and told why", async () => {
    const closed: string[] = [];
    const { failure, clock } = world({
      verbs: {
        test: async (_, { defer, signal }) => {
          defer(() => void closed.push(signal.reason?.code));
          await new Promise(() => undefined);
        },
      },
    });
    const late = failure();
    await new Promise(setImmediate);
    clock.advance(5_000);
    expect(await late).toMatchObject({
      code: "timeout",
      message: "the import of app/db did not end within 5000 ms",
    });
    expect(closed).toEqual(["timeout"]);
  });

  test("what it kept open is closed when it has ended well", async () => {
    const closed: string[] = [];
    const { ports } = world({
      verbs: { test: async (_, { defer }) => defer(() => void closed.push("closed")) },
    });
    await adoptable(ref, ports, value);
    expect(closed).toEqual(["closed"]);
  });

  test("no value that was met is in the log, nor in the error", async () => {
    const { failure, keep, lines } = world({
      verbs: {
        refused: async (_, { log }) => {
          log("warn", `met another-canary-9Xw2 beside ${password}`);
          throw new Error("met another-canary-9Xw2");
        },
      },
    });
    await keep("v1", other);
    expect(await failure()).toMatchObject({ code: "internal", message: "met [redacted]" });
    expect(lines).toEqual(["warn met [redacted] beside [redacted] {}"]);
  });

  test.each([true, false])(
    "not even one that the type cannot read; known to the record: %s",
    async (isKnown) => {
      const words = "canary-in-words-5Tn8";
      const { ports, keep, put, lines } = world({
        verbs: {
          test: async (_, { log }) => log("warn", `met ${words}`),
          adopt: async (_, { log }) => log("warn", `met ${words}`),
        },
      });
      await keep("v1", new Secret(words));
      if (isKnown) await put({ current: { version: "v1", fingerprint: "f", since: 0 } });
      await (isKnown ? adoptable(ref, ports, value) : adopt(ref, ports, value, "ann"));
      expect(lines.at(-1)).toBe("warn met [redacted] {}");
    },
  );
});
