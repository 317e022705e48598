import { expect, it } from "vitest";
import { levelNamed, lineLog } from "./log.ts";

function written(json: boolean, least: "debug" | "info" = "info") {
  const lines: string[] = [];
  return { lines, log: lineLog({ json, least, write: (text) => lines.push(text) }) };
}

it("writes one line of JSON for each message, its own names first", () => {
  const { log, lines } = written(true);
  log("warn", "the worker is gone", { code: 1, signal: null, worker: undefined, pid: 7 });
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(
    /^\{"level":"warn","time":"\d{4}-\d\d-\d\dT[\d:.]+Z","code":1,"pid":7,"message":"the worker is gone"\}\n$/,
  );
});

it("writes a line that a person reads: time, level, message, fields", () => {
  const { log, lines } = written(false);
  log("info", "serving", { store: "here", socket: { path: "a" } });
  expect(lines[0]).toMatch(/^\d{4}-\S+Z info {2}serving {2}store=here {2}socket=\{"path":"a"\}\n$/);
});

it("leaves out what is less than asked for", () => {
  const { log, lines } = written(true);
  log("debug", "worked");
  expect(lines).toEqual([]);
  const verbose = written(true, "debug");
  verbose.log("debug", "worked");
  expect(verbose.lines).toHaveLength(1);
});

it("keeps a reason that has the line's own name, and an error without its stack", () => {
  const { log, lines } = written(true);
  log("error", "no way", { message: "the disk is full", level: "high", error: new TypeError("bad") });
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({
    message: "no way",
    level: "error",
    reason: "the disk is full",
    level_: "high",
    error: "TypeError: bad",
  });
  expect(lines[0]).not.toContain("log.test.ts");
});

it("writes what cannot be written as JSON all the same", () => {
  const { log, lines } = written(true);
  const circle: { self?: unknown } = {};
  circle.self = circle;
  log("info", "odd", { circle, big: 10n ** 30n, work: () => 1, lone: "\ud800" });
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({ message: "odd" });
});

it.each([true, false])("keeps a message on its line, whatever is in it (JSON: %s)", (json) => {
  const { log, lines } = written(json);
  log("info", "a\n2026-01-01T00:00:00.000Z error forged", { host: "b\r\nc\u001b[31m" });
  expect(
    lines
      .join("")
      .trimEnd()
      .split(/[\r\n]/),
  ).toHaveLength(1);
  expect(lines.join("")).not.toContain("\u001b");
});

const canary = "canary-71c0";
const secretNames = [
  ["password", "PASSWORD", "Password", "accessToken", "access_token", "ACCESS_TOKEN", "apiKey", "api-key"],
  ["X-Api-Key", "authorization", "Authorization", "cookie", "signingSecret", "routing_key", "SecretString"],
  ["connectionString", "private_key", "credentials", "RotationToken"],
].flat();

it.each(secretNames)("takes out what is called %s, also two levels deep", (name) => {
  for (const fields of [{ [name]: canary }, { a: { [name]: canary } }, { a: { b: { [name]: canary } } }]) {
    for (const json of [true, false]) {
      const { log, lines } = written(json);
      log("warn", "somebody was careless", fields);
      expect(lines[0]).toContain("[redacted]");
      expect(lines[0]).not.toContain(canary);
    }
  }
});

it("does not touch what is only the reference of a secret", () => {
  const { log, lines } = written(true);
  log("info", "worked", { secret: "billing/db", phase: "idle" });
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({ secret: "billing/db", phase: "idle" });
});

it("knows the names of levels, and no others", () => {
  expect([levelNamed("DEBUG"), levelNamed(" warn "), levelNamed("trace"), levelNamed(undefined)]).toEqual([
    "debug",
    "warn",
    undefined,
    undefined,
  ]);
});
