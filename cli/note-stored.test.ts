import { expect, test } from "vitest";
import { KeyturnError } from "../core/errors.ts";
import type { Journal } from "../core/ports.ts";
import { newRecord } from "../core/record.ts";
import { verifyAudit } from "../core/verify-audit.ts";
import { memoryAuditRoots } from "../local/memory-audit.ts";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { noteStored } from "./note-stored.ts";

const stored = { ref: "ops/hook", version: "v2", actor: "ann", detail: "stored by hand: value" };

function world() {
  const { ports } = memoryPorts(modelTarget().bothLive);
  const verdict = async () => {
    const { chains } = await verifyAudit(
      { audit: ports.audit, journal: ports.journal, roots: memoryAuditRoots([]) },
      { installation: ports.installation },
    );
    return chains;
  };
  return { ports, verdict };
}

test("what was only ever held has a chain without a record", async () => {
  const { ports, verdict } = world();
  await noteStored(ports, stored);
  await noteStored(ports, { ...stored, version: "v3" });
  expect(await verdict()).toEqual([{ ref: "ops/hook", entries: 2, fault: undefined }]);
  expect(await ports.journal.load("ops/hook")).toBeUndefined();
});

test("what was rotated before goes on behind its record, and the audit verifies", async () => {
  const { ports, verdict } = world();
  await ports.journal.save({ ...newRecord("ops/hook"), epoch: 4 }, undefined);
  await noteStored(ports, stored);
  await noteStored(ports, stored);
  expect(await verdict()).toEqual([{ ref: "ops/hook", entries: 2, fault: undefined }]);
  const [entry] = await Array.fromAsync(ports.audit.read("ops/hook"));
  expect(entry).toMatchObject({
    action: "put",
    actor: "ann",
    epoch: 4,
    version: "v2",
    detail: stored.detail,
  });
  expect((await ports.journal.load("ops/hook"))?.record).toMatchObject({
    audit: { sequence: 2 },
    outbox: { entries: [] },
  });
});

test("of several at once each is written", async () => {
  const { ports, verdict } = world();
  await ports.journal.save(newRecord("ops/hook"), undefined);
  await Promise.all(["v1", "v2", "v3"].map((version) => noteStored(ports, { ...stored, version })));
  expect(await verdict()).toEqual([{ ref: "ops/hook", entries: 3, fault: undefined }]);
});

test("an audit that cannot be written is told, and not tried for ever", async () => {
  const { ports } = world();
  const journal: Journal = {
    ...ports.journal,
    load: () => Promise.reject(new KeyturnError("journal-unavailable", "no")),
  };
  await expect(noteStored({ ...ports, journal }, stored)).rejects.toMatchObject({
    code: "journal-unavailable",
  });
});
