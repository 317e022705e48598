import * as z from "zod/mini";
import { ErrorResult } from "./failure.ts";
import { count, flag, ref, text } from "./field.ts";

const StoreFinding = z.object({
  store: text("its name in the manifest"),
  place: text("where it is"),
  served: flag("`keyturn serve` runs on it, or functions do: without them nothing goes on by itself"),
  damaged: z
    .array(
      z.object({
        part: text("the file"),
        problem: text("what is wrong with it"),
        loses: text("what its loss means"),
      }),
    )
    .check(z.describe("parts that cannot be used as they are")),
  keptAside: z.array(z.string()).check(z.describe("what --fix moved aside before it made the parts anew")),
  error: z.optional(
    ErrorResult.check(z.describe("why it cannot be opened; nothing is known of its secrets then")),
  ),
});

const SecretFinding = z.object({
  ref,
  diagnoses: z
    .array(
      z.object({
        ailment: text("what kind of trouble it is: a row of docs/doctor.md"),
        what: text("what is wrong, and how it may have come about"),
        fix: z.optional(text("what --fix does about it; absent: a person has to do what the advice says")),
        advice: text("what to do"),
      }),
    )
    .check(z.describe("worst first; empty: nothing is wrong")),
  fixed: flag("its record was put right, and what --fix could do something about is not found any more"),
  phase: z.optional(text("where it is after that")),
  error: z.optional(ErrorResult),
});
export type SecretFinding = z.infer<typeof SecretFinding>;

export const DoctorResult = z.object({
  healthy: flag("nothing is wrong, or nothing any more"),
  stores: z.array(StoreFinding),
  secrets: z.array(SecretFinding),
  troubled: count("secrets with which something is still wrong"),
});
export type DoctorResult = z.infer<typeof DoctorResult>;
export type StoreFinding = z.infer<typeof StoreFinding>;
