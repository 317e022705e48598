import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { SecretStore, StoredSecret, Which } from "./ports.ts";
import { Secret } from "./secret.ts";

export interface OpenedStore {
  readonly store: SecretStore;
  close(): Promise<void>;
  /** A second look at the same data by other means than the first one's: what was promised must not live in memory only. */
  reopen?(): Promise<OpenedStore>;
}

/** For stores that cannot hold every name and id: how those of this suite are written there. Order and beginnings stay as they are; what "" becomes, all begin with. */
export interface Naming {
  ref(name: string): string;
  version(id: string): string;
}

export interface StoreTraits {
  readonly naming?: Naming;
  /** By how much the time of a candidate that was just saved may differ from the store's own, which some do not tell at once. 0 is the default. */
  readonly createdAtSlackMs?: number;
  /** How far apart versions have to be for their times to tell which is the newer one. 0 is the default. */
  readonly createdAtStepMs?: number;
  /** False for an emulator that carries out a move, or a second save, which its service refuses: it cannot show what becomes of saves that meet. */
  readonly refusesLateMoves?: boolean;
}

const ref = "app/db";
const value = (text: string): Secret => new Secret(JSON.stringify({ password: text }));

/** Every promise of `SecretStore`. A store's own test calls this, and adds only what is peculiar to it. */
export function describeSecretStore(
  name: string,
  openPlain: () => Promise<OpenedStore>,
  { naming, createdAtSlackMs = 0, createdAtStepMs = 0, refusesLateMoves = true }: StoreTraits = {},
): void {
  const open = async (): Promise<OpenedStore> =>
    naming === undefined ? openPlain() : renamed(await openPlain(), naming, new Map());
  describe(`${name} as a secret store`, () => {
    let opened: OpenedStore;
    let store: SecretStore;
    beforeEach(async () => {
      opened = await open();
      store = opened.store;
    });
    afterEach(() => opened.close());

    const shown = async (which: "pending" | "current" | "previous"): Promise<string | undefined> =>
      (await store.read(ref, which))?.version;
    const stages = async () => ({
      pending: await shown("pending"),
      current: await shown("current"),
      previous: await shown("previous"),
    });
    const revealed = async (version: string): Promise<string | undefined> =>
      (await store.read(ref, { version }))?.value.reveal();
    /** Saves and promotes each in turn: the last is current, the one before it previous. */
    const promoteAll = async (...versions: readonly string[]): Promise<void> => {
      for (const version of versions) {
        const current = await shown("current");
        await store.savePending(ref, version, value(version));
        await store.promote(ref, version, current);
      }
    };
    const becomeNewer = async (): Promise<void> => {
      if (createdAtStepMs > 0) await new Promise((resolve) => setTimeout(resolve, createdAtStepMs));
    };
    const conflict = { code: "conflict", disposition: "retry" };

    test.each(["pending", "current", "previous"] as const)(
      "what was never there is absent as %s",
      async (stage) => {
        expect(await store.read(ref, stage)).toBeUndefined();
        expect(await store.read(ref, { version: "v1" })).toBeUndefined();
      },
    );

    test("a saved candidate is pending, and readable by its version, whole", async () => {
      const text = JSON.stringify({ password: `"\\\u0000 ü 😀 ${"x".repeat(20_000)}` });
      const saved = await store.savePending(ref, "v1", new Secret(text));
      expect(saved).toMatchObject({ ref, version: "v1" });
      expect(await revealed("v1")).toBe(text);
      const read = await store.read(ref, "pending");
      expect(read?.value.reveal()).toBe(text);
      expect(Math.abs((read?.createdAt ?? 0) - saved.createdAt)).toBeLessThanOrEqual(createdAtSlackMs);
      expect(await stages()).toEqual({ pending: "v1", current: undefined, previous: undefined });
    });

    test("every version that ever had a value is listed, the newest first, with its stage", async () => {
      expect(await store.versions(ref)).toEqual([]);
      for (const version of ["v1", "v2", "v3"]) {
        await promoteAll(version);
        await becomeNewer();
      }
      await store.discardPending(ref, "never saved");
      await store.savePending(ref, "v4", value("v4"));
      const answer = await store.disable(ref, "v1");
      const listed = await store.versions(ref);
      const shown = listed.map(({ version, stage, disabled }) => [version, stage, disabled]);
      const staged = [
        ["v4", "pending", false],
        ["v3", "current", false],
        ["v2", "previous", false],
      ];
      // A store that cannot disable lets go of what nobody wants: it may be gone.
      const isGone = answer === "unsupported" && shown.length === staged.length;
      expect(shown).toEqual(isGone ? staged : [...staged, ["v1", undefined, true]]);
      expect(listed.every(({ createdAt }) => Number.isFinite(createdAt))).toBe(true);
      expect(JSON.stringify(listed)).not.toContain("password");
    });

    test("the first save of a rotation wins, and a second one is told its value", async () => {
      await store.savePending(ref, "v1", value("first"));
      const second = await store.savePending(ref, "v1", value("second"));
      expect(second.value.reveal()).toBe(value("first").reveal());
      expect(await revealed("v1")).toBe(value("first").reveal());
    });

    if (refusesLateMoves) {
      test("of many saves of one rotation at once exactly one wins, and all are told the same value", async () => {
        const all = await Promise.all(
          Array.from({ length: 8 }, (_, index) => store.savePending(ref, "v1", value(`candidate ${index}`))),
        );
        const told = new Set(all.map((saved) => saved.value.reveal()));
        expect(told.size).toBe(1);
        expect(told).toContain(await revealed("v1"));
      });

      test("of many rotations' saves at once exactly one is pending, the others conflict", async () => {
        const all = await Promise.allSettled(
          Array.from({ length: 8 }, (_, index) => store.savePending(ref, `v${index}`, value(`${index}`))),
        );
        const refused = all.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
        expect(refused).toHaveLength(7);
        for (const reason of refused) expect(reason).toMatchObject(conflict);
      });
    }

    test("another rotation's candidate is refused while one is pending, and nothing of it is kept", async () => {
      await store.savePending(ref, "v1", value("v1"));
      await expect(store.savePending(ref, "v2", value("v2"))).rejects.toMatchObject(conflict);
      expect(await store.read(ref, { version: "v2" })).toBeUndefined();
      expect(await shown("pending")).toBe("v1");
    });

    test.each([
      ["promoted", (): Promise<void> => promoteAll("v1")],
      ["promoted, and superseded", (): Promise<void> => promoteAll("v1", "v2")],
      [
        "discarded",
        async (): Promise<void> => {
          await store.savePending(ref, "v1", value("v1"));
          await store.discardPending(ref, "v1");
        },
      ],
      ["discarded before it was ever saved", (): Promise<void> => store.discardPending(ref, "v1")],
    ])("an id that was %s can never be saved again", async (_, arrange) => {
      await arrange();
      await expect(store.savePending(ref, "v1", value("again"))).rejects.toMatchObject(conflict);
      expect(await shown("pending")).toBeUndefined();
      expect(await revealed("v1")).not.toBe(value("again").reveal());
    });

    test("whoever is about to save sees what is pending, and then saves, or is refused as if nobody had looked", async () => {
      const look = async (id: string) => (await store.read(ref, { pendingFor: id }))?.version;
      expect(await look("v1")).toBeUndefined();
      await store.savePending(ref, "v1", value("v1"));
      expect([await look("v1"), await look("v2")]).toEqual(["v1", "v1"]);
      await expect(store.savePending(ref, "v2", value("v2"))).rejects.toMatchObject(conflict);
      await store.promote(ref, "v1", undefined);
      expect([await look("v1"), await look("v2")]).toEqual([undefined, undefined]);
      await expect(store.savePending(ref, "v1", value("again"))).rejects.toMatchObject(conflict);
      // What it has seen may be over by the time it saves.
      await look("v2");
      await store.discardPending(ref, "v2");
      await expect(store.savePending(ref, "v2", value("v2"))).rejects.toMatchObject(conflict);
      await look("v3");
      await store.savePending(ref, "v4", value("v4"));
      await expect(store.savePending(ref, "v3", value("v3"))).rejects.toMatchObject(conflict);
      expect(await stages()).toEqual({ pending: "v4", current: "v1", previous: undefined });
      await store.discardPending(ref, "v4");
      expect(await look("v5")).toBeUndefined();
      await store.savePending(ref, "v5", value("v5"));
      expect(await revealed("v5")).toBe(value("v5").reveal());
      expect(await stages()).toEqual({ pending: "v5", current: "v1", previous: undefined });
    });

    test("a discarded candidate is no longer pending, stays readable by its version, and makes room", async () => {
      await store.savePending(ref, "v1", value("v1"));
      await store.discardPending(ref, "v1");
      await store.discardPending(ref, "v1");
      expect(await shown("pending")).toBeUndefined();
      expect(await revealed("v1")).toBe(value("v1").reveal());
      await store.savePending(ref, "v2", value("v2"));
      expect(await shown("pending")).toBe("v2");
    });

    test("discarding one rotation's candidate leaves another's pending, and a current one current", async () => {
      await promoteAll("v1");
      await store.savePending(ref, "v2", value("v2"));
      await store.discardPending(ref, "v1");
      await store.discardPending(ref, "never saved");
      expect(await stages()).toEqual({ pending: "v2", current: "v1", previous: undefined });
    });

    test("promote moves every stage in one step, and twice is once", async () => {
      await promoteAll("v1", "v2");
      await store.promote(ref, "v2", "v1");
      await store.promote(ref, "v2", "whatever was expected");
      expect(await stages()).toEqual({ pending: undefined, current: "v2", previous: "v1" });
    });

    test.each([
      ["current is not the one expected", "v2", "v0"],
      ["current is there although none is expected", "v2", undefined],
      ["the candidate is not the pending one", "v3", "v1"],
    ])("promote conflicts when %s, and moves nothing", async (_, rotationId, expected) => {
      await promoteAll("v1");
      await store.savePending(ref, "v2", value("v2"));
      await expect(store.promote(ref, rotationId, expected)).rejects.toMatchObject(conflict);
      expect(await stages()).toEqual({ pending: "v2", current: "v1", previous: undefined });
    });

    test.each([
      ["when none is current although one is expected", "v1"],
      ["when the candidate was discarded", undefined],
    ])("promote conflicts %s", async (_, expected) => {
      await store.savePending(ref, "v1", value("v1"));
      if (expected === undefined) await store.discardPending(ref, "v1");
      await expect(store.promote(ref, "v1", expected)).rejects.toMatchObject(conflict);
      expect(await shown("current")).toBeUndefined();
    });

    test("a promote and a discard that meet: one of them counts, wholly", async () => {
      await store.savePending(ref, "v1", value("v1"));
      const [promoted] = await Promise.allSettled([
        store.promote(ref, "v1", undefined),
        store.discardPending(ref, "v1"),
      ]);
      const current = promoted.status === "fulfilled" ? "v1" : undefined;
      expect(await stages()).toEqual({ pending: undefined, current, previous: undefined });
    });

    test("nothing is destroyed until it is disabled: every version is readable by its id", async () => {
      await promoteAll("v1", "v2", "v3", "v4");
      for (const version of ["v1", "v2", "v3", "v4"]) {
        expect(await revealed(version)).toBe(value(version).reveal());
      }
    });

    test.each(["current", "pending"])("disable refuses the %s version", async (stage) => {
      await promoteAll("v1");
      await store.savePending(ref, "v2", value("v2"));
      const version = stage === "current" ? "v1" : "v2";
      await expect(store.disable(ref, version)).rejects.toMatchObject({ disposition: "reject" });
      expect(await revealed(version)).toBe(value(version).reveal());
    });

    test("a disabled version is absent by stage and by id, the others stay, and twice is once", async () => {
      await promoteAll("v1", "v2", "v3");
      const answer = await store.disable(ref, "v2");
      expect(await store.disable(ref, "v2")).toBe(answer);
      const readable = answer === "unsupported" ? value("v2").reveal() : undefined;
      expect(await revealed("v2")).toBe(readable);
      expect(await shown("previous")).toBe(answer === "unsupported" ? "v2" : undefined);
      expect(await shown("current")).toBe("v3");
      expect(await revealed("v1")).toBe(value("v1").reveal());
      await expect(store.savePending(ref, "v2", value("again"))).rejects.toMatchObject(conflict);
    });

    test("a version that was never there can be disabled: it is unreadable already", async () => {
      expect(["disabled", "unsupported"]).toContain(await store.disable(ref, "never saved"));
    });

    test("list gives what begins with the prefix, in order, each once, and nothing that holds no version", async () => {
      await store.read("looked/at", "current");
      await store.discardPending("only/discarded", "v1");
      for (const other of ["b/2", "a/1", "b/1", "B/1", "b%", "b_x"]) {
        await store.savePending(other, "v1", value(other));
      }
      await store.promote("b/1", "v1", undefined);
      await store.savePending("b/1", "v2", value("two versions, one name"));
      expect(await store.list()).toEqual(["B/1", "a/1", "b%", "b/1", "b/2", "b_x"]);
      expect(await store.list("b/")).toEqual(["b/1", "b/2"]);
      expect(await store.list("b_")).toEqual(["b_x"]);
      expect(await store.list("b%")).toEqual(["b%"]);
      expect(await store.list("zzz")).toEqual([]);
    });

    test("secrets know nothing of each other", async () => {
      await store.savePending("one", "v1", value("one"));
      await store.savePending("other", "v1", value("other"));
      await store.promote("one", "v1", undefined);
      await store.discardPending("other", "v1");
      expect((await store.read("one", "current"))?.value.reveal()).toBe(value("one").reveal());
      expect(await store.read("other", "current")).toBeUndefined();
    });

    test("no value is seen when what was read is printed", async () => {
      await store.savePending(ref, "v1", value("canary-never-shown"));
      const read = await store.read(ref, "pending");
      const printed = [inspect(read, { depth: 9, showHidden: true }), JSON.stringify(read), `${read?.value}`];
      for (const text of printed) expect(text).not.toContain("canary");
    });

    test("no value is seen in what an error says", async () => {
      await store.savePending(ref, "v1", value("canary-pending"));
      const errors = await Promise.allSettled([
        store.savePending(ref, "v2", value("canary-refused")),
        store.promote(ref, "v1", "v0"),
        store.disable(ref, "v1"),
      ]);
      for (const one of errors) {
        expect(one.status).toBe("rejected");
        expect(inspect(one, { depth: 9, showHidden: true })).not.toContain("canary");
      }
    });

    test("after it was closed it fails: it must not look empty", async () => {
      if (opened.reopen === undefined) return;
      await promoteAll("v1");
      await opened.close();
      await expect(store.read(ref, "current")).rejects.toMatchObject({ disposition: "retry" });
      opened = await opened.reopen();
      store = opened.store;
    });

    test("all of it is still so for the next who opens it", async () => {
      if (opened.reopen === undefined) return;
      await promoteAll("v1", "v2", "v3");
      await store.savePending(ref, "v4", value("v4"));
      await store.discardPending(ref, "never saved");
      const answer = await store.disable(ref, "v1");
      await opened.close();
      opened = await opened.reopen();
      store = opened.store;
      expect(await stages()).toEqual({ pending: "v4", current: "v3", previous: "v2" });
      if (answer === "disabled") expect(await revealed("v1")).toBeUndefined();
      expect(await revealed("v2")).toBe(value("v2").reveal());
      await store.discardPending(ref, "v4");
      await expect(store.savePending(ref, "never saved", value("x"))).rejects.toMatchObject(conflict);
    });
  });
}

/** The store under the names and ids of this suite. `written` is what was written there, and what it is called here. */
function renamed(
  { store, close, reopen }: OpenedStore,
  naming: Naming,
  written: Map<string, string>,
): OpenedStore {
  const there = (write: (text: string) => string, text: string): string => {
    const spelled = write(text);
    written.set(spelled, text);
    return spelled;
  };
  const refThere = (name: string): string => there(naming.ref, name);
  const idThere = (id: string): string => there(naming.version, id);
  const whichThere = (which: Which): Which => {
    if (typeof which === "string") return which;
    return "version" in which
      ? { version: idThere(which.version) }
      : { pendingFor: idThere(which.pendingFor) };
  };
  const here = (text: string): string => written.get(text) ?? text;
  const secretHere = <Found extends StoredSecret | undefined>(found: Found): Found =>
    found && { ...found, ref: here(found.ref), version: here(found.version) };
  return {
    close,
    ...(reopen && { reopen: async () => renamed(await reopen(), naming, written) }),
    store: {
      list: async (prefix = "") => (await store.list(naming.ref(prefix))).map(here),
      versions: async (name) =>
        (await store.versions(refThere(name))).map((each) => ({ ...each, version: here(each.version) })),
      read: async (name, which) => secretHere(await store.read(refThere(name), whichThere(which))),
      savePending: async (name, id, saved) =>
        secretHere(await store.savePending(refThere(name), idThere(id), saved)),
      discardPending: (name, id) => store.discardPending(refThere(name), idThere(id)),
      promote: (name, id, expected) =>
        store.promote(refThere(name), idThere(id), expected === undefined ? undefined : idThere(expected)),
      disable: (name, id) => store.disable(refThere(name), idThere(id)),
    },
  };
}
