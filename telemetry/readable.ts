const own = ["time", "level", "message"];

/** A log line as a person reads it: time, level, message, then the fields. */
export function readable(line: string): string {
  const entry: Readonly<Record<string, unknown>> = JSON.parse(line);
  const fields = Object.entries(entry)
    .filter(([name]) => !own.includes(name))
    .map(([name, value]) => `  ${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  const text = `${entry.time} ${String(entry.level).padEnd(5)} ${entry.message}${fields.join("")}`;
  return `${text.replace(controls, escaped)}\n`;
}

/** What would begin another line or talk to the terminal. */
const controls = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
