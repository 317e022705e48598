import { KeyturnError } from "../core/errors.ts";
import { type Reconciled, type ReconcileOptions, reconcile } from "../core/reconcile.ts";
import type { OpenStore } from "./open.ts";

/** How soon a record is looked at again that functions work on. */
const lookMs = 1_000;

/** Works on a secret as far as it goes now; where functions do that, looks how far they are. */
export async function carryOn(
  ref: string,
  { ports, local }: Pick<OpenStore, "ports" | "local">,
  options: ReconcileOptions,
): Promise<Reconciled> {
  if (local !== undefined) return reconcile(ref, ports, options);
  const loaded = await ports.journal.load(ref);
  if (loaded === undefined) throw new KeyturnError("secret-missing", `${ref} is not under Keyturn yet`);
  return { result: "waiting", until: ports.clock.now() + lookMs, record: loaded.record };
}
