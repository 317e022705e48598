import { areAlike } from "./alike.ts";
import { asKeyturnError, KeyturnError } from "./errors.ts";
import { markToRetire, unlessItPasses } from "./finish-import.ts";
import type { Outcome } from "./outcome.ts";
import type { StoredSecret } from "./ports.ts";
import type { Debt } from "./record.ts";
import type { Mark, RawContext, Residue } from "./rotator.ts";
import { isSameLogin, namesOf } from "./same-login.ts";
import { contextOf, markOf, protect, read, type Stand } from "./stand.ts";
import { rotationOf } from "./transition.ts";

/** Makes the target refuse what is owed, proves it, and only then puts it aside. What is in use is spared, except where somebody has asked to cut it first. */
export async function settle(stand: Stand, debt: Debt, asks: boolean): Promise<Outcome> {
  const { ports, rotator, record } = stand;
  const owed = await ports.store.read(record.ref, { version: debt.version });
  if (owed === undefined) return settleUnread(stand, debt);
  protect(stand, owed.value);
  const [pending, current, context] = await Promise.all([
    ports.store.read(record.ref, "pending"),
    read(stand, "current"),
    contextOf(stand, debt.version, debt.fingerprint),
  ]);
  const candidate = pending?.version === rotationOf(record.state)?.id ? pending : undefined;
  const [isCurrents, isCandidates] = [current, candidate].map(
    (stored) => stored !== undefined && areAlike(rotator, stored.value, owed.value),
  );
  if (isCurrents && current !== undefined && debt.reason === "leaked") {
    const mark = markOf(stand, current);
    const isKnown = record.current?.version === mark.version && isSameLogin(record, debt, mark);
    if (!isKnown) return { step: "settle", debt, result: "named", current: mark };
  }
  const spares = isCurrents ? current : isCandidates ? candidate : undefined;
  if (spares !== undefined && !debt.cutFirst) {
    throw new KeyturnError(
      "not-proven",
      `${debt.version} has the login of ${spares.version}, which is in use`,
    );
  }
  if (asks) {
    const usage = await rotator.usage(owed.value, context);
    if (usage !== undefined && usage.sessions > 0) {
      return { step: "settle", debt, result: "in-use", clients: usage.clients };
    }
  }
  await assertNotInPlaceOfCurrent(stand, debt, owed, context);
  const residue = await retire(stand, debt, owed, context);
  if (pending?.version === debt.version) await ports.store.discardPending(record.ref, debt.version);
  if (current?.version !== debt.version) await ports.store.disable(record.ref, debt.version);
  return { step: "settle", debt, result: "refused", ...residue };
}

/**
 * The one login of a cutover type is current's. Where it may hold what another rotation had made, that is what readers use: it is refused by
 * setting current again, and not by shutting the login.
 */
async function assertNotInPlaceOfCurrent(
  { rotator, record }: Stand,
  { reason }: Debt,
  owed: StoredSecret,
  context: RawContext,
): Promise<void> {
  if (rotator.overlap !== "cutover" || reason !== "foreign") return;
  const verdict = await rotator.refused(owed.value, context);
  if (verdict === "unknown") assertRefused(owed, verdict);
  if (verdict === "refused") return;
  throw new KeyturnError(
    "not-proven",
    `the target accepts ${owed.version} in place of current: \`keyturn doctor --fix\` sets current again, and so does the next rotation of ${record.ref}`,
  );
}

/** Its mark at the target may tell the login in other words: it is retired by those, too. */
async function retire(stand: Stand, debt: Debt, owed: StoredSecret, context: RawContext): Promise<Residue> {
  const { rotator } = stand;
  let { sessionsEnded, survives } = await retireMarked(stand, debt, owed, context);
  let verdict = await rotator.refused(owed.value, context);
  const words = otherWords(stand, debt, owed);
  // Whoever has a leaked login may keep the target from giving a clear answer.
  while (verdict === "accepted" || (verdict === "unknown" && debt.reason === "leaked")) {
    const { value: fingerprint } = await words.next();
    if (fingerprint === undefined) break;
    const more = await rotator.retire(owed.value, { ...context, fence: { ...context.fence, fingerprint } });
    sessionsEnded += more.sessionsEnded;
    survives = more.survives;
    verdict = await rotator.refused(owed.value, context);
  }
  assertRefused(owed, verdict);
  return { sessionsEnded, survives };
}

/** An import that has died may have left it without a mark, and no login is shut without one. */
async function retireMarked(
  stand: Stand,
  debt: Debt,
  owed: StoredSecret,
  context: RawContext,
): Promise<Residue> {
  const { rotator } = stand;
  try {
    return await rotator.retire(owed.value, context);
  } catch (thrown) {
    if (asKeyturnError(thrown).code !== "not-managed" || debt.reason !== "leaked") throw thrown;
  }
  await markToRetire(stand, owed);
  return rotator.retire(owed.value, context);
}

async function* otherWords(
  { ports, rotator, record }: Stand,
  debt: Debt,
  owed: StoredSecret,
): AsyncGenerator<string, undefined> {
  const known = new Set([debt.fingerprint]);
  const names = namesOf(record, debt.version).slice(1);
  const previous = debt.reason === "leaked" ? rotationOf(record.state)?.previous?.version : undefined;
  for (const version of previous === undefined ? names : [...names, previous]) {
    const stored = await ports.store.read(record.ref, { version }).catch(unlessItPasses);
    if (stored === undefined || !areAlike(rotator, stored.value, owed.value)) continue;
    for (const words of ports.fingerprinter.candidates(stored.value.reveal())) {
      if (!known.has(words)) yield words;
      known.add(words);
    }
  }
  return undefined;
}

/**
 * The store has disabled the value, which it does only once it was proven refused, or has lost it. A target that was restored from a backup may
 * let it in again: its own mark tells by which login.
 */
async function settleUnread(stand: Stand, debt: Debt): Promise<Outcome> {
  const { rotator, record } = stand;
  const gone = { step: "settle", debt, result: "gone", sessionsEnded: 0, survives: [] } as const;
  const inUse = [record.current, rotationOf(record.state)?.pending];
  const isInUse = inUse.some((mark) => mark !== undefined && isSameLogin(record, mark, debt));
  // A cutover type's one login is never shut for a value that the next set replaces.
  if (rotator.overlap === "cutover" || isInUse) return gone;
  const context = await contextOf(stand, debt.version, debt.fingerprint);
  const live = await liveMark(stand, debt, context);
  if (live === undefined) return gone;
  const residue = await rotator.cut?.(live.login, context);
  if (residue !== undefined && (await liveMark(stand, debt, context)) === undefined) {
    return { step: "settle", debt, result: "refused", ...residue };
  }
  throw new KeyturnError(
    "not-proven",
    `${debt.version} is not proven refused: the target still lets in ${live.login}`,
  );
}

async function liveMark(
  { rotator, ports, record }: Stand,
  debt: Debt,
  context: RawContext,
): Promise<Mark | undefined> {
  const marks = await rotator.inspect(context);
  return marks?.find(
    ({ ref, installation, fingerprint, accepts }) =>
      ref === record.ref &&
      installation === ports.installation &&
      fingerprint === debt.fingerprint &&
      accepts,
  );
}

export async function proveRefused(stand: Stand, stored: StoredSecret, context: RawContext): Promise<void> {
  assertRefused(stored, await stand.rotator.refused(stored.value, context));
}

function assertRefused({ version }: StoredSecret, verdict: "refused" | "accepted" | "unknown"): void {
  if (verdict === "refused") return;
  const what = verdict === "accepted" ? "the target still accepts it" : "the target gives no clear answer";
  throw new KeyturnError("not-proven", `${version} is not proven refused: ${what}`);
}
