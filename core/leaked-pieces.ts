/** Longer values than this are looked for only as the whole of a text; those that nothing encloses, only up to a quarter of it. */
const pieceMax = 16_384;
const bareMax = 4_096;

/** The text itself, and without what an editor, a pipe or a list puts around it. */
export function* wholes(text: string): Generator<string> {
  const bare = text.startsWith("\uFEFF") ? text.slice(1) : text;
  const trimmed = bare.trim();
  yield* [text, bare, bare.replace(/\r?\n$/, ""), trimmed, trimmed.replace(/[,;]+$/, "").trimEnd()];
}

const quotes = ['"', "'", "`"] as const;

/**
 * What stands between quotation marks, by each of the rules for a mark inside: there is none, it has a backslash before it, it is
 * written twice. Begins at every mark there is, for nobody knows whether the first one opens or closes.
 */
export function* literals(text: string): Generator<string> {
  for (const quote of quotes) {
    for (let at = text.indexOf(quote); at >= 0; at = text.indexOf(quote, at + 1)) {
      const start = at + 1;
      const ends = [text.indexOf(quote, start), endBesideTwice(text, start, quote)];
      // A mark that is escaped itself opens nothing: what it belongs to is read again without its backslashes.
      if (text[at - 1] !== "\\") ends.push(endBesideBackslashes(text, start, quote));
      for (const end of new Set(ends))
        if (end >= start && end - start <= pieceMax) yield text.slice(start, end);
    }
  }
}

function endBesideBackslashes(text: string, start: number, quote: string): number {
  const reach = Math.min(text.length, start + pieceMax);
  for (let at = start; at < reach; at += 1) {
    if (text[at] === "\\") at += 1;
    else if (text[at] === quote) return at;
  }
  return -1;
}

/** So many marks that are written twice are looked through. */
const twiceMax = 64;

function endBesideTwice(text: string, start: number, quote: string): number {
  let end = text.indexOf(quote, start);
  for (let twice = 0; end >= 0 && text[end + 1] === quote && twice < twiceMax; twice += 1) {
    end = text.indexOf(quote, end + 2);
  }
  return end;
}

/** Words in which a shell's quoting is used, as the shell would read them. */
export function* shellWords(text: string): Generator<string> {
  for (const { index, 0: before } of text.matchAll(/(?:^|[\s=:(])(?=[^\s'"\\]{0,64}['"\\])/g)) {
    shellWord.lastIndex = index + before.length;
    const [word = ""] = shellWord.exec(text) ?? [];
    yield word.replaceAll(
      shellPart,
      (whole, single?: string, double?: string, other?: string) =>
        single ?? double?.replaceAll(/\\([$`"\\])/g, "$1") ?? other ?? whole,
    );
  }
}

const shellWord = /(?:'[^']{0,16384}'|"(?:[^"\\]|\\[\s\S]){0,16384}"|\\[\s\S]|[^\s'"\\;&|])+/y;
const shellPart = /'([^']*)'|"((?:[^"\\]|\\[\s\S])*)"|\\([\s\S])/g;

const named =
  /(?:pass|pwd|secret|token|key|auth|basic|bearer|cred|dsn|ur[il]|conn|jdbc)[\w.-]{0,40}["']?(?:\s*(?:=>|:=|[=:])|\s)[ \t]*/gi;

/** What follows a name that speaks of a secret. */
export function* namedValues(text: string): Generator<string> {
  const ends = endsIn(text);
  for (const { index, 0: name } of text.matchAll(named)) yield* valuesFrom(text, index + name.length, ends);
}

/** What stands between the colon and the `@` of an address. */
export function* userinfos(text: string): Generator<string> {
  const ends = endsIn(text);
  for (const { index, 0: scheme } of text.matchAll(/:\/\/[^\s:@/]{0,200}:/g)) {
    const token = bare(text, index + scheme.length, ends.token);
    for (const end of [token.indexOf("@"), token.lastIndexOf("@")]) if (end > 0) yield token.slice(0, end);
  }
}

/** Words between white space, with and without what prose and lists put around them. */
export function* words(text: string): Generator<string> {
  for (const [word] of text.matchAll(/\S+/g)) {
    if (word.length > bareMax) continue;
    yield word;
    yield* shortened(word);
    const inner = word.replace(/^[("'`<[{“‘«*_]+/, "");
    if (inner === word) continue;
    yield inner;
    yield* shortened(inner);
  }
}

/** What follows an equals sign, a colon or white space, up to each mark that may end it. */
export function* assigned(text: string): Generator<string> {
  const ends = endsIn(text);
  for (const { index, 0: before } of text.matchAll(/^|[=:][ \t]*|[ \t]+/gm)) {
    yield* valuesFrom(text, index + before.length, ends);
    // The space may be the value's own.
    if (/[=:]./.test(before)) yield bare(text, index + 1, ends.line);
  }
}

function* valuesFrom(text: string, start: number, ends: Ends): Generator<string> {
  const token = bare(text, start, ends.token);
  const line = bare(text, start, ends.line);
  const marks = [";", "&", ",", ")", "}", "@", "<", '"', "'"].map((mark) => token.indexOf(mark));
  for (const end of new Set([...marks, token.lastIndexOf("@")])) if (end > 0) yield token.slice(0, end);
  yield token;
  yield* shortened(token);
  yield line;
  yield line.trimEnd();
  yield* shortened(line.trimEnd());
}

function bare(text: string, start: number, end: (start: number) => number): string {
  return text.slice(start, Math.min(end(start), start + bareMax));
}

type Ends = ReturnType<typeof endsIn>;

/** Where the word, and the line, ends that a place is in. */
function endsIn(text: string) {
  return { token: nextOf(/\s/g, text), line: nextOf(/\r?\n/g, text) };
}

/** Remembers what it found, so that many places of one long line cost no more than the line. */
function nextOf(end: RegExp, text: string): (start: number) => number {
  let from = 0;
  let found = -1;
  return (start) => {
    if (start >= from && start <= found) return found;
    end.lastIndex = start;
    from = start;
    found = end.exec(text)?.index ?? text.length;
    return found;
  };
}

/** Up to four marks at the end may belong to what is around it. */
function* shortened(text: string): Generator<string> {
  for (let cut = 1; cut <= 4 && /[^\w]/.test(text.at(-cut) ?? ""); cut += 1) yield text.slice(0, -cut);
}

/** How many of the marks after its beginning may belong to the value itself. */
const marksMax = 24;

/** Every part of a line from one mark to another, if not too many marks lie between. */
export function* parts(text: string): Generator<string> {
  for (const [line] of text.matchAll(/[^\r\n]+/g)) {
    const marks = [...line.matchAll(/[\s"'`“”‘’«»=:,;&@|<>()[\]{}/.!?#*$%^+~\\]/g)].map(({ index }) => index);
    const ends = [...marks, line.length];
    const starts = [0, ...marks.map((mark) => mark + 1)];
    for (const [index, start] of starts.entries()) {
      for (const end of ends.slice(index, index + marksMax)) if (end > start) yield line.slice(start, end);
    }
  }
}
