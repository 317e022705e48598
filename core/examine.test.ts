import { describe, expect, test } from "vitest";
import { memoryAuditLog } from "../local/memory.ts";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { seal, type UnsealedEntry } from "./audit.ts";
import { KeyturnError } from "./errors.ts";
import { examine, type Verdict } from "./examine.ts";
import { createFingerprinter } from "./fingerprint.ts";
import type { Ports, StoredVersion } from "./ports.ts";
import { newRecord, type RotationRecord } from "./record.ts";
import type { Finding, Mark, RawContext, Rotator } from "./rotator.ts";
import { Secret } from "./secret.ts";

const ref = "app/db";
const secretOf = (version: string) =>
  new Secret(JSON.stringify({ username: "app_a", password: `q9Xv2LmT8rZk4WcN-${version}` }));
const key = (id: string, byte: number) => ({ id, bytes: new Uint8Array(32).fill(byte) });
const mark = (fingerprint: string): Mark => ({
  login: "app_a",
  verb: "set",
  epoch: 3,
  seen: 3,
  fingerprint,
  rotationId: "v1",
  ref,
  installation: "test",
  accepts: true,
});
const finding: Finding = { check: "rights", ok: true, message: "it may make logins" };

/** A store with these versions, the newest first, and a target that says of each what is told here. */
function world(told: Partial<Rotator> = {}, stored: readonly StoredVersion[] = []) {
  const asked: { readonly verb: string; readonly value?: string; readonly context: RawContext }[] = [];
  const ask = (verb: string, context: RawContext, value?: Secret) =>
    asked.push({ verb, context, ...(value && { value: value.reveal() }) });
  const rotator: Rotator = {
    ...modelTarget().bothLive,
    inspect: async (context) => {
      ask("inspect", context);
      return undefined;
    },
    refused: async (value, context) => {
      ask("refused", context, value);
      return "accepted";
    },
    preflight: async (context) => {
      ask("preflight", context);
      return [finding];
    },
    ...told,
  };
  const { ports: memory, lines, clock } = memoryPorts(rotator);
  const readable = new Set(stored.map(({ version }) => version));
  const store: Ports["store"] = {
    ...memory.store,
    versions: async () => stored,
    read: async (_, which) => {
      const version = typeof which === "object" && "version" in which ? which.version : "";
      return readable.has(version) ? { ref, version, value: secretOf(version), createdAt: 5 } : undefined;
    },
  };
  const ports: Ports = { ...memory, store };
  return { ports, asked, lines, clock, readable };
}

const version = (name: string, stage?: StoredVersion["stage"], disabled = false): StoredVersion => ({
  version: name,
  stage,
  createdAt: 5,
  disabled,
});
const printOf = (ports: Ports, name: string) => ports.fingerprinter.fingerprint(secretOf(name).reveal());
const loginOf = (ports: Ports, name: string) => {
  const { username, password } = JSON.parse(secretOf(name).reveal());
  return ports.fingerprinter.fingerprint(
    JSON.stringify([JSON.stringify([username]), ["password", password]]),
  );
};
const noChain = {
  end: { sequence: 0, hash: "" },
  fault: undefined,
  unwritten: [],
  isForked: false,
  epoch: 0,
  compromised: [],
};

describe("an examination", () => {
  test("tells all that is there, and changes nothing", async () => {
    const versions = [version("v2", "pending"), version("v1", "current"), version("v0")];
    const { ports, asked } = world({}, versions);
    const record: RotationRecord = { ...newRecord(ref), epoch: 3 };
    await ports.journal.save(record, undefined);
    const revision = await ports.journal.save(record, 1);
    expect(await examine(ref, ports)).toEqual({
      ref,
      installation: "test",
      overlap: "both-live",
      record,
      recordFault: undefined,
      revision,
      versions,
      tried: versions.map(({ version: name, stage }) => ({
        version: name,
        stage,
        createdAt: 5,
        fingerprint: printOf(ports, name),
        verdict: "accepted",
        login: loginOf(ports, name),
      })),
      marks: undefined,
      findings: [finding],
      unasked: undefined,
      chain: noChain,
    });
    const fence = (rotationId: string, fingerprint: string) => {
      return { installation: "test", ref, rotationId, epoch: 3, fingerprint };
    };
    expect(asked.map(({ verb, value, context }) => [verb, value, context.fence])).toEqual([
      ["inspect", undefined, fence("doctor", "")],
      ...["v2", "v1", "v0"].map((name) => [
        "refused",
        secretOf(name).reveal(),
        fence(name, printOf(ports, name)),
      ]),
      ["preflight", undefined, fence("doctor", "")],
    ]);
    expect((await ports.journal.load(ref))?.revision).toBe(revision);
  });

  test("knows versions that hold one login in other words, in whatever order their fields come", async () => {
    const versions = [version("v2", "current"), version("v1"), version("v0")];
    const fields = (value: Secret) => {
      const [one, other] = [new Secret("one word"), new Secret("another")];
      if (value.equals(secretOf("v2"))) return { password: one, token: other };
      return value.equals(secretOf("v1")) ? { token: other, password: one } : { password: one };
    };
    const { ports } = world({ secretFields: fields, accountOf: () => "app" }, versions);
    const [second, first, before] = (await examine(ref, ports)).tried;
    expect(second?.login).toBe(first?.login);
    expect(before?.login).not.toBe(first?.login);
  });

  test("takes what has no field of a login for itself alone", async () => {
    const versions = [version("v1", "current"), version("v0")];
    const { ports } = world({ secretFields: () => ({}) }, versions);
    const { tried } = await examine(ref, ports);
    expect(tried.map(({ login }) => login)).toEqual([printOf(ports, "v1"), printOf(ports, "v0")]);
  });

  test("of what Keyturn was just given finds nothing", async () => {
    const { ports } = world();
    expect(await examine(ref, ports)).toMatchObject({
      record: undefined,
      recordFault: undefined,
      revision: undefined,
      tried: [],
      chain: noChain,
    });
  });

  test("says why the journal does not give its record, and looks at the rest", async () => {
    const { ports } = world({}, [version("v1", "current")]);
    const fault = new KeyturnError("data-broken", "row 3");
    const journal = { ...ports.journal, load: () => Promise.reject(fault) };
    expect(await examine(ref, { ...ports, journal })).toMatchObject({
      record: undefined,
      recordFault: fault,
      revision: undefined,
      tried: [{ version: "v1" }],
    });
  });
});

describe("the versions", () => {
  const many = Array.from({ length: 12 }, (_, at) => version(`old ${at}`));

  test("are tried where they have a stage, and of the rest the newest eight", async () => {
    const { ports } = world({}, [version("v2", "pending"), ...many, version("v1", "current")]);
    const { tried } = await examine(ref, ports);
    const eight = many.slice(0, 8).map((one) => one.version);
    expect(tried.map((one) => one.version)).toEqual(["v2", ...eight, "v1"]);
  });

  test("are not tried where nobody can read them, and count for nothing", async () => {
    const shut = Array.from({ length: 9 }, (_, at) => version(`shut ${at}`, undefined, true));
    const { ports } = world({}, [version("v2", "previous", true), ...shut, version("v0")]);
    expect((await examine(ref, ports)).tried).toMatchObject([{ version: "v0" }]);
  });

  test("are passed over where they went meanwhile", async () => {
    const { ports, readable } = world({}, [version("v1", "current"), version("v0")]);
    readable.delete("v1");
    expect(await examine(ref, ports)).toMatchObject({ tried: [{ version: "v0" }], unasked: undefined });
  });

  test("have the verdict of the target", async () => {
    const verdicts: Readonly<Record<string, Verdict>> = { v2: "refused", v1: "unknown", v0: "accepted" };
    const refused: Rotator["refused"] = async (_, { fence }) => verdicts[fence.rotationId] ?? "unknown";
    const { ports } = world({ refused }, [version("v2"), version("v1"), version("v0")]);
    const { tried } = await examine(ref, ports);
    expect(Object.fromEntries(tried.map((one) => [one.version, one.verdict]))).toEqual(verdicts);
  });

  test("are known by the fingerprint that the target knows, though the key was replaced since", async () => {
    const older = createFingerprinter([key("k1", 1)]);
    const marks = ["v1", "v9"].map((name) => mark(older.fingerprint(secretOf(name).reveal())));
    const versions = [version("v1", "current"), version("v0")];
    const { ports, asked } = world({ inspect: async () => marks }, versions);
    const renewed = { ...ports, fingerprinter: createFingerprinter([key("k2", 2), key("k1", 1)]) };
    const examined = await examine(ref, renewed);
    expect(examined.marks).toEqual(marks);
    expect(examined.tried).toMatchObject([
      { version: "v1", fingerprint: marks[0]?.fingerprint },
      { version: "v0", fingerprint: printOf(renewed, "v0") },
    ]);
    expect(asked[0]?.context.fence.fingerprint).toBe(marks[0]?.fingerprint);
  });

  test("are in no line of the log, as a whole or in part", async () => {
    const { password } = JSON.parse(secretOf("v1").reveal());
    const refused: Rotator["refused"] = async (value, { log }) => {
      log("info", `tried ${value.reveal()} with ${password}`);
      return "accepted";
    };
    const { ports, lines } = world({ refused }, [version("v1", "current")]);
    await examine(ref, ports);
    expect(lines.join()).toContain("tried");
    expect(lines.join()).not.toContain(password);
  });
});

describe("a target that cannot be asked", () => {
  const first = new KeyturnError("unreachable", "first");
  const later = new KeyturnError("timeout", "later");
  const failing = (error: Error) => () => Promise.reject(error);

  test("is said with the first reason; the rest is asked nevertheless", async () => {
    const versions = [version("v1", "current")];
    const { ports } = world({ inspect: failing(first), preflight: failing(later) }, versions);
    expect(await examine(ref, ports)).toMatchObject({
      unasked: first,
      marks: undefined,
      findings: [],
      tried: [{ version: "v1" }],
    });
  });

  test("leaves out what it could not be asked of", async () => {
    let calls = 0;
    const refused: Rotator["refused"] = async () => {
      calls += 1;
      if (calls === 1) throw later;
      return "refused";
    };
    const { ports } = world({ refused }, [version("v1", "current"), version("v0")]);
    expect(await examine(ref, ports)).toMatchObject({
      unasked: later,
      findings: [finding],
      tried: [{ version: "v0", verdict: "refused" }],
    });
  });
});

describe("the chain", () => {
  const said = (action: string, changes: Partial<UnsealedEntry> = {}): UnsealedEntry => ({
    ref,
    at: 10,
    actor: "worker",
    action,
    epoch: 1,
    detail: "",
    ...changes,
  });
  function sealed(...words: readonly UnsealedEntry[]) {
    const chain = [];
    let end = { sequence: 0, hash: "" };
    for (const one of words) {
      const entry = seal(one, end);
      chain.push(entry);
      end = { sequence: entry.sequence, hash: entry.hash };
    }
    return { chain, end };
  }

  /** What is read of a log with so many of the entries, where the record has the others in its outbox. */
  async function chainOf(written: readonly ReturnType<typeof seal>[], record?: Partial<RotationRecord>) {
    const { ports } = world();
    const audit = memoryAuditLog();
    for (const entry of written) await audit.append(entry);
    if (record !== undefined) await ports.journal.save({ ...newRecord(ref), ...record }, undefined);
    return (await examine(ref, { ...ports, audit })).chain;
  }
  const outbox = (entries: readonly ReturnType<typeof seal>[]) => ({
    outbox: { entries: [...entries], events: [], attempts: 0 },
  });
  const { chain, end } = sealed(said("a", { epoch: 4 }), said("b", { epoch: 9 }), said("c", { epoch: 5 }));

  test("has its end, and the greatest epoch, wherever that stands", async () => {
    const expected = { ...noChain, end, epoch: 9 };
    expect(await chainOf(chain)).toEqual(expected);
    expect(await chainOf(chain, { audit: end })).toEqual(expected);
  });

  test("has the rest in the outbox of the record", async () => {
    const known = { audit: end, ...outbox(chain.slice(1)) };
    const [one, two] = chain;
    const endAt = (entry = one) => ({ sequence: entry?.sequence, hash: entry?.hash });
    expect(await chainOf(chain.slice(0, 1), known)).toEqual({
      ...noChain,
      end: endAt(one),
      epoch: 4,
      unwritten: chain.slice(1),
    });
    expect(await chainOf(chain.slice(0, 2), known)).toMatchObject({
      end: endAt(two),
      fault: undefined,
      unwritten: chain.slice(2),
      isForked: false,
    });
    expect(await chainOf(chain, known)).toMatchObject({ fault: undefined, unwritten: [], isForked: false });
  });

  test("has parted where another entry stands in the place of one that waits", async () => {
    const known = { audit: end, ...outbox(chain.slice(2)) };
    const other = sealed(said("a", { epoch: 4 }), said("b", { epoch: 9 }), said("x"));
    const parted = { isForked: true, unwritten: chain.slice(2), fault: undefined };
    expect(await chainOf(other.chain, known)).toMatchObject(parted);
    expect(await chainOf(other.chain.slice(0, 2), known)).toMatchObject({ ...parted, isForked: false });
  });

  test("has a fault where it is shorter than the record knows", async () => {
    const cutOff = { fault: { kind: "cut-off", sequence: 1 }, isForked: false };
    expect(await chainOf(chain.slice(0, 1), { audit: end })).toMatchObject(cutOff);
    const known = { audit: end, ...outbox(chain.slice(2)) };
    expect(await chainOf(chain.slice(0, 1), known)).toMatchObject({ ...cutOff, unwritten: chain.slice(2) });
  });

  test("has a fault where it cannot be read, whatever the reason, and keeps what was read", async () => {
    for (const code of ["data-broken", "audit-unavailable"] as const) {
      const { ports } = world();
      const audit = {
        ...ports.audit,
        async *read() {
          yield* chain.slice(0, 2);
          throw new KeyturnError(code, "line 3");
        },
      };
      expect((await examine(ref, { ...ports, audit })).chain).toMatchObject({
        end: { sequence: 2 },
        epoch: 9,
        fault: { kind: "unreadable", sequence: 3 },
      });
    }
  });

  test("tells what was reported as leaked, and when it was seen refused", async () => {
    const { chain: told } = sealed(
      said("debt.paid", { version: "v1", at: 1 }),
      said("emergency.requested", { version: "v1", actor: "eve", at: 2 }),
      said("emergency.requested", { version: "v2", actor: "bob", at: 3 }),
      said("emergency.requested", { actor: "nobody", at: 4 }),
      said("debt.paid", { version: "v3", at: 5 }),
      said("debt.paid", { at: 6 }),
      said("retire.done", { version: "v2", at: 7 }),
      said("debt.paid", { version: "v1", at: 8 }),
      said("set.done", { version: "v1", at: 9 }),
    );
    expect((await chainOf(told)).compromised).toEqual([
      { version: "v1", reportedBy: "eve", at: 2, refusedAt: 8 },
      { version: "v2", reportedBy: "bob", at: 3 },
    ]);
  });
});
