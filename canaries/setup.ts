import { relative } from "node:path";
import { expect } from "vitest";
import { variable } from "./run-folder.ts";
import { watch } from "./watch.ts";

/** Runs before each file of tests, in its process. */
const folder = process.env[variable];
if (folder !== undefined) {
  const path = relative(`${import.meta.dirname}/..`, expect.getState().testPath ?? "");
  const [suite = ""] = /^integration\/aws\/stack(?=\/)|^integration\/aws(?=\/)|^[^/]+/.exec(path) ?? [];
  watch(folder, suite.replace(/^integration\//, ""));
}
