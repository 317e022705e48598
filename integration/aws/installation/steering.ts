import * as z from "zod/mini";
import type { Outage } from "../../tcp-proxy.ts";
import { Call, callsThrough, sayToGate } from "./gate-client.ts";
import type { Rule } from "./gate-rules.ts";
import { installation } from "./installation.ts";
import { processesAt } from "./process-of.ts";

const { gate } = installation;

/** A rule that stands before the functions' calls. */
export interface Standing extends AsyncDisposable {
  /** The process that made the first call which it is about, as soon as there is one. */
  reached(): Promise<{ readonly pid: number }>;
  /** How many calls were of its kind, those before and after it included. */
  met(): Promise<number>;
  /** Takes it away, and lets go what it holds; `lose`: loses that. */
  letGo(how?: "lose"): Promise<void>;
}

/** Has the gate do something to the calls of functions, from now on. */
export async function stand(rule: z.input<typeof Rule>): Promise<Standing> {
  const id = z.string().parse(await say("rule", rule));
  let isGone = false;
  const letGo = async (how?: "lose") => {
    if (isGone) return;
    isGone = true;
    await say("let", { id, lose: how === "lose" });
  };
  return {
    reached: async () => {
      const { port } = Call.parse(await say("reached", { id }));
      return { pid: only(processesAt(Number(new URL(gate).port), port)) };
    },
    met: async () => Number(await say("met", { id })),
    letGo,
    [Symbol.asyncDispose]: letGo,
  };
}

/** The calls that functions have made since a moment. */
export const callsSince = (since: number) => callsThrough(gate, since);

/** What was refused because a role lacked a right, and names this; the run does not fail by it any more. */
export async function refusedAbout(about: string): Promise<readonly string[]> {
  return z.array(z.string()).parse(await say("refused", { about }));
}

/** The way to the database of one secret. */
export function wireOf(ref: string) {
  const wire = (said: object) => say("wire", { wire: ref, ...said });
  return {
    fail: async (fail: Outage) => void (await wire({ fail })),
    heal: async () => void (await wire({ act: "heal" })),
    /** From the client's nth message on it hears nothing. */
    silence: async (silence: number) => void (await wire({ silence })),
    isSilent: async () => (await wire({ act: "isSilent" })) === true,
    /** The function's process that is connected by it. */
    user: async () => only(processesAt(Number(await wire({ act: "port" })))),
    /** Carries everything again; says whether it was silent. */
    calm: async () => (await wire({ act: "calm" })) === true,
  };
}

const say = (what: string, said: object) => sayToGate(gate, what, said);

function only(pids: readonly number[]): number {
  const [pid] = pids;
  if (pid === undefined || pids.length > 1) throw new Error(`${pids.length} processes have that connection`);
  return pid;
}
