import * as z from "zod/mini";
import { KeyturnError } from "../core/errors.ts";
import { generatePassword } from "../core/password.ts";
import { defineRotator, type Fence, type Rotator, secretField } from "../core/rotator.ts";

/**
 * A target in memory that keeps the fence as a real one does, with a type for either overlap. It stands for a server where a
 * test is about the order of things, not about a server.
 */
export interface ModelTarget {
  readonly bothLive: Rotator;
  readonly cutover: Rotator;
  /** Whether a login works right now. */
  accepts(username: string, password: string): boolean;
  /** Someone changes a login behind Keyturn's back. */
  meddle(username: string, password: string | undefined): void;
  /** Keeps everything as it is now, and gives what brings it back: a backup of the target. */
  backup(): () => void;
  /** Logins that were tried and refused. */
  readonly refusedLogins: () => number;
  /** The next so many calls of this verb throw; undefined ends it. */
  fail(verb: Verb, error: KeyturnError | undefined, times?: number): void;
  /** Sessions that the target sees on a login, besides the fleet's own reports. */
  setSessions(username: string, sessions: number): void;
}

export type Verb = "create" | "set" | "test" | "retire" | "refused" | "usage" | "preflight" | "adopt";

interface Login {
  password: string | undefined;
  sessions: number;
  /** `seen` is the highest epoch that has passed by, also where it left the login alone. */
  fence: (Fence & { readonly verb: "set" | "retire"; readonly seen: number }) | undefined;
}

const Credential = z.looseObject({ username: z.string(), password: secretField() });
const Config = z.strictObject({ owner: z.string() });

export function modelTarget(): ModelTarget {
  const logins = new Map<string, Login>();
  const failures = new Map<Verb, { readonly error: KeyturnError; times: number }>();
  let refusedLogins = 0;

  const login = (username: string): Login => {
    const known = logins.get(username);
    if (known !== undefined) return known;
    const made: Login = { password: undefined, sessions: 0, fence: undefined };
    logins.set(username, made);
    return made;
  };
  const failing = (verb: Verb): void => {
    const failure = failures.get(verb);
    if (failure === undefined || failure.times === 0) return;
    failure.times -= 1;
    throw failure.error;
  };
  const accepts = (username: string, password: string): boolean => {
    const accepted = logins.get(username)?.password === password;
    if (!accepted) refusedLogins += 1;
    return accepted;
  };
  /** False: it is done already. At one epoch a value may be set where another was retired; anything else cannot come from one journal. */
  const passes = (known: Login["fence"], fence: Fence, verb: "set" | "retire"): boolean => {
    if (known === undefined || known.seen < fence.epoch) return true;
    if (known.seen > fence.epoch)
      throw new KeyturnError("superseded", `epoch ${known.seen} is at the target`);
    const same = known.fingerprint === fence.fingerprint;
    if (known.epoch < fence.epoch) return true;
    if (same && known.verb === verb) return false;
    if (!same && (known.verb === "retire" || verb === "retire")) return true;
    throw new KeyturnError("fence-conflict", `epoch ${fence.epoch} was used for something else`);
  };

  const rotator = (overlap: "both-live" | "cutover"): Rotator =>
    defineRotator({
      type: `model-${overlap}`,
      overlap,
      config: Config,
      credential: Credential,
      admin: z.optional(z.looseObject({})),
      needs: { network: ["target"] },
      async create(current, { config, random }) {
        failing("create");
        const other = current?.username === `${config.owner}_a` ? "b" : "a";
        const username = overlap === "cutover" ? config.owner : `${config.owner}_${other}`;
        return { username, password: generatePassword(random) };
      },
      async set({ pending }, { fence }) {
        failing("set");
        const slot = login(pending.username);
        if (!passes(slot.fence, fence, "set")) return;
        const same = slot.fence?.verb === "set" && slot.fence.fingerprint === fence.fingerprint;
        if (!same && overlap === "both-live") slot.sessions = 0;
        slot.password = pending.password.reveal();
        slot.fence = { ...fence, verb: "set", seen: fence.epoch };
      },
      async test({ pending }) {
        failing("test");
        if (accepts(pending.username, pending.password.reveal())) return;
        throw new KeyturnError("login-refused", `the target refuses ${pending.username}`);
      },
      async retire(credential, { fence }) {
        failing("retire");
        const slot = login(credential.username);
        if (!passes(slot.fence, fence, "retire")) return { sessionsEnded: 0, survives: [] };
        if (slot.fence !== undefined && slot.fence.fingerprint !== fence.fingerprint) {
          slot.fence = { ...slot.fence, seen: fence.epoch };
          return { sessionsEnded: 0, survives: [] };
        }
        const sessionsEnded = slot.sessions;
        const mark = { ...fence, verb: "retire", seen: fence.epoch };
        Object.assign(slot, { password: undefined, sessions: 0, fence: mark });
        return { sessionsEnded, survives: [] };
      },
      async refused(credential) {
        failing("refused");
        return accepts(credential.username, credential.password.reveal()) ? "accepted" : "refused";
      },
      async usage(credential) {
        failing("usage");
        const { sessions } = login(credential.username);
        return {
          sessions,
          clients: sessions === 0 ? [] : [`${sessions} sessions of ${credential.username}`],
        };
      },
      async preflight() {
        failing("preflight");
        return [];
      },
      async adopt({ username }, { fence }) {
        failing("adopt");
        const slot = login(username);
        if (passes(slot.fence, fence, "set")) slot.fence = { ...fence, verb: "set", seen: fence.epoch };
      },
      async cut(username, { fence }) {
        const slot = login(username);
        passes(slot.fence, fence, "retire");
        const sessionsEnded = slot.sessions;
        const mark = { ...fence, verb: "retire", seen: fence.epoch };
        Object.assign(slot, { password: undefined, sessions: 0, fence: mark });
        return { sessionsEnded, survives: [] };
      },
      async inspect() {
        return [...logins].flatMap(([name, { fence, password }]) =>
          fence === undefined ? [] : [{ ...fence, login: name, accepts: password !== undefined }],
        );
      },
    });

  return {
    bothLive: rotator("both-live"),
    cutover: rotator("cutover"),
    accepts: (username, password) => logins.get(username)?.password === password,
    meddle: (username, password) => {
      login(username).password = password;
    },
    backup: () => {
      const kept = [...logins].map(([name, one]) => [name, { ...one }] as const);
      return () => {
        logins.clear();
        for (const [name, one] of kept) logins.set(name, { ...one });
      };
    },
    refusedLogins: () => refusedLogins,
    fail: (verb, error, times = Number.POSITIVE_INFINITY) => {
      if (error === undefined) failures.delete(verb);
      else failures.set(verb, { error, times });
    },
    setSessions: (username, sessions) => {
      login(username).sessions = sessions;
    },
  };
}
