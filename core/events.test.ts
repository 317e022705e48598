import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseEvent, RotationEvent } from "./events.ts";

const folder = new URL("fixtures/events/", import.meta.url);
const names = readdirSync(folder);

/** Read anew each time: a test may change its copy. */
function golden(name: string): Record<string, unknown> {
  return JSON.parse(readFileSync(new URL(name, folder), "utf8"));
}

function withData(event: Record<string, unknown>, changes: object): object {
  return { ...event, data: { ...Object(event.data), ...changes } };
}

/** The copies of an object that each lack one of its fields. */
function lackingOne(of: object): readonly (readonly [field: string, object])[] {
  return Object.keys(of).map((field) => [
    field,
    Object.fromEntries(Object.entries(of).filter(([name]) => name !== field)),
  ]);
}

const refused = expect.objectContaining({ code: "input-invalid", disposition: "reject" });

test("there is one golden file for each type of event", () => {
  const types = RotationEvent._zod.def.options.map((option) => option._zod.def.shape.type._zod.def.values[0]);
  const inFiles = names.map((name) => golden(name).type);
  expect(inFiles.sort()).toEqual(types.sort());
  expect(names.length).toBeGreaterThan(0);
});

describe.each(names)("%s", (name) => {
  test("is read as it is written, and written as it was read", () => {
    expect(parseEvent(golden(name))).toEqual(golden(name));
    expect(JSON.parse(JSON.stringify(parseEvent(golden(name))))).toEqual(golden(name));
  });

  test.each(lackingOne(golden(name)))("without its %s it is no event", (_, event) => {
    expect(() => parseEvent(event)).toThrow(refused);
  });

  const optional = ["previous"];
  const fields = lackingOne(Object(golden(name).data));
  test.each(fields.filter(([field]) => !optional.includes(field)))(
    "without its data's %s it is no event",
    (field, data) => {
      expect(() => parseEvent({ ...golden(name), data })).toThrow(refused);
      expect(() => parseEvent({ ...golden(name), data })).toThrow(`data.${field}`);
    },
  );

  test("carries no value in: what is not in the schema is dropped, wherever it stands", () => {
    const forged = { ...withData(golden(name), { value: "canary", password: "canary" }), value: "canary" };
    expect(JSON.stringify(parseEvent(forged))).not.toContain("canary");
    expect(parseEvent(forged)).toEqual(golden(name));
  });

  test.each([
    ["another version of CloudEvents", { specversion: "0.3" }],
    ["another content type", { datacontenttype: "text/plain" }],
    ["a newer version of its type", { type: "dev.keyturn.secret.rotated.v2" }],
    ["somebody else's type", { type: "com.example.secret.rotated.v1" }],
    ["a subject that is no text", { subject: { ref: "x" } }],
    ["data in text", { data: "{}" }],
    ["no data", { data: null }],
  ])("with %s it is no event", (_, changes) => {
    expect(() => parseEvent({ ...golden(name), ...changes })).toThrow(refused);
  });
});

test.each([[null], [undefined], [5], ["text"], [[]], [{}], [[golden("secret-rotated.json")]]])(
  "%j is no event",
  (json) => {
    expect(() => parseEvent(json)).toThrow(refused);
  },
);

test("a first version has no previous one", () => {
  const [, first] = lackingOne(Object(golden("secret-rotated.json").data)).find(
    ([field]) => field === "previous",
  ) ?? ["", {}];
  const event = { ...golden("secret-rotated.json"), data: first };
  expect(parseEvent(event)).toEqual(event);
});

test("an outcome that is not one of ours is refused", () => {
  const event = withData(golden("rotation-failed.json"), { outcome: "exploded" });
  expect(() => parseEvent(event)).toThrow(refused);
});

test.each(["undone", "halted", "delayed", "laggards"])("an outcome is %s", (outcome) => {
  const event = withData(golden("rotation-failed.json"), { outcome });
  expect(parseEvent(event)).toEqual(event);
});

test("all that is wrong is named, and an event as a whole where it has no place", () => {
  expect(() => parseEvent(null)).toThrow(/^not an event of Keyturn: event$/);
  const event = { ...withData(golden("secret-rotated.json"), { epoch: "7" }), subject: 5 };
  expect(() => parseEvent(event)).toThrow(/^not an event of Keyturn: subject, data\.epoch$/);
});

test("what was refused is told by its place and not by its words", () => {
  const event = withData(golden("secret-rotated.json"), { epoch: "canary-value" });
  expect(() => parseEvent(event)).toThrow(/^not an event of Keyturn: data\.epoch$/);
});
