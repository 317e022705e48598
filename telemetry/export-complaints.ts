import type { DiagLogger } from "@opentelemetry/api";
import type { Log } from "../core/ports.ts";

/** A collector that is down is told once in this time. */
const everyMs = 60_000;
const lengthMax = 300;

/** Says in the log what the exporters complain of: now and then, short, and without what they send along to be let in. */
export function exportComplaints(
  log: Log,
  redact: (text: string) => string,
  now: () => number = () => performance.now(),
): DiagLogger {
  let quietUntil = Number.NEGATIVE_INFINITY;
  let unsaid = 0;
  const complain = (message: string, ...details: readonly unknown[]): void => {
    if (now() < quietUntil) {
      unsaid += 1;
      return;
    }
    quietUntil = now() + everyMs;
    const reason = redact([message, ...details].map(inShort).join(" ")).slice(0, lengthMax);
    log("warn", "telemetry cannot be sent; everything else goes on", { reason, unsaid });
    unsaid = 0;
  };
  const nothing = (): void => undefined;
  return { error: complain, warn: complain, info: nothing, debug: nothing, verbose: nothing };
}

/** Exporters complain in JSON with a stack in it. */
function inShort(detail: unknown): string {
  if (detail instanceof Error) return detail.message;
  if (typeof detail !== "string") return "";
  try {
    const { message, code } = Object(JSON.parse(detail));
    const parts = [message, code].filter((part) => part !== undefined && part !== "");
    return parts.length === 0 ? detail : parts.join(" ");
  } catch {
    return detail;
  }
}
