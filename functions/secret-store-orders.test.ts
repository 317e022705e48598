import { RotateSecretCommand } from "@aws-sdk/client-secrets-manager";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SecretStore } from "../core/ports.ts";
import { Secret } from "../core/secret.ts";
import { everyOrder, frozenAfter } from "../integration/aws/orders.ts";
import type { Strictness } from "../integration/aws/strict-secrets-manager/secret.ts";
import { idOf, type StrictWorld, strictWorld } from "../integration/aws/strict-secrets-manager/world.ts";
import { awsSecretStore } from "./secret-store.ts";

const [v1, v2, v3, v4, v5] = ["v1", "v2", "v3", "v4", "v5"].map(idOf) as [
  string,
  string,
  string,
  string,
  string,
];
const value = (text: string) => new Secret(JSON.stringify({ password: text }));
const conflict = { code: "conflict" };

describe.each<[string, string, Partial<Strictness>, boolean]>([
  ["removed at once", "at once", {}, false],
  ["removed at once", "by whoever has looked, as a step does", {}, true],
  ["kept", "at once", { vanish: "later" }, false],
  ["kept", "by whoever has looked, as a step does", { vanish: "later" }, true],
  [
    "removed at once, also by a put that does not name it",
    "as a step does",
    { putDropsOtherLabels: true },
    true,
  ],
])("with what has no label %s, saved %s", (_removed, _saved, strictness, looks) => {
  let world: StrictWorld;
  let names = 0;
  beforeAll(async () => {
    world = await strictWorld(strictness);
  });
  afterAll(() => world[Symbol.asyncDispose]());

  /** A store with a client of its own, so that it can be stopped before each of its calls. The number says which. */
  const clients: ReturnType<StrictWorld["client"]>[] = [];
  const worker = (number = 0) => {
    const client = clients[number] ?? world.client();
    clients[number] = client;
    const clock = { now: () => world.service.now() };
    const create = { tags: {} };
    return { client, store: awsSecretStore({ client, clock, log: () => undefined, create }) };
  };

  /** A secret with v1 current; with v2 pending, if wanted. */
  const secretWith = async (...pending: readonly string[]) => {
    names += 1;
    const ref = `team/secret_${names}`;
    const { store } = worker();
    await rotateTo(store, ref, v1, undefined);
    for (const each of pending) await store.savePending(ref, each, value(each));
    return { ref, store };
  };

  const stages = async (store: SecretStore, ref: string) => ({
    pending: (await store.read(ref, "pending"))?.version,
    current: (await store.read(ref, "current"))?.version,
    previous: (await store.read(ref, "previous"))?.version,
  });

  type Verb = (store: SecretStore, ref: string) => Promise<unknown>;
  const save =
    (id: string, text: string = id): Verb =>
    async (store, ref) => {
      if (looks) await store.read(ref, { pendingFor: id });
      return store.savePending(ref, id, value(text));
    };
  const discard =
    (id: string): Verb =>
    (store, ref) =>
      store.discardPending(ref, id);
  const promote =
    (id: string, expected: string | undefined): Verb =>
    (store, ref) =>
      store.promote(ref, id, expected);

  type Judge = (
    fulfilled: readonly boolean[],
    outcomes: readonly PromiseSettledResult<unknown>[],
    store: SecretStore,
    ref: string,
  ) => Promise<void>;
  /** Each verb by a worker of its own. */
  const scene = (
    { ref, store }: Awaited<ReturnType<typeof secretWith>>,
    verbs: readonly Verb[],
    judge: Judge,
  ) => ({
    actors: verbs.map((verb, index) => {
      const { client, store: its } = worker(index + 1);
      return { client, act: () => verb(its, ref) };
    }),
    judge: async (outcomes: readonly PromiseSettledResult<unknown>[]) => {
      for (const outcome of outcomes) {
        if (outcome.status === "rejected") expect(outcome.reason).toMatchObject(conflict);
      }
      const fulfilled = outcomes.map(({ status }) => status === "fulfilled");
      await judge(fulfilled, outcomes, store, ref);
    },
  });

  const meet = (pending: readonly string[], verbs: readonly Verb[], judge: Judge) =>
    everyOrder(async () => scene(await secretWith(...pending), verbs, judge));

  test("two saves of one rotation: both are told the same value", async () => {
    const orders = await meet(
      [],
      [save(v2, "one"), save(v2, "two")],
      async (fulfilled, outcomes, store, ref) => {
        expect(fulfilled).toEqual([true, true]);
        const saved = (await store.read(ref, "pending"))?.value.reveal();
        for (const outcome of outcomes) {
          expect(Object(Object(outcome).value.value).reveal()).toBe(saved);
        }
        expect(await stages(store, ref)).toEqual({ pending: v2, current: v1, previous: undefined });
      },
    );
    expect(orders).toBeGreaterThan(10);
  });

  test("the saves of two rotations: one is pending, and the other is told so", async () => {
    const orders = await meet([], [save(v2), save(v3)], async (fulfilled, _outcomes, store, ref) => {
      expect(fulfilled.filter(Boolean)).toHaveLength(1);
      expect(await stages(store, ref)).toMatchObject({ pending: fulfilled[0] ? v2 : v3, current: v1 });
    });
    expect(orders).toBeGreaterThan(10);
  });

  test("a save and a discard of one rotation: nothing is pending, and it can never be saved", async () => {
    const orders = await meet([], [save(v2), discard(v2)], async (_fulfilled, _outcomes, store, ref) => {
      expect(await stages(store, ref)).toMatchObject({ pending: undefined, current: v1 });
      await expect(store.savePending(ref, v2, value("again"))).rejects.toMatchObject(conflict);
      await rotateTo(store, ref, v3, v1);
      expect(await stages(store, ref)).toEqual({ pending: undefined, current: v3, previous: v1 });
    });
    expect(orders).toBeGreaterThan(10);
  });

  test("a promote and a discard: one of them counts, wholly", async () => {
    const orders = await meet([v2], [promote(v2, v1), discard(v2)], async ([promoted], _, store, ref) => {
      const current = promoted ? v2 : v1;
      expect(await stages(store, ref)).toMatchObject({ pending: undefined, current });
      await rotateTo(store, ref, v3, current);
    });
    expect(orders).toBeGreaterThan(5);
  });

  test("two promotes: both are done", async () => {
    await meet([v2], [promote(v2, v1), promote(v2, v1)], async (fulfilled, _, store, ref) => {
      expect(fulfilled).toEqual([true, true]);
      expect(await stages(store, ref)).toEqual({ pending: undefined, current: v2, previous: v1 });
    });
  });

  test("a promote, and the next rotation's save", async () => {
    await meet([v2], [promote(v2, v1), save(v3)], async ([promoted, saved], _, store, ref) => {
      expect(promoted).toBe(true);
      expect(await stages(store, ref)).toEqual({
        pending: saved ? v3 : undefined,
        current: v2,
        previous: v1,
      });
    });
  });

  test("a discard, and the next rotation's save", async () => {
    await meet([v2], [discard(v2), save(v3)], async ([discarded, saved], _, store, ref) => {
      expect(discarded).toBe(true);
      expect(await stages(store, ref)).toMatchObject({ pending: saved ? v3 : undefined, current: v1 });
      await expect(store.savePending(ref, v2, value("again"))).rejects.toMatchObject(conflict);
    });
  });

  describe("into the empty version of a rotation that Secrets Manager has begun", () => {
    const rotator = "arn:aws:lambda:eu-west-1:111122223333:function:rotate";
    /** The secret has v1 current, and AWSPENDING is on v2, which has no value. */
    const meetBegun = (verbs: readonly Verb[], judge: Judge) =>
      everyOrder(async () => {
        const { ref, store } = await secretWith();
        world.service.functions.set(rotator, async () => undefined);
        const begin = { SecretId: ref, ClientRequestToken: v2, RotationLambdaARN: rotator };
        await worker().client.send(new RotateSecretCommand(begin));
        await world.service.settled();
        return scene({ ref, store }, verbs, judge);
      });

    test("two saves: both are told the same value", async () => {
      const orders = await meetBegun(
        [save(v2, "one"), save(v2, "two")],
        async (fulfilled, outcomes, store, ref) => {
          expect(fulfilled).toEqual([true, true]);
          const saved = (await store.read(ref, "pending"))?.value.reveal();
          for (const outcome of outcomes) expect(Object(Object(outcome).value.value).reveal()).toBe(saved);
          await store.promote(ref, v2, v1);
          expect(await stages(store, ref)).toEqual({ pending: undefined, current: v2, previous: v1 });
        },
      );
      expect(orders).toBeGreaterThan(5);
    });

    test("a save, and an emergency that puts the id aside and saves its own: the emergency's is pending, and stays so", async () => {
      const emergency: Verb = async (store, ref) => {
        await store.discardPending(ref, v2);
        return save(v3)(store, ref);
      };
      const orders = await meetBegun([save(v2), emergency], async ([, saved], _, store, ref) => {
        expect(saved).toBe(true);
        expect(await stages(store, ref)).toMatchObject({ pending: v3, current: v1 });
        await expect(store.savePending(ref, v2, value("again"))).rejects.toMatchObject(conflict);
        await store.promote(ref, v3, v1);
        expect(await stages(store, ref)).toEqual({ pending: undefined, current: v3, previous: v1 });
      });
      expect(orders).toBeGreaterThan(10);
    });
  });

  /** What others do to the secret while somebody is frozen, and how the stages have to be afterwards, whenever it goes on. */
  const anotherRotation = async (store: SecretStore, ref: string) => rotateTo(store, ref, v3, v1);
  interface Story {
    readonly frozen: string;
    readonly pending: readonly string[];
    readonly verb: Verb;
    readonly meanwhile: string;
    readonly others: readonly Verb[];
    readonly end: Awaited<ReturnType<typeof stages>>;
  }
  /** AWS removes nothing that is younger than a day: within that time even what lost its pin is known to have been used. */
  const whileKept: readonly Story[] = [
    {
      frozen: "a save",
      pending: [],
      verb: save(v2),
      meanwhile: "its own rotation went through, two others did, and its value was paid",
      others: [
        save(v2, "other"),
        promote(v2, v1),
        (store, ref) => rotateTo(store, ref, v3, v2),
        (store, ref) => rotateTo(store, ref, v4, v3),
        (store, ref) => store.disable(ref, v2),
      ],
      end: { pending: undefined, current: v4, previous: v3 },
    },
  ];
  test.each<Story>([
    ...(strictness.vanish === "later" ? whileKept : []),
    {
      frozen: "a save",
      pending: [],
      verb: save(v2),
      meanwhile: "its rotation was undone, and another went through",
      others: [discard(v2), anotherRotation],
      end: { pending: undefined, current: v3, previous: v1 },
    },
    {
      frozen: "a save",
      pending: [],
      verb: save(v2),
      meanwhile: "its rotation was undone, another went through, and a third is under way",
      others: [discard(v2), anotherRotation, save(v4)],
      end: { pending: v4, current: v3, previous: v1 },
    },
    {
      frozen: "a save",
      pending: [],
      verb: save(v2),
      meanwhile: "its own rotation went through, another did, and a third was undone",
      others: [
        save(v2, "other"),
        promote(v2, v1),
        (store, ref) => rotateTo(store, ref, v3, v2),
        save(v4),
        discard(v4),
      ],
      end: { pending: undefined, current: v3, previous: v2 },
    },
    {
      frozen: "a promote",
      pending: [v2],
      verb: promote(v2, v1),
      meanwhile: "another worker promoted, and another rotation went through",
      others: [promote(v2, v1), (store, ref) => rotateTo(store, ref, v3, v2)],
      end: { pending: undefined, current: v3, previous: v2 },
    },
    {
      frozen: "a promote",
      pending: [v2],
      verb: promote(v2, v1),
      meanwhile: "another worker promoted, and another rotation is under way",
      others: [promote(v2, v1), save(v3)],
      end: { pending: v3, current: v2, previous: v1 },
    },
    {
      frozen: "a promote",
      pending: [v2],
      verb: promote(v2, v1),
      meanwhile: "its rotation was undone, and another went through",
      others: [discard(v2), anotherRotation],
      end: { pending: undefined, current: v3, previous: v1 },
    },
    {
      frozen: "a discard",
      pending: [v2],
      verb: discard(v2),
      meanwhile: "another worker discarded, and another rotation is under way",
      others: [discard(v2), save(v3)],
      end: { pending: v3, current: v1, previous: undefined },
    },
    {
      frozen: "a discard",
      pending: [v2],
      verb: discard(v2),
      meanwhile: "another worker discarded, and another rotation went through",
      others: [discard(v2), anotherRotation],
      end: { pending: undefined, current: v3, previous: v1 },
    },
    {
      frozen: "a discard of what was never saved",
      pending: [],
      verb: discard(v2),
      meanwhile: "another rotation went through, and a third is under way",
      others: [anotherRotation, save(v4)],
      end: { pending: v4, current: v3, previous: v1 },
    },
    {
      frozen: "a disable",
      pending: [],
      verb: (store, ref) => store.disable(ref, v1),
      meanwhile: "two rotations went through",
      others: [anotherRotation, (store, ref) => rotateTo(store, ref, v4, v3)],
      end: { pending: undefined, current: v4, previous: v3 },
    },
  ])("$frozen that was frozen before any of its calls displaces nothing: $meanwhile", async (story) => {
    let boundaries = 0;
    for (let calls = 0; ; calls += 1) {
      const { ref, store } = await secretWith(...story.pending);
      const { client, store: its } = worker(1);
      const { wasFrozen } = await frozenAfter(
        calls,
        { client, act: () => story.verb(its, ref) },
        async () => {
          for (const other of story.others) await other(store, ref);
        },
      );
      if (!wasFrozen) break;
      boundaries += 1;
      expect(await stages(store, ref), `frozen before call ${calls + 1}`).toEqual(story.end);
      // Nothing that was left behind is in the way of the next one.
      if (story.end.pending !== undefined) await store.promote(ref, story.end.pending, story.end.current);
      await rotateTo(store, ref, v5, story.end.pending ?? story.end.current);
      expect(await stages(store, ref)).toMatchObject({ pending: undefined, current: v5 });
    }
    expect(boundaries).toBeGreaterThanOrEqual(1);
  });

  test("what has been saved and discarded since somebody looked is refused to them, be it the same value", async () => {
    const { ref, store } = await secretWith();
    const { client, store: its } = worker(1);
    const { outcome } = await frozenAfter(1, { client, act: () => save(v2)(its, ref) }, async () => {
      await save(v2)(store, ref);
      await discard(v2)(store, ref);
    });
    expect(outcome).toMatchObject({ status: "rejected", reason: conflict });
  });

  test("and so is what was half saved when they looked", async () => {
    const { ref, store } = await secretWith();
    const { store: its } = worker(1);
    const { client, store: others } = worker(2);
    let late: PromiseSettledResult<unknown> | undefined;
    await frozenAfter(2, { client, act: () => save(v2)(others, ref) }, async () => {
      expect(await its.read(ref, { pendingFor: v2 })).toBeUndefined();
      await save(v2)(store, ref);
      await discard(v2)(store, ref);
      [late] = await Promise.allSettled([its.savePending(ref, v2, value(v2))]);
    });
    expect(late).toMatchObject({ status: "rejected", reason: conflict });
  });

  test("of what the store cannot prevent there is one thing: a promote that looked before the very candidate was discarded", async () => {
    const { ref, store } = await secretWith(v2);
    const { client, store: its } = worker(1);
    const promoting = { client, act: () => promote(v2, v1)(its, ref) };
    await frozenAfter(1, promoting, () => store.discardPending(ref, v2));
    expect(await stages(store, ref)).toEqual({ pending: undefined, current: v2, previous: v1 });
  });
});

async function rotateTo(
  store: SecretStore,
  ref: string,
  version: string,
  expected: string | undefined,
): Promise<void> {
  await store.savePending(ref, version, value(version));
  await store.promote(ref, version, expected);
}
