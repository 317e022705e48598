import type { PostgresServer } from "../integration/postgres-server.ts";
import { createPasswordTarget, createTarget } from "../integration/postgres-target.ts";
import { fenceRoleOf, markerOf } from "../rotators/postgres/names.ts";
import { rotator as alternating } from "../rotators/postgres-alternating.ts";
import { rotator as password } from "../rotators/postgres-password.ts";
import { acceptsLogin, type Expected, leftAtServer } from "./postgres.ts";
import type { Subject, Target } from "./subject.ts";

/** One that is on a PostgreSQL. */
interface OnPostgres extends Omit<Subject, "arrange"> {
  arrange(server: PostgresServer): Promise<Pick<Target, "config" | "admin" | "administersItself"> & Expected>;
}

const onPostgres: readonly OnPostgres[] = [
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

/** What the matrix has rows for. */
export const listed: readonly Pick<Subject, "name" | "overlap">[] = onPostgres;

/** Each of them on this server. */
export function subjectsOn(server: PostgresServer): readonly Subject[] {
  return onPostgres.map(({ arrange, ...subject }) => ({
    ...subject,
    arrange: async () => {
      const { roles, bases, mayLogIn, ...target } = await arrange(server);
      return {
        ...target,
        accepts: (value) => acceptsLogin(server, value),
        left: (current) => leftAtServer(server, { roles, bases, mayLogIn }, current),
      };
    },
  }));
}
