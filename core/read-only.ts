import { KeyturnError } from "./errors.ts";
import type { Ports } from "./ports.ts";

/** The same ports, through which nothing can be written: for a dry run that keeps its word. */
export function readOnly(ports: Ports): Ports {
  const refused = async (): Promise<never> => {
    throw new KeyturnError("internal", "a dry run tried to write");
  };
  const { store, journal } = ports;
  return {
    ...ports,
    store: {
      list: (prefix) => store.list(prefix),
      versions: (ref) => store.versions(ref),
      read: (ref, which) => store.read(ref, which),
      savePending: refused,
      discardPending: refused,
      promote: refused,
      disable: refused,
    },
    journal: {
      load: (ref) => journal.load(ref),
      due: (now, limit) => journal.due(now, limit),
      nextDueAt: () => journal.nextDueAt(),
      refs: () => journal.refs(),
      agents: (ref) => journal.agents(ref),
      identify: (fingerprints) => journal.identify(fingerprints),
      save: refused,
      report: refused,
      forgetAgents: refused,
      remember: refused,
    },
    bus: { publish: refused },
    audit: {
      append: refused,
      read: (ref) => ports.audit.read(ref),
      end: (ref) => ports.audit.end(ref),
      refs: () => ports.audit.refs(),
    },
  };
}
