import { execFile } from "node:child_process";
import { generateKeyPairSync, sign } from "node:crypto";
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  copyOf,
  type SignedFolder,
  signedFolder,
  tamperings,
  verdictOf,
} from "../local/audit-tamperings.contract.ts";

/** The verifier that was written in another language from docs/audit.md must say what Keyturn says, whatever was done to the files. */
const script = fileURLToPath(new URL("../examples/verify_audit.py", import.meta.url));
const home = mkdtempSync(join(tmpdir(), "keyturn-python-"));
let signed: SignedFolder;

beforeAll(async () => {
  await promisify(execFile)("python3", ["--version"]).catch((cause: unknown) => {
    throw new Error("python3 is needed to run examples/verify_audit.py", { cause });
  });
  signed = await signedFolder(home);
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

interface Said {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Without any package besides what comes with Python, and without writing beside itself. */
function python(args: readonly string[]): Promise<Said> {
  return new Promise((resolve) => {
    const child = execFile("python3", ["-I", "-S", "-B", script, ...args], (_, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}

/** What both say of a folder, in one shape. */
async function both(copy: SignedFolder, withAnchor: boolean) {
  const { folder, installation, publicKeys, anchor } = copy;
  const anchorPath = join(folder, "anchor.json");
  writeFileSync(anchorPath, JSON.stringify(anchor));
  const known = { installation, publicKeys, ...(withAnchor ? { anchor } : {}) };
  const { chains, roots } = await verdictOf(folder, known);
  const flags = [
    ...publicKeys.flatMap((key) => ["--key", key]),
    ...(withAnchor ? ["--anchor", anchorPath] : []),
  ];
  const said = await python([folder, "--json", ...flags]);
  expect({ ...said, stdout: "" }).toMatchObject({
    stderr: "",
    code: said.stdout.includes('"fault"') ? 6 : 0,
  });
  const byName = (one: { readonly ref: string }, other: { readonly ref: string }) =>
    one.ref < other.ref ? -1 : 1;
  const ours = {
    verified: roots.fault === undefined && chains.every(({ fault }) => fault === undefined),
    chains: [...chains].sort(byName),
    roots: {
      lines: roots.lines,
      accepted: roots.accepted.map(({ ref, root }) => ({ ref, root })),
      fault: roots.fault,
    },
  };
  const theirs: typeof ours = JSON.parse(said.stdout);
  return {
    ours: JSON.parse(JSON.stringify(ours)),
    theirs: { ...theirs, chains: theirs.chains.sort(byName) },
  };
}

describe("a verifier in another language agrees", () => {
  test.each(tamperings.map((one) => [one.name, one] as const))("%s", async (_, one) => {
    const copy = copyOf(signed);
    one.tamper(copy);
    const { ours, theirs } = await both(copy, one.needsAnchor === true);
    expect(theirs).toEqual(ours);
    expect(ours.verified).toBe(one.chain === undefined && one.roots === undefined);
  });

  test.each([
    ["the anchor is found", () => undefined, true],
    [
      "a chain lacks only the end of its last line",
      ({ chain }: SignedFolder) => cut(chain("app/db"), 1),
      true,
    ],
    ["the list lacks only the end of its last line", ({ list }: SignedFolder) => cut(list, 1), true],
    [
      "half an entry is at the end",
      ({ chain }: SignedFolder) => appendFileSync(chain("app/db"), '{"ref":'),
      true,
    ],
    ["a number is no number", ({ list }: SignedFolder) => swap(list, /"chains":2/, '"chains":NaN'), false],
    [
      "a number is written otherwise",
      ({ chain }: SignedFolder) => swap(chain("app/db"), /"epoch":2/, '"epoch":2.0'),
      true,
    ],
    [
      "a letter is written otherwise",
      ({ chain }: SignedFolder) => swap(chain("app/db"), /worker/, "w\\u006frker"),
      true,
    ],
    [
      "half a character stands in an entry",
      ({ chain }: SignedFolder) => swap(chain("app/db"), /worker/, "\\ud800"),
      false,
    ],
    [
      "bytes are no UTF-8",
      ({ chain }: SignedFolder) => writeFileSync(chain("app/db"), Buffer.from([255, 10])),
      false,
    ],
    [
      "a version is null",
      ({ chain }: SignedFolder) => swap(chain("app/db"), /"version":"v2"/, '"version":null'),
      false,
    ],
    [
      "a version is taken out",
      ({ chain }: SignedFolder) => swap(chain("app/db"), /,"version":"v2"/, ""),
      false,
    ],
    [
      "a foreign file lies there",
      ({ folder }: SignedFolder) => writeFileSync(join(folder, "audit", "Notes.jsonl"), "x"),
      true,
    ],
  ])("%s", async (_, tamper, verified) => {
    const copy = copyOf(signed);
    tamper(copy);
    const { ours, theirs } = await both(copy, true);
    expect(theirs).toEqual(ours);
    expect(ours.verified).toBe(verified);
  });

  test("bits that change anywhere", async () => {
    const copy = copyOf(signed);
    const path = copy.list;
    const bytes = readFileSync(path);
    for (let at = 11; at < bytes.length; at += Math.ceil(bytes.length / 12)) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8(bytes.readUInt8(at) ^ 2, at);
      writeFileSync(path, changed);
      const { ours, theirs } = await both(copy, false);
      expect({ at, ...theirs }).toEqual({ at, ...ours });
    }
  });
});

test("its Ed25519 is the one of everybody else, for signatures that are right and wrong", async () => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const raw = publicKey.export({ format: "der", type: "spki" }).subarray(-32).toString("hex");
  const tries = Array.from({ length: 8 }, (_, at) => {
    const message = Buffer.from(`message ${at}`);
    const signature = sign(null, message, privateKey);
    if (at % 4 === 1) signature.writeUInt8(signature.readUInt8(at) ^ 1, at);
    if (at % 4 === 2) signature.writeUInt8(signature.readUInt8(40) ^ 1, 40);
    if (at % 4 === 3) signature.fill(255, 32);
    return { message: message.toString("hex"), signature: signature.toString("hex"), right: at % 4 === 0 };
  });
  const program = `
import json, sys, importlib.util
spec = importlib.util.spec_from_file_location("verifier", sys.argv[1])
verifier = importlib.util.module_from_spec(spec)
spec.loader.exec_module(verifier)
key = bytes.fromhex(sys.argv[2])
print(json.dumps([verifier.is_signed(key, bytes.fromhex(one["message"]), bytes.fromhex(one["signature"])) for one in json.loads(sys.argv[3])]))`;
  const { stdout } = await promisify(execFile)("python3", [
    "-B",
    "-c",
    program,
    script,
    raw,
    JSON.stringify(tries),
  ]);
  expect(JSON.parse(stdout)).toEqual(tries.map(({ right }) => right));
});

test.each([
  ["no folder", ["/nowhere/at/all"]],
  ["an anchor that is none", [".", "--anchor", script]],
])("refuses %s as wrong usage", async (what, args) => {
  const [, ...rest] = args;
  const said = await python([what === "no folder" ? (args[0] ?? "") : signed.folder, ...rest]);
  expect(said).toMatchObject({ code: 2, stdout: "" });
  expect(said.stderr).toContain("usage:");
});

test("says it in words, too, and leaves nothing behind", async () => {
  const copy = copyOf(signed);
  swap(copy.chain("app/db"), /worker/, "nobody");
  const { code, stdout } = await python([copy.folder]);
  expect(code).toBe(6);
  expect(stdout).toMatch(/^app\/db {2}0 entries {2}BROKEN: .*changed/m);
  expect(stdout).toMatch(/^roots {2}5 lines {2}unbroken$/m);
  expect(existsSync(fileURLToPath(new URL("../examples/__pycache__", import.meta.url)))).toBe(false);
});

function cut(path: string, bytes: number): void {
  writeFileSync(path, readFileSync(path).subarray(0, -bytes));
}

function swap(path: string, what: RegExp, by: string): void {
  const text = readFileSync(path, "utf8");
  const changed = text.replace(what, by);
  if (changed === text) throw new Error(`${path} has no ${what}`);
  writeFileSync(path, changed);
}
