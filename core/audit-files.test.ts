import { describe, expect, test } from "vitest";
import { memoryAuditLog } from "../local/memory.ts";
import { auditFiles, chainFile, refOfChainFile, refSpelled, spelledRef } from "./audit-files.ts";
import { sampleChain } from "./audit-log.contract.ts";
import { signerOf } from "./audit-roots.contract.ts";
import { RootsList } from "./roots-list.ts";

const names = [
  ["small letters, digits, _ and -", "az09_-", "az09_-"],
  ["a path", "billing/db", "billing%2fdb"],
  ["capitals", "A", "%41"],
  ["what is spelled already", "a%2fb", "a%252fb"],
  ["what would leave the folder", "../x", "%2e%2e%2fx"],
  ["letters of many bytes", "ü 😀", "%c3%bc%20%f0%9f%98%80"],
  ["every byte of one digit", "\n", "%0a"],
] as const;

describe("a reference as a name", () => {
  test.each(names)("is spelled, and read again: %s", (_, ref, name) => {
    expect(spelledRef(ref)).toBe(name);
    expect(refSpelled(name)).toBe(ref);
    expect(chainFile(ref)).toBe(`${name}.jsonl`);
    expect(refOfChainFile(`${name}.jsonl`)).toBe(ref);
  });

  test.each([
    ["a capital", "A"],
    ["a dot", "a.b"],
    ["a letter spelled that stands for itself", "%61"],
    ["digits in capitals", "a%2Fb"],
    ["half a spelling", "a%2"],
    ["bytes that are no UTF-8", "%ff"],
  ])("is none of ours with %s", (_, name) => {
    expect(refSpelled(name)).toBeUndefined();
    expect(refOfChainFile(`${name}.jsonl`)).toBeUndefined();
  });

  test.each([
    [200, ["a".repeat(200)]],
    [201, ["a".repeat(200), "a"]],
    [401, ["a".repeat(200), "a".repeat(200), "a"]],
  ])("of %i characters goes on in a folder after each 200", (length, parts) => {
    const path = `${parts.join("/")}.jsonl`;
    expect(chainFile("a".repeat(length))).toBe(path);
    expect(refOfChainFile(path)).toBe("a".repeat(length));
  });

  test.each([
    ["folds too early", "a/b.jsonl"],
    ["has another ending", "abc.jsonx"],
    ["has no ending", "abc"],
  ])("is not read from a file that %s", (_, path) => {
    expect(refOfChainFile(path)).toBeUndefined();
  });
});

test("the whole audit is given as files of lines, the roots first: a chain that grows meanwhile still has what they say", async () => {
  const audit = memoryAuditLog();
  const signer = signerOf(1);
  const line = await new RootsList("mine").introduce(signer.publicKey, signer, 5);
  const chains = { "app/b": sampleChain("app/b", 2), "app/a": sampleChain("app/a", 1) };
  for (const entry of Object.values(chains).flat()) await audit.append(entry);
  const read = async function* () {
    yield line;
  };
  const files: [string, readonly string[]][] = [];
  for await (const { path, lines } of auditFiles({ audit, roots: { read } })) {
    files.push([path, await Array.fromAsync(lines)]);
  }
  const text = (items: readonly unknown[]) => items.map((item) => `${JSON.stringify(item)}\n`);
  expect(files).toEqual([
    ["audit-roots.jsonl", text([line])],
    ["audit/app%2fa.jsonl", text(chains["app/a"])],
    ["audit/app%2fb.jsonl", text(chains["app/b"])],
  ]);
});
