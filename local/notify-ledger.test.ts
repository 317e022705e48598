import { readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { condition, notice } from "../notify/channels.contract.ts";
import type { LedgerChange } from "../notify/ledger.ts";
import { temporaryFolder } from "./folder.contract.ts";
import { openNotifyLedger } from "./notify-ledger.ts";

const day = 24 * 60 * 60_000;
const now = Date.UTC(2026, 0, 1);

async function openIn(folder: string) {
  const ledger = await openNotifyLedger(join(folder, "notify.db"), now);
  onTestFinished(() => ledger[Symbol.dispose]());
  return ledger;
}

function tell(channel: string, ...ids: readonly string[]): LedgerChange {
  return { tell: ids.map((id) => ({ channel, notice: { ...notice, id } })), closed: [], told: [] };
}

test("what waits is kept in its order for each channel, and survives whoever wrote it", async () => {
  const folder = temporaryFolder();
  const first = await openIn(folder);
  await first.record(tell("oncall", "a", "b"), now);
  await first.record(tell("chat", "a"), now + 1);
  first[Symbol.dispose]();
  const second = await openIn(folder);
  const waiting = await second.waiting("oncall", 10);
  expect(waiting).toMatchObject([
    { notice: { ...notice, id: "a" }, at: now },
    { notice: { ...notice, id: "b" }, at: now },
  ]);
  await second.settle(waiting[0]?.sequence ?? 0, now);
  expect((await second.waiting("oncall", 10)).map((one) => one.notice.id)).toEqual(["b"]);
  expect(await second.waiting("chat", 10)).toHaveLength(1);
  expect(await second.waiting("oncall", 0)).toEqual([]);
});

test("what a channel was given is not given to it again, settled or not, for longer than events are kept", async () => {
  const ledger = await openIn(temporaryFolder());
  const ids = async () => (await ledger.waiting("oncall", 10)).map((one) => one.notice.id);
  await ledger.record(tell("oncall", "a", "b"), now);
  const [a] = await ledger.waiting("oncall", 1);
  await ledger.settle(a?.sequence ?? 0, now);
  await ledger.record(tell("oncall", "a", "b"), now + 7 * day);
  expect(await ids()).toEqual(["b"]);
  await ledger.record(tell("oncall"), now + 9 * day);
  await ledger.record(tell("oncall", "a"), now + 9 * day);
  expect(await ids()).toEqual(["b", "a"]);
});

test("open conditions are kept for each channel; closing and opening one at once leaves the new one", async () => {
  const ledger = await openIn(temporaryFolder());
  const row = { channel: "oncall", condition, toldAt: now, reminders: 0 };
  const other = { ...row, channel: "chat" };
  await ledger.record({ tell: [], closed: [], told: [row, other] }, now);
  expect(await ledger.told(condition.secret)).toEqual([other, row]);
  expect(await ledger.told("another/one")).toEqual([]);
  expect(await ledger.toldRefs()).toEqual([condition.secret]);
  const again = { ...row, condition: { ...condition, id: "again" }, reminders: 2 };
  const closed = [{ channel: "oncall", key: condition.key }];
  await ledger.record({ tell: [], closed, told: [again] }, now);
  expect(await ledger.told(condition.secret)).toEqual([other, again]);
  await ledger.record(
    { tell: [], closed: [...closed, { ...closed[0], channel: "chat" } as never], told: [] },
    now,
  );
  expect(await ledger.toldRefs()).toEqual([]);
});

test("the place in the events is kept", async () => {
  const folder = temporaryFolder();
  const ledger = await openIn(folder);
  expect(await ledger.place()).toBeUndefined();
  for (const place of [0, 7, 12]) {
    await ledger.setPlace(place);
    expect(await (await openIn(folder)).place()).toBe(place);
  }
});

test("news for a channel that takes none does not fill the disk; what a person must see is kept", async () => {
  const ledger = await openIn(temporaryFolder());
  const news = Array.from({ length: 10_500 }, (_, index) => ({
    channel: "oncall",
    notice: { ...notice, status: "told" as const, id: `news/${index}` },
  }));
  await ledger.record({ tell: news, closed: [], told: [] }, now);
  await ledger.record(tell("oncall", "halted"), now);
  const kept = (await ledger.waiting("oncall", 20_000)).map((one) => one.notice.id);
  expect(kept).toHaveLength(10_001);
  expect(kept.at(-1)).toBe("halted");
});

test("a broken file is put aside, said, and replaced", async () => {
  const folder = temporaryFolder();
  const path = join(folder, "notify.db");
  writeFileSync(path, "this is no database, and it is longer than its header would be".repeat(20));
  const ledger = await openIn(folder);
  expect(ledger.replaced).toBe(`${path}.broken-${now}`);
  await ledger.record(tell("oncall", "a"), now);
  expect(readdirSync(folder)).toContain(`notify.db.broken-${now}`);
  expect((await openIn(folder)).replaced).toBeUndefined();
});

test("nobody else may read it", async () => {
  const folder = temporaryFolder();
  await openIn(folder);
  expect(statSync(join(folder, "notify.db")).mode & 0o777).toBe(0o600);
});
