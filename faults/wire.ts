import * as z from "zod/mini";

/** What the supervisor says to a worker. Values never go this way: a worker reads them from the store. */
export const Order = z.discriminatedUnion("do", [
  z.object({
    do: z.literal("reconcile"),
    ref: z.string(),
    type: z.string(),
    config: z.unknown(),
    admin: z.string(),
    /** How far the worker's clock is ahead of the machine's. */
    movedMs: z.number(),
    /** Whether it waits for its fate at every boundary. */
    isWatched: z.boolean(),
  }),
  z.object({
    do: z.literal("meet"),
    call: z.number(),
    /**
     * `carry out`: it is carried out, and `send`: it is on its way to the target and its reply is never read, after which the worker waits again: for
     * the end of its process, or to `lose the reply`.
     */
    fate: z.enum(["go on", "fail", "carry out", "send", "lose the reply"]),
  }),
]);
export type Order = z.infer<typeof Order>;
export type Job = Omit<Extract<Order, { do: "reconcile" }>, "do">;
export type Fate = Extract<Order, { do: "meet" }>["fate"];

/** What a worker says. */
export const Report = z.discriminatedUnion("said", [
  z.object({ said: z.literal("ready") }),
  /** It waits at a boundary. */
  z.object({ said: z.literal("at"), call: z.number(), what: z.string(), changes: z.boolean() }),
  /** It was carried out, or is on its way, as it was told; and nobody hears of its reply. */
  z.object({ said: z.literal("held"), call: z.number() }),
  z.object({ said: z.literal("rests"), phase: z.string(), until: z.optional(z.number()), why: z.string() }),
  z.object({ said: z.literal("threw"), code: z.string(), message: z.string() }),
]);
export type Report = z.infer<typeof Report>;
export type Boundary = Pick<Extract<Report, { said: "at" }>, "what" | "changes">;
