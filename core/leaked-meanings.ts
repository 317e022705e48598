/** What a piece of a text may stand for besides itself, by the ways in which passwords are written into other texts. */
export function meanings(piece: string): readonly string[] {
  const found = [percentDecoded(piece)];
  if (piece.includes("+")) found.push(percentDecoded(piece.replaceAll("+", " ")));
  found.push(unescaped(piece), piece.replaceAll(/\\([\s\S])/g, "$1"), entitiesDecoded(piece));
  // SQL, YAML, CSV, ODBC, Compose and printf write the character that ends or begins something twice.
  for (const twice of ["''", '""', "}}", "$$", "%%"]) {
    found.push(piece.replaceAll(twice, () => twice.slice(1)));
  }
  return found.filter((text) => text !== piece);
}

/** What is no percent-encoded UTF-8 stays as it is: many a password has a `%` of its own. */
function percentDecoded(text: string): string {
  return text.replaceAll(/(?:%[0-9A-Fa-f]{2})+/g, (run) => {
    try {
      return decodeURIComponent(run);
    } catch {
      return run;
    }
  });
}

const letters: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  b: "\b",
  f: "\f",
  v: "\v",
  "0": "\0",
};

/** As JSON, C, Python and most others escape; a backslash before anything else stands for what follows. */
function unescaped(text: string): string {
  return text.replaceAll(
    /\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|[\s\S])/g,
    (whole, unicode?: string, hex?: string) => {
      const code = unicode ?? hex;
      const other = whole.slice(1);
      return code === undefined ? (letters[other] ?? other) : String.fromCharCode(Number.parseInt(code, 16));
    },
  );
}

const entities: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

function entitiesDecoded(text: string): string {
  return text.replaceAll(
    /&(?:#(\d{1,6})|#x([0-9A-Fa-f]{1,5})|([a-z]{2,4}));/g,
    (whole, decimal, hex, name) => {
      if (name !== undefined) return entities[String(name)] ?? whole;
      return String.fromCodePoint(decimal === undefined ? Number.parseInt(String(hex), 16) : Number(decimal));
    },
  );
}

/** Texts that stand in base64 or base64url in this one, also over several lines. What decodes to no UTF-8 is left out. */
export function base64Texts(text: string): readonly string[] {
  const runs = [...text.matchAll(/[A-Za-z0-9+/_-]{12,}={0,2}/g)].flatMap(([run]) => {
    const last = run.slice(run.lastIndexOf("/") + 1);
    return last === run ? [run] : [run, last];
  });
  const folded = [
    ...text.matchAll(/(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{40,}(?:\r?\n[ \t]*[A-Za-z0-9+/_-]+)+={0,2}/g),
  ].map(([run]) => run.replaceAll(/\s/g, ""));
  return [...runs, ...folded].flatMap((run) => decoded(Buffer.from(run, "base64")));
}

function decoded(bytes: Buffer): readonly string[] {
  // PowerShell encodes UTF-16: every other byte of plain text is zero there.
  const isUtf16 = bytes.length % 2 === 0 && bytes[1] === 0 && bytes[3] === 0;
  const text = bytes.toString(isUtf16 ? "utf16le" : "utf8");
  return text.includes("\uFFFD") ? [] : [text];
}
