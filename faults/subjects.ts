import type { Secret } from "../core/secret.ts";
import type { PostgresServer } from "../integration/postgres-server.ts";
import { createPasswordTarget, createTarget } from "../integration/postgres-target.ts";
import { fenceRoleOf, markerOf } from "../rotators/postgres/names.ts";
import { rotator as alternating } from "../rotators/postgres-alternating.ts";
import { rotator as password } from "../rotators/postgres-password.ts";

/** A credential at a target of its own, as it is before Keyturn has it. */
interface Target {
  readonly config: unknown;
  /** The administering login. */
  readonly admin: Secret;
  readonly administersItself: boolean;
  /** What may be at the target in the end; anything else whose name has a `base` in it was left behind. */
  readonly roles: readonly string[];
  readonly bases: readonly string[];
  /** Who may log in besides whoever is current. */
  readonly mayLogIn: readonly string[];
}

/** What is put to the proof: a credential type, or one use of it. */
export interface Subject {
  readonly name: string;
  readonly type: string;
  readonly overlap: "both-live" | "cutover";
  arrange(server: PostgresServer): Promise<Target>;
}

export const subjects: readonly Subject[] = [
  {
    name: "two logins that take turns",
    type: alternating.type,
    overlap: alternating.overlap,
    arrange: async (server) => {
      const { config, admin, administrator, owner, slots } = await createTarget(server);
      return {
        config,
        admin,
        administersItself: false,
        roles: [owner, ...slots, markerOf(owner), administrator.username],
        bases: [owner, administrator.username],
        mayLogIn: [administrator.username],
      };
    },
  },
  {
    name: "one role with one password",
    type: password.type,
    overlap: password.overlap,
    arrange: async (server) => {
      const { config, admin, administrator, username } = await createPasswordTarget(server);
      return {
        config,
        admin,
        administersItself: false,
        roles: [username, markerOf(username), administrator.username],
        bases: [username, administrator.username],
        mayLogIn: [administrator.username],
      };
    },
  },
  {
    name: "an administering login that changes itself",
    type: password.type,
    overlap: password.overlap,
    arrange: async (server) => {
      const { config, admin, administrator } = await createPasswordTarget(server);
      const { username } = administrator;
      return {
        config: { ...config, username },
        admin,
        administersItself: true,
        roles: [username, markerOf(username), fenceRoleOf(username)],
        bases: [username],
        mayLogIn: [],
      };
    },
  },
];
