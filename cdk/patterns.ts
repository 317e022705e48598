/** EventBridge takes so many characters of a pattern. */
const patternMax = 2_048;
/** Rules for one fleet; a bus has 300. */
const rulesMax = 10;

/**
 * Event patterns that together match what `patternOf` says of these names: as few as there can be, and one without names where there would be too many. An
 * event says little, and whoever gets one too many looks at its subject.
 */
export function patternsFor<Pattern>(
  names: readonly string[],
  patternOf: (some: readonly string[] | undefined) => Pattern,
): readonly Pattern[] {
  const groups: string[][] = [];
  for (const name of names) {
    const group = groups.at(-1);
    const grown = [...(group ?? []), name];
    if (group !== undefined && JSON.stringify(patternOf(grown)).length <= patternMax) group.push(name);
    else groups.push([name]);
  }
  return groups.length > rulesMax ? [patternOf(undefined)] : groups.map(patternOf);
}
