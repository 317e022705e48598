/**
 * Gives members of a JSON object's text new values, and adds those that it lacks at its end. Every other byte stays as it is: numbers that
 * JavaScript cannot hold, the way that characters are written, order and spaces. The text must be a JSON object.
 */
export function withMembers(text: string, members: Readonly<Record<string, unknown>>): string {
  const found = membersOf(text);
  let result = "";
  let copied = 0;
  for (const { name, start, end } of found) {
    if (!Object.hasOwn(members, name)) continue;
    result += text.slice(copied, start) + JSON.stringify(members[name]);
    copied = end;
  }
  const known = new Set(found.map(({ name }) => name));
  const added = Object.entries(members)
    .filter(([name]) => !known.has(name))
    .map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  if (added.length === 0) return result + text.slice(copied);
  const end = found.at(-1)?.end ?? text.indexOf("{") + 1;
  return `${result}${text.slice(copied, end)}${found.length > 0 ? "," : ""}${added.join(",")}${text.slice(end)}`;
}

/** A member of the outermost object; `start` and `end` are those of its value's text. */
interface Member {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

const token = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:,]|[^\s{}[\]:,"]+/g;

function membersOf(text: string): readonly Member[] {
  const members: Member[] = [];
  let member: Member | undefined;
  for (const { word, index, depth } of wordsOf(text)) {
    if (depth === 1 && (word === "," || word === "}")) {
      if (member !== undefined) members.push(member);
      member = undefined;
    } else if (depth === 1 && member === undefined) {
      member = { name: String(JSON.parse(word)), start: 0, end: 0 };
    } else if (member !== undefined && !(depth === 1 && word === ":")) {
      member = { ...member, start: member.start || index, end: index + word.length };
    }
  }
  return members;
}

/** The words of a JSON text, each with the number of brackets that are open before it. */
function* wordsOf(text: string) {
  let depth = 0;
  for (const { 0: word, index } of text.matchAll(token)) {
    yield { word, index, depth };
    if (word === "{" || word === "[") depth += 1;
    if (word === "}" || word === "]") depth -= 1;
  }
}
