/**
 * Whether CloudWatch Logs counts a line by a filter pattern, as far as ours go: words in quotes, which may stand anywhere in the line, or one field of a line
 * that is JSON from its first character to its last. Any other pattern is an error.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
 */
export function counts(pattern: string, line: string): boolean {
  const words = /^"(?<words>[^"]+)"$/.exec(pattern)?.groups?.words;
  if (words !== undefined) return line.includes(words);
  const { path, value } = /^\{ \$\.(?<path>[\w.]+) = "(?<value>[^"*]+)" \}$/.exec(pattern)?.groups ?? {};
  if (path === undefined || value === undefined)
    throw new Error(`this pattern is not understood: ${pattern}`);
  return path.split(".").reduce<unknown>((inside, name) => Object(inside)[name], json(line)) === value;
}

function json(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
