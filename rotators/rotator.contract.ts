import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Rotator } from "../core/rotator.ts";
import { Secret } from "../core/secret.ts";
import { startProxy } from "../integration/tcp-proxy.ts";
import { type AgentSession, cut, Steps, type Target } from "./steps.contract.ts";

/** What every credential type promises. Each type's own test calls this, and adds what is peculiar to it. */
export function describeRotator(
  name: string,
  harness: {
    readonly rotator: Rotator;
    arrange(): Promise<Target>;
    /** The provider makes the credential: it is live at once, in no place that another one had. */
    readonly mints?: boolean;
    /** The target knows no sessions: each request is a login of its own. */
    readonly knowsNoSessions?: boolean;
  },
): void {
  const { rotator, mints = false, knowsNoSessions = false } = harness;
  let target: Target;
  let steps: Steps;
  const sessions: AgentSession[] = [];
  const everythingSaid: string[] = [];
  const everySecret: string[] = [];
  let traces = "";

  const open = async (value: Secret) => {
    const session = await target.open(value);
    sessions.push(session);
    return session;
  };
  const code = (expected: string) => expect.objectContaining({ code: expected });

  describe(`${name} keeps the rotator's contract`, () => {
    beforeEach(async () => {
      target = await harness.arrange();
      steps = new Steps(rotator, target);
    });

    afterEach(async () => {
      for (const session of sessions.splice(0)) await session.close();
      everythingSaid.push(...steps.said);
      everySecret.push(...steps.secrets);
      traces = await target.traces();
    });

    afterAll(() => {
      expect(everySecret.length).toBeGreaterThan(10);
      const texts = [...everythingSaid, traces].join("\n");
      for (const secret of everySecret) {
        const base64 = Buffer.from(secret).toString("base64");
        expect(texts.includes(secret) || texts.includes(base64), "a secret was said").toBe(false);
      }
    });

    test("a first credential is set, tested, and used", async () => {
      const value = await steps.first();
      expect(await (await open(value)).works()).toBe(true);
      expect(await steps.refused(value)).toBe("accepted");
    });

    test("create gives something new each time, and touches nothing", async () => {
      const [one, two] = [await steps.create(), await steps.create()];
      expect(one.equals(two)).toBe(false);
      expect(await steps.refused(one)).not.toBe("accepted");
    });

    test("every verb may run twice", async () => {
      const value = await steps.first();
      await steps.set(1, value);
      await steps.test(1, value);
      const session = await open(value);
      await steps.set(1, value);
      expect(await session.works()).toBe(true);
      expect((await steps.retire(2, value)).sessionsEnded).toBe(knowsNoSessions ? 0 : 1);
      expect((await steps.retire(2, value)).sessionsEnded).toBe(0);
      expect(await steps.refused(value)).toBe("refused");
      expect(await steps.refused(value)).toBe("refused");
    });

    test("a whole rotation: current goes on through set, and its end touches nobody else", async () => {
      const old = await steps.first();
      const atWork = await open(old);
      const value = await steps.create(old);
      await steps.set(2, value, old);
      await steps.test(2, value, old);
      if (rotator.overlap === "both-live") {
        expect(await atWork.works()).toBe(true);
        expect(await (await open(old)).works()).toBe(true);
      }
      const changedOver = await open(value);
      await steps.retire(3, old);
      expect(await atWork.works()).toBe(false);
      expect(await steps.refused(old)).toBe("refused");
      await expect(target.open(old)).rejects.toThrow();
      expect(await changedOver.works()).toBe(true);
      expect(await steps.refused(value)).toBe("accepted");
    });

    test("retiring what was replaced touches nothing", async () => {
      const [one, three] = await replaced();
      const session = await open(three);
      expect((await steps.retire(6, one)).sessionsEnded).toBe(0);
      expect(await session.works()).toBe(true);
      expect(await steps.refused(three)).toBe("accepted");
      expect(await steps.refused(one)).toBe("refused");
    });

    test("what was superseded changes nothing", async () => {
      const one = await steps.first();
      const late = await steps.create(one);
      const two = await steps.create(one);
      await steps.set(5, two, one);
      await expect(steps.set(4, late, one)).rejects.toEqual(code("superseded"));
      await expect(steps.retire(4, two)).rejects.toEqual(code("superseded"));
      await steps.test(5, two, one);
      expect(await steps.refused(late)).not.toBe("accepted");
    });

    test("a set that was stopped on its way does not come back after its undo", async () => {
      const one = await steps.first();
      const never = await steps.create(one);
      await steps.retire(3, never);
      await expect(steps.set(2, never, one)).rejects.toEqual(code("superseded"));
      expect(await steps.refused(never)).toBe("refused");
      expect(await steps.refused(one)).toBe("accepted");
    });

    test("nor where its place had another credential all along", async () => {
      const [one, three] = await replaced();
      const never = target.inPlaceOf(three, await steps.create(one));
      await steps.retire(8, never);
      await expect(steps.set(7, never)).rejects.toEqual(code("superseded"));
      expect(await steps.refused(three)).toBe("accepted");
    });

    test("two rotations at one epoch stop each other", async () => {
      const one = await steps.first();
      const other = await steps.create(one);
      const two = await steps.create(one);
      await steps.set(2, two, one);
      const another = { fence: { rotationId: "another" } };
      await expect(steps.set(2, other, one, another)).rejects.toEqual(code("fence-conflict"));
      await steps.test(2, two, one);
    });

    if (rotator.overlap === "both-live") {
      test("what a rotation marks as its own stops neither its successor nor its end, in whatever words it is told", async () => {
        const one = await steps.first();
        const two = await steps.create(one);
        const worded = new Secret(` ${one.reveal()}`);
        await steps.run(2, worded, {}, async (context) => rotator.adopt?.(worded, context));
        await steps.set(2, two, one);
        await steps.test(2, two, one);
        await steps.retire(3, one);
        await steps.retire(3, worded);
        expect([await steps.refused(one), await steps.refused(two)]).toEqual(["refused", "accepted"]);
      });
    }

    test("one value is not both set and retired at one epoch", async () => {
      const one = await steps.first();
      const two = await steps.create(one);
      await steps.set(2, two, one);
      await expect(steps.retire(2, two)).rejects.toEqual(code("fence-conflict"));
      await steps.retire(3, two);
      await expect(steps.set(3, two, one)).rejects.toEqual(code("fence-conflict"));
      expect(await steps.refused(two)).toBe("refused");
    });

    test("a debt may be paid and the next value set at one epoch", async () => {
      const one = await steps.first();
      const owed = await steps.create(one);
      await steps.set(2, owed, one);
      await steps.retire(3, owed);
      const next = await steps.create(one);
      await steps.set(3, next, one);
      await steps.test(3, next, one);
      expect(await steps.refused(owed)).toBe("refused");
    });

    test("another installation's credential is not taken over", async () => {
      const value = await steps.first();
      const foreign = { fence: { installation: "other" } };
      await expect(
        steps.set(9, target.inPlaceOf(value, await steps.create()), undefined, foreign),
      ).rejects.toEqual(code("not-managed"));
      await expect(steps.retire(9, value, foreign)).rejects.toEqual(code("not-managed"));
      await expect(steps.retire(9, value, { fence: { ref: "team/other" } })).rejects.toEqual(
        code("not-managed"),
      );
      expect(await steps.refused(value)).toBe("accepted");
    });

    test("a rollback sets the old value again, and its users notice nothing", async () => {
      const old = await steps.first();
      const atWork = await open(old);
      const value = await steps.create(old);
      await steps.set(2, value, old);
      await steps.set(3, old, value);
      await steps.test(3, old, value);
      if (rotator.overlap === "both-live") expect(await atWork.works()).toBe(true);
      await steps.retire(4, value);
      expect(await steps.refused(value)).toBe("refused");
      expect(await steps.refused(old)).toBe("accepted");
    });

    test("a value that was retired can be set again, by a rollback", async () => {
      const old = await steps.first();
      const value = await steps.create(old);
      await steps.set(2, value, old);
      await steps.retire(3, old);
      await steps.set(4, old, value);
      await steps.test(4, old, value);
    });

    if (!mints) {
      test("an owed value is refused, and its sessions end, by the set that takes its place", async () => {
        const one = await steps.first();
        const owed = await steps.create(one);
        await steps.set(2, owed, one);
        const session = await open(owed);
        const next = target.inPlaceOf(owed, await steps.create(one));
        await steps.set(3, next, one);
        if (rotator.overlap === "cutover") expect((await steps.retire(3, owed)).sessionsEnded).toBe(1);
        expect(await session.works()).toBe(false);
        expect(await steps.refused(owed)).toBe("refused");
        await steps.test(3, next, one);
      });
    }

    if (rotator.overlap === "cutover") {
      test("the old credential is refused from set on, and its sessions go on until retire", async () => {
        const old = await steps.first();
        const atWork = await open(old);
        const value = await steps.create(old);
        await steps.set(2, value, old);
        expect(await steps.refused(old)).toBe("refused");
        expect(await atWork.works()).toBe(true);
        expect((await steps.retire(3, old)).sessionsEnded).toBe(1);
        expect(await atWork.works()).toBe(false);
      });

      test("a candidate that is taken back is refused and its sessions end, and current's go on", async () => {
        const old = await steps.first();
        const atWork = await open(old);
        const value = await steps.create(old);
        await steps.set(2, value, old);
        const early = await open(value);
        await steps.set(3, old, value);
        expect((await steps.retire(3, value)).sessionsEnded).toBe(1);
        expect(await early.works()).toBe(false);
        expect(await atWork.works()).toBe(true);
        expect(await steps.refused(value)).toBe("refused");
        expect(await steps.refused(old)).toBe("accepted");
      });
    }

    test("an administering login that is refused changes nothing, and is called so", async () => {
      const value = await steps.first();
      const admin = { admin: target.wrongAdmin };
      await expect(steps.set(2, await steps.create(value), value, admin)).rejects.toEqual(
        code("admin-refused"),
      );
      await expect(steps.retire(2, value, admin)).rejects.toEqual(code("admin-refused"));
      expect(await steps.refused(value)).toBe("accepted");
    });

    test("a credential that the target refuses fails the test as such", async () => {
      const one = await steps.first();
      const never = await steps.create(one);
      if (mints) await steps.retire(2, never);
      await expect(steps.test(2, never, one)).rejects.toEqual(code("login-refused"));
    });

    test("out of reach is not refused", async () => {
      const value = await steps.first();
      const proxy = await startProxy(target.address);
      await proxy.close();
      const config = target.withPort(proxy.port);
      expect(await steps.refused(value, { config })).toBe("unknown");
      const next = await steps.create(value);
      const there = mints ? next : await steps.create(value, { config });
      await expect(steps.set(2, next, value, { config })).rejects.toEqual(code("unreachable"));
      await expect(steps.test(2, there, value, { config })).rejects.toEqual(code("unreachable"));
      await expect(steps.retire(2, value, { config })).rejects.toEqual(code("unreachable"));
      expect(await steps.refused(value)).toBe("accepted");
    });

    test("a verb ends soon after its deadline, whatever the target does", async () => {
      const value = await steps.first();
      const proxy = await startProxy(target.address);
      try {
        proxy.silence(1);
        const hurry = { config: target.withPort(proxy.port), deadlineMs: 150 };
        const next = await steps.create(value);
        const there = mints ? next : await steps.create(value, hurry);
        const began = performance.now();
        await expect(steps.set(2, next, value, hurry)).rejects.toEqual(code("timeout"));
        await expect(steps.test(2, there, value, hurry)).rejects.toEqual(code("timeout"));
        expect(await steps.refused(value, hurry)).toBe("unknown");
        expect(performance.now() - began).toBeLessThan(3_000);
      } finally {
        await proxy.close();
      }
    });

    test.each(["before", "after"] as const)(
      "every call may be cut off %s it arrives, and made again",
      async (when) => {
        const proxy = await startProxy(target.address);
        const config = target.withPort(proxy.port);
        try {
          let current = await steps.first();
          let cuts = 0;
          for (let chunk = 1, epoch = 2; ; chunk++, epoch += 2) {
            const next = await steps.create(current, { config });
            const old = current;
            const torn = [
              await cut(proxy, chunk, when, () => steps.set(epoch, next, old, { config })),
              await cut(proxy, chunk, when, () => steps.test(epoch, next, old, { config })),
              await cut(proxy, chunk, when, () => steps.retire(epoch + 1, old, { config })),
            ];
            await steps.test(epoch, next, undefined, { config });
            expect(await steps.refused(next)).toBe("accepted");
            expect(await steps.refused(old)).toBe("refused");
            current = next;
            cuts += torn.filter(Boolean).length;
            if (!torn.some(Boolean)) break;
          }
          expect(cuts).toBeGreaterThan(4);
        } finally {
          await proxy.close();
        }
      },
    );

    /** One was retired, and three lives where it lived. */
    async function replaced(): Promise<[Secret, Secret]> {
      const one = await steps.first();
      const two = await steps.create(one);
      await steps.set(2, two, one);
      await steps.retire(3, one);
      const three = await steps.create(two);
      await steps.set(4, three, two);
      await steps.retire(5, two);
      return [one, three];
    }
  });
}
