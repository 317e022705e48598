/** Where an agent writes what a person may want to know. Never holds a value. */
export type AgentLog = (
  level: "debug" | "info" | "warn" | "error",
  message: string,
  fields?: Readonly<Record<string, unknown>>,
) => void;

/** A log that fails must not take down what it reports on. */
export function guarded(log: AgentLog | undefined): AgentLog {
  return (...line) => {
    try {
      log?.(...line);
    } catch {
      // There is nobody left to tell.
    }
  };
}
