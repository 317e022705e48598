import * as z from "zod/mini";

const Calls = z.array(
  z.object({ service: z.string(), operation: z.string(), by: z.string(), at: z.number() }),
);

/** Says something to the gate itself; what it answers. */
export async function sayToGate(gate: string, what: string, said: object): Promise<unknown> {
  const answer = await fetch(`${gate}/_gate/${what}`, { method: "POST", body: JSON.stringify(said) });
  const told: unknown = await answer.json();
  if (!answer.ok) throw new Error(String(told));
  return told;
}

/** The calls that have come by since a moment. */
export async function callsThrough(gate: string, since: number): Promise<z.infer<typeof Calls>> {
  return Calls.parse(await sayToGate(gate, "calls", { since }));
}
