import { mkdirSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod/mini";
import { openLocal } from "../local/open.ts";
import { withBoundaries } from "./boundaries.ts";
import type { Place } from "./place.ts";

const Room = z.object({ path: z.string(), configuration: z.string() });

/** The local store: what one call of a port does to its files is one boundary. */
export const localPlace: Place = {
  title: "the local store",
  sources: ["local"],
  share: 3,
  start: async () => ({
    newRoom: async (folder) => {
      mkdirSync(folder);
      // The key is kept apart from the data, here as everywhere.
      const room = { path: join(folder, "data"), configuration: join(folder, "config") };
      const made = await openLocal({ path: room.path, create: true, environment: environmentOf(room) });
      await made.close();
      return room;
    },
    [Symbol.asyncDispose]: async () => undefined,
  }),
  open: async (address, meet) => {
    const room = z.parse(Room, address);
    const local = await openLocal({ path: room.path, environment: environmentOf(room) });
    return {
      ports: meet === undefined ? local : { ...local, ...withBoundaries(local, meet) },
      [Symbol.asyncDispose]: () => local.close(),
    };
  },
};

function environmentOf({ configuration }: z.infer<typeof Room>) {
  return { XDG_CONFIG_HOME: configuration };
}
