import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { findTypes, renderRegistry } from "./generate.ts";
import { loadRotator, rotatorTypes } from "./registry.ts";

const folder = import.meta.dirname;

test("the registry is what `npm run gen` writes", () => {
  expect(readFileSync(join(folder, "registry.ts"), "utf8")).toBe(renderRegistry(findTypes(folder)));
});

test("every type has a file, a test, and the name of its file", async () => {
  expect(rotatorTypes).toContain("postgres-alternating");
  for (const type of rotatorTypes) {
    expect((await loadRotator(type)).type).toBe(type);
    expect(readFileSync(join(folder, `${type}.test.ts`), "utf8")).toContain("describeRotator");
  }
});

test("a type that does not exist is refused with the name of the nearest", async () => {
  await expect(loadRotator("postgres-alternatig")).rejects.toMatchObject({
    code: "config-invalid",
    message: "there is no type postgres-alternatig; did you mean postgres-alternating?",
  });
  await expect(loadRotator("constructor")).rejects.toMatchObject({ code: "config-invalid" });
});
