/**
 * Whether EventBridge takes an event for one of a pattern, by as much of its rules as our patterns use: a list of what a field may be, words or the
 * beginnings of words, and objects inside objects. Whatever else a pattern says is an error here, so that nothing is taken for matched that was not understood.
 * https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
 */
export function matches(pattern: unknown, event: unknown): boolean {
  if (Array.isArray(pattern)) {
    const found = Array.isArray(event) ? event : [event];
    return found.some((value: unknown) => pattern.some((one: unknown) => isOne(one, value)));
  }
  const fields = Object.entries(Object(pattern));
  if (typeof pattern !== "object" || fields.length === 0) throw unknown(pattern);
  const given = new Map(Object.entries(Object(event)));
  // A field that is not there matches nothing that a list names.
  return fields.every(([name, inside]) => given.has(name) && matches(inside, given.get(name)));
}

function isOne(allowed: unknown, value: unknown): boolean {
  if (allowed === null || typeof allowed !== "object") return allowed === value;
  const [[operator, operand] = [], ...more] = Object.entries(allowed);
  if (operator !== "prefix" || typeof operand !== "string" || more.length > 0) throw unknown(allowed);
  return typeof value === "string" && value.startsWith(operand);
}

function unknown(part: unknown): Error {
  return new Error(`this part of a pattern is not understood: ${JSON.stringify(part)}`);
}
