import * as z from "zod/mini";

/** A call of a function, as the gate tells it. */
export const Call = z.object({
  service: z.string(),
  operation: z.string(),
  by: z.string(),
  id: z.string(),
  port: z.number(),
  at: z.number(),
});

/** Says something to the gate itself; what it answers. */
export async function sayToGate(gate: string, what: string, said: object): Promise<unknown> {
  const answer = await fetch(`${gate}/_gate/${what}`, { method: "POST", body: JSON.stringify(said) });
  const told: unknown = await answer.json();
  if (!answer.ok) throw new Error(String(told));
  return told;
}

/** The calls that have come by since a moment. */
export async function callsThrough(gate: string, since: number): Promise<readonly z.infer<typeof Call>[]> {
  return z.array(Call).parse(await sayToGate(gate, "calls", { since }));
}
