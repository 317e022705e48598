import { AuditWitness } from "../core/audit-witness.ts";
import { asKeyturnError } from "../core/errors.ts";
import type { AuditKeys, AuditRoots, Log, Ports } from "../core/ports.ts";

/** Soon after the start, for a service that never lives for an hour; not at once, when agents come back. */
const firstMs = 60_000;
const everyMs = 3_600_000;

/** A store, as far as it is signed. */
interface Signed {
  readonly ports: Pick<Ports, "installation" | "audit" | "clock">;
  readonly auditRoots: AuditRoots;
  readonly auditKeys: AuditKeys;
}

/** What signs the audit of a store. */
export function witnessOf({ ports, auditRoots: roots, auditKeys: keys }: Signed): AuditWitness {
  const { installation, audit, clock } = ports;
  return new AuditWitness({ installation, audit, clock, roots, keys });
}

/** Signs the audit every hour, and when it is stopped, where something has changed. Whatever keeps it from that, the service goes on. */
export function signByPulse(store: Signed, log: Log): { readonly stop: () => Promise<void> } {
  const witness = witnessOf(store);
  let signing = Promise.resolve();
  let timer = setTimeout(() => pulse(), firstMs).unref();
  const pulse = (): void => {
    timer = setTimeout(() => pulse(), everyMs).unref();
    signing = signing.then(() => sign(witness, log));
  };
  return {
    stop: async () => {
      clearTimeout(timer);
      await signing;
      await sign(witness, log);
    },
  };
}

async function sign(witness: AuditWitness, log: Log): Promise<void> {
  try {
    const { root, isNew, parted } = await witness.sign();
    if (isNew) log("info", "the audit is signed", { root: root?.number, chains: root?.chains });
    if (parted.length > 0) {
      log("error", "chains of the audit are not what was signed: run `keyturn audit verify`", {
        secrets: parted.slice(0, 10),
        count: parted.length,
      });
    }
  } catch (thrown) {
    const { code, message, remedy } = asKeyturnError(thrown);
    log("warn", "the audit cannot be signed", { code, message, remedy });
  }
}
