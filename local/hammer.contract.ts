import { writeSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { seal } from "../core/audit.ts";
import { asKeyturnError } from "../core/errors.ts";
import type { RotationEvent } from "../core/events.ts";
import { newRecord } from "../core/record.ts";
import { Secret } from "../core/secret.ts";
import { type LocalStore, openLocal } from "./open.ts";

/**
 * A process that works on a store as fast as it can, for tests of several at once and of ones that are killed. It says on
 * standard output what is acknowledged, a line each, so that a test can ask whether all of it is still there.
 *
 * - `count <times>`: adds one to a shared record, so many times, by compare-and-set, and as often an entry to a shared chain.
 * - `work <name>`: rotations of a secret of its own, over every port, until it is killed.
 */
async function main(path: string, key: string, task: string, argument: string): Promise<void> {
  const local = await openLocal({ path, key, environment: {} });
  say("open");
  if (task === "count") await count(local, Number(argument));
  else await work(local, argument);
  await local.close();
}

async function count(local: LocalStore, times: number): Promise<void> {
  for (let done = 0; done < times; done += 1) {
    await untilItFits(async () => {
      const loaded = await local.journal.load("counter");
      const record = loaded?.record ?? newRecord("counter");
      await local.journal.save({ ...record, epoch: record.epoch + 1 }, loaded?.revision);
    });
    await untilItFits(async () => {
      const chain = await Array.fromAsync(local.audit.read("counter"));
      const words = {
        ref: "counter",
        at: 0,
        actor: `${process.pid}`,
        action: "added",
        epoch: done,
        detail: "",
      };
      await local.audit.append(seal(words, chain.at(-1) ?? { sequence: 0, hash: "" }));
    });
  }
}

/** A conflict means that the other process was faster. */
async function untilItFits(addition: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await addition();
    } catch (thrown) {
      if (asKeyturnError(thrown).code !== "conflict") throw thrown;
    }
    await setImmediate();
  }
}

async function work(local: LocalStore, ref: string): Promise<void> {
  for (;;) {
    const loaded = await local.journal.load(ref);
    const record = loaded?.record ?? newRecord(ref);
    const epoch = record.epoch + 1;
    const version = `v${epoch}`;
    const value = new Secret(`canary of ${ref} ${version}`);
    await local.store.savePending(ref, version, value).catch(unlessConflict);
    say(`saved ${version}`);
    const expected = epoch === 1 ? undefined : `v${epoch - 1}`;
    await local.store.promote(ref, version, expected);
    say(`promoted ${version}`);
    const words = {
      ref,
      at: epoch,
      actor: "worker",
      action: "promoted",
      epoch,
      detail: "x".repeat(epoch % 3_000),
    };
    const entry = seal(words, record.audit);
    await local.audit.append(entry);
    say(`audited ${epoch}`);
    await local.bus.publish(event(ref, epoch));
    say(`published ${epoch}`);
    await local.journal.report(
      [
        {
          ref,
          agent: "host",
          fleet: "agents",
          sequence: epoch,
          adopted: version,
          inUse: [version],
          holds: [],
        },
      ],
      epoch,
    );
    say(`reported ${epoch}`);
    const audit = { sequence: entry.sequence, hash: entry.hash };
    await local.journal.save({ ...record, epoch, audit, dueAt: epoch }, loaded?.revision);
    say(`recorded ${epoch}`);
  }
}

/** One that was killed between promote and record begins with what it had promoted. */
function unlessConflict(thrown: unknown): void {
  if (asKeyturnError(thrown).code !== "conflict") throw thrown;
}

function event(ref: string, epoch: number): RotationEvent {
  return {
    specversion: "1.0",
    id: `${ref}/${epoch}/rotated`,
    source: "keyturn/test",
    subject: ref,
    time: "2026-01-01T00:00:00.000Z",
    datacontenttype: "application/json",
    type: "dev.keyturn.secret.rotated.v1",
    data: { epoch, version: `v${epoch}`, urgent: false },
  };
}

/** At once, whatever becomes of this process. */
function say(line: string): void {
  writeSync(1, `${line}\n`);
}

const [, , path, key, task, argument] = process.argv;
if (path === undefined || key === undefined || task === undefined || argument === undefined) {
  throw new Error("usage: hammer <folder> <key file> count|work <argument>");
}
await main(path, key, task, argument);
