import { describe, expect, test } from "vitest";
import { type Given, other, password, ref, secretOf, value, world } from "./adopt.contract.ts";
import { adopt, adoptable } from "./adopt.ts";
import { KeyturnError } from "./errors.ts";
import type { Debt, RotationRecord } from "./record.ts";
import type { Finding } from "./rotator.ts";
import { Secret } from "./secret.ts";

describe("refused, and nothing is stored:", () => {
  const debt: Debt = {
    version: "v0",
    fingerprint: "f",
    reason: "retired",
    since: 0,
    cutFirst: false,
    attempts: 0,
    notBefore: 0,
  };
  const rotation = { id: "v3", kind: "rotate", urgent: false, requestedBy: "ann", startedAt: 0 } as const;
  const at = { version: "v9", since: 0 };

  test.each<readonly [string, (it: ReturnType<typeof world>) => Partial<RotationRecord>, string]>([
    [
      "what has leaked",
      ({ print }) => ({
        compromised: [{ version: "v9", fingerprint: print(value), reportedBy: "bob", at: 0 }],
      }),
      "this value of app/db is compromised: change it at its target by hand, and import the new one",
    ],
    [
      "what has another value",
      () => ({ current: { ...at, fingerprint: "f" } }),
      "app/db is under Keyturn with another value, version v9: rotate it instead",
    ],
    [
      "what is in the middle of something",
      () => ({ state: { phase: "set", rotation, attempts: 0, notBefore: 0 } }),
      "app/db is in set: import it when that has ended",
    ],
    [
      "what has debts",
      () => ({ debts: [debt] }),
      "app/db has debts, which are paid first; `keyturn status app/db` has them",
    ],
  ])("%s", async (_, changes, message) => {
    const it = world();
    await it.put(changes(it));
    expect(await it.failure()).toMatchObject({ code: "request-refused", message });
    expect(await it.current()).toBeUndefined();
    const findings = await adoptable(ref, it.ports, value);
    expect(findings.find(({ check }) => check === "record")).toEqual({
      check: "record",
      ok: false,
      message,
      code: "request-refused",
    });
  });

  test("what has leaked, by a key that is not the newest any more", async () => {
    const { ports, put } = world();
    const { fingerprinter } = ports;
    const candidates = (text: string) => [fingerprinter.fingerprint(text), "by an older key"];
    await put({ compromised: [{ version: "v9", fingerprint: "by an older key", reportedBy: "bob", at: 0 }] });
    const turned = { ...ports, fingerprinter: { ...fingerprinter, candidates } };
    await expect(adopt(ref, turned, value, "ann")).rejects.toMatchObject({ code: "request-refused" });
  });

  test("another login that administers itself", async () => {
    const it = world({ managed: { admin: ref } });
    await it.keep("v1", other);
    await it.put({ current: { version: "v1", fingerprint: it.print(other), since: 0 } });
    expect(await it.failure()).toMatchObject({ message: expect.stringContaining("with another value") });
  });

  test("of a type that cannot take over", async () => {
    const { failure } = world({ verbs: { adopt: undefined } });
    expect(await failure()).toMatchObject({
      code: "request-refused",
      message: "type model-both-live cannot take over what is there",
    });
  });

  test.each<readonly [string, Given, Secret, string, number]>([
    ["a config that cannot be", { managed: { config: { owner: 7 } } }, value, "config-invalid", 0],
    ["a value that cannot be", {}, new Secret('{"username":"app"}'), "credential-invalid", 0],
    ["a value that does not log in", {}, secretOf("wrong"), "login-refused", 3],
  ])("%s", async (_, given, brought, code, asked) => {
    const { ports, current, contexts } = world(given);
    await expect(adopt(ref, ports, brought, "ann")).rejects.toMatchObject({ code });
    expect(await current()).toBeUndefined();
    expect(contexts).toHaveLength(asked);
  });

  const good: Finding = { check: "network", ok: true, message: "open", code: "unreachable" };
  const superuser: Finding = { check: "login", ok: false, message: "a superuser", code: "config-invalid" };
  const member: Finding = { check: "role", ok: false, message: "no member", code: "config-invalid" };
  const plain: Finding = { check: "size", ok: false, message: "full" };

  test.each<readonly [string, readonly Finding[], string]>([
    ["config-invalid", [good, superuser, member], "login: a superuser; role: no member"],
    ["target-rejected", [superuser, plain], "login: a superuser; size: full"],
    ["target-rejected", [plain], "size: full"],
  ])("what is not ready: %s", async (code, findings, list) => {
    const { failure, current } = world({ verbs: { preflight: async () => findings } });
    expect(await failure()).toMatchObject({ code, message: `not ready for an import: ${list}` });
    expect(await current()).toBeUndefined();
  });
});

describe("a value that somebody stored before", () => {
  const bringOver = async (stored: Secret, verdict: "refused" | "accepted" | "unknown") => {
    const it = world({ verbs: { refused: async () => verdict } });
    await it.keep("v1", stored);
    return { it, outcome: await it.bring().catch((thrown: unknown) => thrown) };
  };

  test.each([
    ["is dead", other, "refused"],
    ["is the same credential in other words", secretOf(password, "theirs"), "accepted"],
    ["is none that the type can read", new Secret("just words"), "accepted"],
  ] as const)("makes room where it %s", async (_, stored, verdict) => {
    const { it, outcome } = await bringOver(stored, verdict);
    expect(outcome).toMatchObject({ answer: "imported" });
    expect((await it.current())?.value.reveal()).toBe(value.reveal());
    expect(await it.ports.store.read(ref, "previous")).toMatchObject({ version: "v1" });
  });

  test.each(["accepted", "unknown"] as const)("stays where it is %s", async (verdict) => {
    const { it, outcome } = await bringOver(other, verdict);
    expect(outcome).toMatchObject({
      code: "request-refused",
      message:
        "app/db has another value in the store, version v1, which its target may accept: import that one by --from-store",
    });
    expect((await it.current())?.version).toBe("v1");
  });

  test.each([
    ["the same credential in other words", secretOf(password, "theirs"), "imported"],
    ["another one", other, "request-refused"],
    ["none that the type can read", new Secret("just words"), "request-refused"],
  ] as const)("and that the record knows is replaced only where it is %s", async (_, stored, expected) => {
    const it = world();
    await it.keep("v1", stored);
    await it.put({ current: { version: "v1", fingerprint: it.print(stored), since: 0 } });
    const outcome = await it.bring().then(
      ({ answer }) => answer,
      ({ code }: KeyturnError) => code,
    );
    expect(outcome).toBe(expected);
  });

  test("and whose like is a value with other secrets besides is another one", async () => {
    const fields = (of: Secret) =>
      of === value ? { password: new Secret("a"), token: new Secret("b") } : { password: new Secret("a") };
    const it = world({ verbs: { secretFields: fields, refused: async () => "accepted" } });
    await it.keep("v1", other);
    expect(await it.failure()).toMatchObject({ code: "request-refused" });
  });
});

describe("where others move meanwhile", () => {
  const conflict = new KeyturnError("conflict", "moved");
  const counted = (fail: (times: number) => Error | undefined) => {
    let times = 0;
    return {
      times: () => times,
      next: async () => {
        times += 1;
        const failure = fail(times);
        if (failure !== undefined) throw failure;
      },
    };
  };

  test.each([
    ["conflict", "conflict", 10],
    ["fence-conflict", "conflict", 10],
    ["superseded", "conflict", 10],
    ["unreachable", "unreachable", 1],
  ] as const)(
    "a mark that comes to %s ends as %s, after so many tries: %i",
    async (code, expected, tries) => {
      const calls = counted(() => new KeyturnError(code, "moved"));
      const { failure } = world({ verbs: { adopt: calls.next } });
      expect(await failure()).toMatchObject({ code: expected, message: "moved" });
      expect(calls.times()).toBe(tries);
    },
  );

  test.each([
    ["was overtaken is put aside", "conflict", undefined],
    ["may have been published stays, and is gone on with", "unreachable", expect.any(String)],
  ] as const)("a candidate that %s", async (_, code, left) => {
    const { failure, ports } = world({
      store: () => ({ promote: () => Promise.reject(new KeyturnError(code, "no answer")) }),
    });
    expect(await failure()).toMatchObject({ code });
    expect((await ports.store.read(ref, "pending"))?.version).toEqual(left);
  });

  test.each([
    ["before it was claimed", 1, 3],
    ["afterwards", 2, 4],
  ])("a record that was saved meanwhile, %s, is looked at again", async (_, failing, saves) => {
    const calls = counted((times) => (times === failing ? conflict : undefined));
    const { bring } = world({
      journal: (own) => ({
        save: async (record, revision) => {
          await calls.next();
          return own.save(record, revision);
        },
      }),
    });
    expect((await bring()).answer).toBe("imported");
    expect(calls.times()).toBe(saves);
  });

  test.each(["changed", "gone"])("a value that is %s once it was stored is found out", async (how) => {
    let reads = 0;
    const { failure } = world({
      store: (own) => ({
        read: async (name, which) => {
          const stored = await own.read(name, which);
          if (which !== "current" || stored === undefined) return stored;
          reads += 1;
          // Whenever an import looks at it for the last time.
          if (reads % 3 !== 1) return stored;
          return how === "changed" ? { ...stored, version: `v${reads}` } : undefined;
        },
      }),
    });
    expect(await failure()).toMatchObject({
      code: "conflict",
      message: "current of app/db was changed in the store meanwhile",
    });
  });
});
