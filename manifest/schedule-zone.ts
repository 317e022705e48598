import { didYouMean } from "./nearest.ts";

/** What is wrong with the name of a time zone; undefined where the platform knows it. */
export function zoneProblem(zone: string): string | undefined {
  // The platform also reads offsets such as `+02:00`, which know no daylight saving and are seldom what was meant.
  if (/^[A-Za-z]/.test(zone) && isKnown(zone)) return undefined;
  const known = new Set(Intl.supportedValuesOf("timeZone"));
  return `there is no time zone "${zone}"${didYouMean(zone, known) || "; write one such as Europe/Berlin, or UTC"}`;
}

function isKnown(zone: string): boolean {
  try {
    Intl.DateTimeFormat("en", { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}
