import { describe, expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { type AuditEntry, seal } from "./audit.ts";
import { commit, flush } from "./commit.ts";
import { KeyturnError } from "./errors.ts";
import type { RotationEvent } from "./events.ts";
import { newRecord } from "./record.ts";
import type { Transition } from "./transition.ts";

const ref = "app/db";
const at = Date.UTC(2026, 0, 1);
const { bothLive } = modelTarget();

const draft = {
  type: "dev.keyturn.secret.retired.v1",
  step: "retired/v1",
  data: { epoch: 7, version: "v1", sessionsEnded: 2 },
} as const;
const event: RotationEvent = {
  specversion: "1.0",
  id: "app/db/7/retired/v1",
  source: "keyturn/test",
  subject: ref,
  time: "2026-01-01T00:00:00.000Z",
  datacontenttype: "application/json",
  type: draft.type,
  data: draft.data,
};
/** The entry of a note that follows the one before. */
const sealed = (action: string, end: AuditEntry | undefined, changes: Partial<AuditEntry> = {}): AuditEntry =>
  seal(
    { ref, at, actor: "worker", action, epoch: 7, version: undefined, detail: "", ...changes },
    { sequence: end?.sequence ?? 0, hash: end?.hash ?? "" },
  );
const one = sealed("one", undefined);
const two = sealed("two", one);
const three = sealed("three", two);

describe("commit", () => {
  const record = { ...newRecord(ref), epoch: 7 };
  const transition: Transition = {
    record: {
      ...record,
      audit: { sequence: 1, hash: one.hash },
      outbox: { entries: [one], events: [event], attempts: 3 },
    },
    notes: [
      { action: "two", detail: "it is so", version: "v1", actor: "ann" },
      { action: "three", detail: "" },
    ],
    events: [draft],
  };

  test("saves the change with what is to be written and told of it, behind what is there already", async () => {
    const { ports } = memoryPorts(bothLive);
    const second = sealed("two", one, { detail: "it is so", version: "v1", actor: "ann" });
    const third = sealed("three", second);
    const saved = {
      ...transition.record,
      audit: { sequence: 3, hash: third.hash },
      outbox: { entries: [one, second, third], events: [event, event], attempts: 3 },
    };
    expect(await commit(ports, undefined, transition, "worker")).toEqual({ record: saved, revision: 1 });
    expect(await ports.journal.load(ref)).toEqual({ record: saved, revision: 1 });
  });

  test("of what somebody else has moved meanwhile is a conflict, and changes nothing", async () => {
    const { ports } = memoryPorts(bothLive);
    await commit(ports, undefined, { record, notes: [], events: [] }, "worker");
    await expect(commit(ports, undefined, transition, "worker")).rejects.toMatchObject({ code: "conflict" });
    expect(await ports.journal.load(ref)).toEqual({ record, revision: 1 });
  });
});

describe("flush", () => {
  const down = new KeyturnError("unreachable", "no answer");
  const withOutbox = (entries: AuditEntry[], events: RotationEvent[], attempts: number) => ({
    ...newRecord(ref),
    outbox: { entries, events, attempts },
  });
  /** Ports whose audit or bus fails from the n-th call on. */
  function failing(auditFrom: number, busFrom: number) {
    const { ports, lines } = memoryPorts(bothLive);
    const written: AuditEntry[] = [];
    const told: RotationEvent[] = [];
    return {
      lines,
      written,
      told,
      ports: {
        ...ports,
        audit: {
          ...ports.audit,
          append: async (entry: AuditEntry) => {
            if (written.length >= auditFrom) throw down;
            written.push(entry);
          },
        },
        bus: {
          publish: async (published: RotationEvent) => {
            if (told.length >= busFrom) throw down;
            told.push(published);
          },
        },
      },
    };
  }
  const waits = 'warn the outbox waits {"code":"unreachable","reason":"no answer"}';
  const all = Number.POSITIVE_INFINITY;

  test("of an empty outbox asks nobody, and gives the very record", async () => {
    const { ports } = failing(0, 0);
    const record = withOutbox([], [], 4);
    expect(await flush(ports, record)).toBe(record);
  });

  test.each([
    ["entries", [one, two], []],
    ["events", [], [event, event]],
  ] as const)("writes and tells all there is, also where there are only %s", async (_, entries, events) => {
    const { ports, written, told, lines } = failing(all, all);
    const after = await flush(ports, withOutbox([...entries], [...events], 4));
    expect(after).toEqual(withOutbox([], [], 0));
    expect([written, told, lines]).toEqual([entries, events, []]);
  });

  test("keeps what was not written, in order, from the first that failed on, and says so", async () => {
    const { ports, written, told, lines } = failing(1, all);
    const after = await flush(ports, withOutbox([one, two, three], [event], 4));
    expect(after).toEqual(withOutbox([two, three], [], 5));
    expect([written, told, lines]).toEqual([[one], [event], [waits]]);
  });

  test("keeps what was not told, and tries again", async () => {
    const { ports, written, lines } = failing(all, 0);
    const after = await flush(ports, withOutbox([one], [event, event], 18));
    expect(after).toEqual(withOutbox([], [event, event], 19));
    expect([written, lines]).toEqual([[one], [waits]]);
  });

  test("gives up events that were refused twenty times, and never entries", async () => {
    const { ports } = failing(0, 0);
    const after = await flush(ports, withOutbox([one], [event], 19));
    expect(after).toEqual(withOutbox([one], [], 20));
  });
});
