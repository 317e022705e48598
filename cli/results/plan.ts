import * as z from "zod/mini";
import { ErrorResult } from "./failure.ts";
import { count, flag, ref, text, texts } from "./field.ts";

const Check = z.object({
  check: text("what was looked at"),
  ok: flag("it is as a rotation needs it"),
  message: text("what was found"),
});

const Step = z.object({
  step: text("create, set, test, finish, announce, grace or retire"),
  change: text("what it would change, and where"),
});

export const SecretPlan = z.object({
  ref,
  store: text("the secret's store in the manifest"),
  place: text("where that store is"),
  type: text("its credential type"),
  overlap: text("both-live: old and new work side by side; cutover: one after the other"),
  ready: flag("a rotation asked for now would begin, and every check is passed"),
  answer: text("what a rotation asked for now would come to: began, joined, waiting or refused"),
  why: text("the reason, in words"),
  checks: z.array(Check),
  steps: z.array(Step).check(z.describe("in the order in which they would happen")),
  schedule: z.object({
    nextInMs: z.optional(count("until the next rotation begins by itself; absent: none does")),
    note: text("why, in words"),
  }),
  grace: z.object({
    atLeastMs: count("the old credential works at least so long after the announcement"),
    atMostMs: count("and at most so long, where agents stay on it"),
    onLaggards: text("what becomes of agents that stay on it: hold or retire"),
  }),
  affected: z.object({
    fleets: texts("who may read it"),
    agents: count("agents that report, and would change over"),
    holders: texts("agents that hold the version that would be retired"),
    sessions: z.optional(
      count("sessions that the target sees on current right now, reporting agents and others"),
    ),
    clients: texts("up to ten of those sessions, in words"),
  }),
  cost: z.object({
    connections: z.optional(count("connections at the target through the proof of retire, without retries")),
    refusedLogins: z.optional(count("logins among them that are meant to be refused")),
    storeWrites: count("writes of the store"),
  }),
  quota: z.optional(
    z.object({
      rotations: count("so many may begin by themselves"),
      perMs: count("in any time of that length"),
    }),
  ),
});
export type SecretPlan = z.infer<typeof SecretPlan>;

export const PlanResult = z.object({
  ready: flag("every secret asked about is ready"),
  secrets: z.array(SecretPlan),
  unreadable: z
    .array(z.object({ ref, error: ErrorResult }))
    .check(z.describe("secrets that could not be looked at, and why")),
});
export type PlanResult = z.infer<typeof PlanResult>;
