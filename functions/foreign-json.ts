/** What others have sent, as data; undefined where it is no JSON. The parser's own error would quote it. */
export function foreignJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
