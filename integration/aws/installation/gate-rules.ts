import * as z from "zod/mini";
import type { Call } from "./operation.ts";

/** Which calls a rule is about, and what happens to them. */
export const Rule = z.strictObject({
  operation: z.optional(z.string()),
  service: z.optional(z.string()),
  /** The function that calls. */
  by: z.optional(z.string()),
  /** What stands somewhere in the body, for example a secret's name; all of it. */
  about: z._default(z.array(z.string()), []),
  /** How many such calls are let through before. */
  after: z._default(z.int(), 0),
  /** How many such calls it is about, from then on; all of them, if nothing is said. */
  times: z.optional(z.int()),
  at: z._default(z.enum(["request", "reply"]), "request"),
  act: z.union([
    /** Held until it is let go, or lost. */
    z.literal("hold"),
    /** At the request: it never arrives. At the reply: it was done, and nobody hears of it. */
    z.literal("lose"),
    z.strictObject({
      code: z.string(),
      status: z._default(z.int(), 400),
      message: z._default(z.string(), "said by the gate"),
    }),
  ]),
});
export type Rule = z.infer<typeof Rule>;

const Since = z.object({ since: z.number() });
const About = z.object({ id: z.string(), lose: z.optional(z.boolean()) });

type Verdict = "pass" | "lose" | "gone" | Exclude<Rule["act"], string>;

interface Standing {
  readonly rule: Rule;
  met: number;
  readonly reached: PromiseWithResolvers<Call>;
  readonly let: PromiseWithResolvers<"pass" | "lose">;
}

/** The rules that stand, and the calls that were seen. */
export class GateRules {
  readonly #standing = new Map<string, Standing>();
  readonly #calls: Call[] = [];
  #count = 0;

  async steer(what: string, said: unknown): Promise<unknown> {
    if (what === "rule") return this.#stand(Rule.parse(said));
    if (what === "calls") {
      const { since } = Since.parse(said);
      return this.#calls.filter(({ at }) => at >= since);
    }
    const { id, lose } = About.parse(said);
    const standing = this.#standing.get(id);
    if (standing === undefined) throw new Error(`the gate has no rule ${id}`);
    switch (what) {
      case "reached":
        return standing.reached.promise;
      case "met":
        return standing.met;
      case "let":
        standing.let.resolve(lose === true ? "lose" : "pass");
        return this.#standing.delete(id);
      default:
        throw new Error(`the gate does not know ${what}`);
    }
  }

  #stand(rule: Rule): string {
    this.#count += 1;
    const id = String(this.#count);
    this.#standing.set(id, {
      rule,
      met: 0,
      reached: Promise.withResolvers<Call>(),
      let: Promise.withResolvers<"pass" | "lose">(),
    });
    return id;
  }

  /** What becomes of a call; `gone`: who asked did not wait. */
  async meet(call: Call, body: string, at: Rule["at"], gone: Promise<"gone">): Promise<Verdict> {
    if (at === "request") this.#calls.push(call);
    for (const standing of this.#standing.values()) {
      const { rule } = standing;
      if (rule.at !== at || !concerns(rule, call, body)) continue;
      standing.met += 1;
      const nth = standing.met - rule.after;
      if (nth < 1 || nth > (rule.times ?? Number.POSITIVE_INFINITY)) continue;
      standing.reached.resolve(call);
      if (rule.act !== "hold") return rule.act;
      return Promise.race([standing.let.promise, gone]);
    }
    return "pass";
  }
}

function concerns({ operation, service, by, about }: Rule, call: Call, body: string): boolean {
  return (
    (operation ?? call.operation) === call.operation &&
    (service ?? call.service) === call.service &&
    (by ?? call.by) === call.by &&
    about.every((one) => body.includes(one))
  );
}
