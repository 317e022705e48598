import * as z from "zod/mini";
import { ErrorResult } from "./failure.ts";
import { count, flag, ref, text, texts, version } from "./field.ts";

/** What is known of one secret. Times are milliseconds; versions are whole. */
export const SecretStatus = z.object({
  ref,
  store: text("its store's name in the manifest"),
  place: text("where that store is"),
  type: text("its credential type"),
  tenant: z.optional(text("whose it is, where the manifest says")),
  fleets: texts("the fleets that may read it"),
  phase: text("idle, create, set, test, finish, announce, grace, retire, undo, halted, or `not begun`"),
  epoch: count("the fence at the target; only grows"),
  current: z.optional(
    z
      .object({ version, ageMs: count("since it became current") })
      .check(z.describe("absent: it has no value yet")),
  ),
  rotation: z.optional(
    z
      .object({ version, kind: text("rotate or rollback"), requestedBy: text("who asked") })
      .check(z.describe("what is under way")),
  ),
  reason: z.optional(text("why it is halted or undone")),
  paused: z.optional(
    z
      .object({ by: text("who paused it"), reason: text("why"), agoMs: count("since when") })
      .check(z.describe("nothing begins or goes on by itself; `keyturn resume` ends it")),
  ),
  holds: z
    .array(z.object({ by: text("who holds"), reason: text("why"), untilInMs: count("how long it lasts") }))
    .check(z.describe("who keeps the old credential alive")),
  compromised: flag("current has leaked, and its successor is not out yet"),
  leaked: texts("versions that have leaked and are not yet proven refused"),
  lastFailure: z.optional(
    z
      .object({
        what: text("the step, and what went wrong"),
        agoMs: count("since then"),
        nextInMs: z.optional(count("until it is tried again")),
      })
      .check(z.describe("the last thing that failed in what is under way or owed")),
  ),
  graceEndsInMs: z.optional(count("how long grace goes on at the most")),
  nextRotationInMs: z.optional(count("until the schedule begins the next rotation; 0: it is due")),
  agents: z.object({ live: count("agents heard of lately"), adopted: count("those that have used current") }),
  laggards: texts("live agents that still have the old version"),
  holders: texts("those of them that pin it by a hold of their own"),
  onVersion: z.record(z.string(), z.number()).check(z.describe("how many live agents have which version")),
  debts: z
    .array(
      z.object({
        version,
        reason: text("retired, leaked, superseded or foreign"),
        sinceMs: count("how long it has been owed"),
        attempts: count("how often it was tried"),
      }),
    )
    .check(z.describe("credentials that should be refused and are not yet proven so")),
  waits: z.optional(text("what begins when the slot is free, and who asked")),
});
export type SecretStatus = z.infer<typeof SecretStatus>;

/** A secret that cannot be read now must not hide the others. */
export const Unreadable = z.object({ ref, error: ErrorResult });
export type Unreadable = z.infer<typeof Unreadable>;

export const StatusResult = z.union([
  SecretStatus,
  z.object({
    secrets: z.array(SecretStatus),
    unreadable: z.array(Unreadable).check(z.describe("secrets of which nothing can be said, and why")),
  }),
]);
