const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const unitsLongestFirst = ["d", "h", "m", "s", "ms"] as const;

export const durationPattern = /^([1-9]\d{0,5})(ms|s|m|h|d)$/;

/** Reads `30d`, `24h`, `5m`, `10s` or `500ms` as milliseconds; undefined for anything else, zero included. */
export function parseDuration(text: string): number | undefined {
  const [, digits, unit] = durationPattern.exec(text) ?? [];
  const found = unitsLongestFirst.find((name) => name === unit);
  return found === undefined ? undefined : Number(digits) * unitMs[found];
}

/** Writes milliseconds in the longest unit that divides them. */
export function formatDuration(ms: number): string {
  const unit = unitsLongestFirst.find((name) => ms % unitMs[name] === 0) ?? "ms";
  return `${ms / unitMs[unit]}${unit}`;
}
