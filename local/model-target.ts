import * as z from "zod/mini";
import { KeyturnError } from "../core/errors.ts";
import { generatePassword } from "../core/password.ts";
import { defineRotator, type Fence, type Rotator, type StepContext, secretField } from "../core/rotator.ts";

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
  /** The names of all logins that have a password. */
  live(): readonly string[];
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
/** Whoever gives a login has to be let in by it; without one everybody may administer. */
const Admin = z.optional(
  z.looseObject({ username: z.optional(z.string()), password: z.optional(secretField()) }),
);
type Context = StepContext<z.infer<typeof Config>, z.infer<typeof Admin>>;

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
  /** The administering login may be changing at this very moment: then what else it may be is tried. */
  const administer = async ({ admin, nextAdmin }: Context): Promise<void> => {
    if (admin?.username === undefined) return;
    for (let known: typeof admin | undefined = admin; known !== undefined; known = await nextAdmin?.()) {
      if (accepts(known.username ?? "", known.password?.reveal() ?? "")) return;
    }
    throw new KeyturnError("admin-refused", `the target refuses ${admin.username}`);
  };
  const assertManaged = ({ fence }: Login, { ref }: Fence): void => {
    if (fence === undefined || fence.ref === ref) return;
    throw new KeyturnError("not-managed", `the login belongs to ${fence.ref}`);
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
      account: ["username"],
      admin: Admin,
      needs: { network: ["target"] },
      async create(current, { config, random }) {
        failing("create");
        const other = current?.username === `${config.owner}_a` ? "b" : "a";
        const username = overlap === "cutover" ? config.owner : `${config.owner}_${other}`;
        return { username, password: generatePassword(random) };
      },
      async set({ pending }, context) {
        failing("set");
        await administer(context);
        const { fence } = context;
        const slot = login(pending.username);
        assertManaged(slot, fence);
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
      async retire(credential, context) {
        failing("retire");
        await administer(context);
        const { fence } = context;
        const slot = login(credential.username);
        assertManaged(slot, fence);
        if (!passes(slot.fence, fence, "retire")) return { sessionsEnded: 0, survives: [] };
        if (slot.fence !== undefined && slot.fence.fingerprint !== fence.fingerprint) {
          slot.fence = { ...slot.fence, seen: fence.epoch };
          return { sessionsEnded: 0, survives: [] };
        }
        if (context.admin?.username === credential.username) {
          throw new KeyturnError("not-proven", `${credential.username} administers itself, and is not shut`);
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
      async usage(credential, context) {
        failing("usage");
        await administer(context);
        const { sessions } = login(credential.username);
        return {
          sessions,
          clients: sessions === 0 ? [] : [`${sessions} sessions of ${credential.username}`],
        };
      },
      async preflight(context, adopting) {
        failing("preflight");
        await administer(context);
        const { ref, epoch } = context.fence;
        const seen = [...logins.values()].map(({ fence }) => (fence?.ref === ref ? fence.seen : 0));
        const highest = Math.max(0, ...seen);
        if (adopting !== undefined || highest <= epoch) return [];
        return [
          { check: "epoch", ok: false, message: `epoch ${highest} is at the target`, code: "superseded" },
        ];
      },
      async adopt(credential, context) {
        await administer(context);
        const { fence } = context;
        if (!accepts(credential.username, credential.password.reveal())) {
          throw new KeyturnError("login-refused", `the target refuses ${credential.username}`);
        }
        const slot = login(credential.username);
        assertManaged(slot, fence);
        if (passes(slot.fence, fence, "set")) slot.fence = { ...fence, verb: "set", seen: fence.epoch };
      },
      async cut(username, context) {
        await administer(context);
        const { fence } = context;
        const slot = login(username);
        passes(slot.fence, fence, "retire");
        const sessionsEnded = slot.sessions;
        const mark = { ...fence, verb: "retire", seen: fence.epoch };
        Object.assign(slot, { password: undefined, sessions: 0, fence: mark });
        return { sessionsEnded, survives: [] };
      },
      async inspect(context) {
        await administer(context);
        const { owner } = context.config;
        const isOurs = (name: string): boolean =>
          name === owner || [`${owner}_a`, `${owner}_b`].includes(name);
        return [...logins].flatMap(([name, { fence, password }]) =>
          fence === undefined || !isOurs(name)
            ? []
            : [{ ...fence, login: name, accepts: password !== undefined }],
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
    live: () => [...logins].filter(([, { password }]) => password !== undefined).map(([name]) => name),
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
