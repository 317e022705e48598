import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { rotatorTypes } from "../rotators/registry.ts";
import { type Bundled, type BundledFile, bundle, bundles, entryFile } from "./bundle.ts";
import { credentialTypes } from "./credential-types.ts";
import { renderTypes } from "./generate.ts";

let folder = "";
/** What every rotating function imports, whatever else: the store, the journal, the audit, the bus, and one type. */
let entry = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "keyturn-bundle-"));
  entry = join(folder, "entry.ts");
  const from = (path: string) => JSON.stringify(join(import.meta.dirname, "..", path));
  const parts = ["secret-store", "journal", "audit-log", "event-bus", "fingerprinter"];
  const lines = parts.map((part, index) => `import * as part${index} from ${from(`functions/${part}.ts`)};`);
  writeFileSync(
    entry,
    `${lines.join("\n")}
import { loadRotator, rotatorTypes } from ${from("rotators/registry.ts")};
export const parts = [${parts.map((_, index) => `part${index}`).join(", ")}];
export { loadRotator, rotatorTypes };`,
  );
});
afterAll(() => rmSync(folder, { recursive: true }));

const drivers = {
  "aws-iam-access-key": "@aws-sdk/client-iam",
  "postgres-alternating": "pg",
  "postgres-password": "pg",
} as const;

const sizeOf = ({ files }: Bundled) => files.reduce((sum, { code }) => sum + code.length, 0);
const packagesIn = (inputs: readonly string[]) =>
  new Set(inputs.flatMap((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []));
const rotatorsIn = (inputs: readonly string[]) =>
  inputs
    .flatMap((path) => /^rotators\/([a-z-]+)\.ts$/.exec(path)?.[1] ?? [])
    .filter((one) => one !== "registry");

/** What is read before a function can take an invocation: where it begins, and what that imports. */
function atStart({ files }: Bundled): readonly BundledFile[] {
  const found = new Set<BundledFile>();
  const add = (name: string): void => {
    const file = files.find((one) => one.name === name);
    if (file === undefined || found.has(file)) return;
    found.add(file);
    for (const imported of file.imports) add(imported);
  };
  add(entryFile);
  return [...found];
}

it.each(Object.entries(drivers))("holds the type %s and its driver, and no other's", async (type, driver) => {
  const bundled = await bundle(entry, [type]);
  const packages = packagesIn(bundled.files.flatMap(({ inputs }) => inputs));
  expect([...new Set(Object.values(drivers))].filter((each) => packages.has(each))).toEqual([driver]);
  expect(rotatorsIn(bundled.files.flatMap(({ inputs }) => inputs))).toEqual([type]);
  // Whoever has one type needs it; its driver is read when something is asked of the target.
  const starting = atStart(bundled).flatMap(({ inputs }) => inputs);
  expect(rotatorsIn(starting)).toEqual([type]);
  expect(packagesIn(starting)).not.toContain(driver);
  expect(sizeOf(bundled)).toBeLessThan(1_000_000);

  const place = join(folder, type);
  mkdirSync(place);
  for (const { name, code } of bundled.files) writeFileSync(join(place, name), code);
  const loaded: {
    readonly loadRotator: (type: string) => Promise<{ readonly type: string }>;
    readonly rotatorTypes: readonly string[];
  } = await import(pathToFileURL(join(place, entryFile)).href);
  expect(loaded.rotatorTypes).toEqual([type]);
  expect((await loaded.loadRotator(type)).type).toBe(type);
});

const functionsFolder = join(import.meta.dirname, "../functions");

const statically = (code: string) =>
  [...code.matchAll(/(?:^|[;\n])import[^(;]*?from ?"([^"]+)"/g)].map(([, name]) => name);

/** All that may be read when a function starts, in bytes. */
const startMost = { rotate: 650_000, revoke: 600_000, schedule: 620_000, enrol: 400_000 };

it.each([...bundles()])(
  "makes %s smaller than a megabyte; it starts without what only some events need",
  async (name, found) => {
    const bundled = await bundle(join(functionsFolder, `${found.entry}.ts`), found.types, found.without);
    expect(sizeOf(bundled)).toBeLessThan(1_000_000);
    const all = bundled.files.flatMap(({ inputs }) => inputs);
    // A function has its credentials in its environment, and what reaches no target needs no driver.
    const unwanted = [
      "credential-provider-ini/",
      "credential-provider-sso/",
      "nested-clients/dist-es/submodules/signin",
    ];
    if (name !== "schedule") unwanted.push("@aws-sdk/client-kms/");
    if (name === "revoke") unwanted.push("node_modules/pg/");
    expect(all.filter((path) => unwanted.some((one) => path.includes(one)))).toEqual([]);

    const starting = atStart(bundled);
    const late = ["@aws-sdk/client-sts", "@aws-sdk/client-iam", "@octokit/auth-app", "pg"];
    const packages = packagesIn(starting.flatMap(({ inputs }) => inputs));
    expect(late.filter((one) => packages.has(one))).toEqual([]);
    expect(rotatorsIn(starting.flatMap(({ inputs }) => inputs))).toEqual(
      found.types.length === 1 ? found.types : [],
    );
    const most = new Map(Object.entries(startMost)).get(found.entry) ?? 0;
    expect(starting.reduce((sum, { code }) => sum + code.length, 0)).toBeLessThan(most);
    // Node's own modules are required, all but the one that requires.
    const imported = bundled.files.flatMap(({ code }) => statically(code));
    const foreign = imported.filter((path) => !path?.startsWith("./"));
    expect([...new Set(foreign)]).toEqual(["node:module"]);
  },
);

it("has of a service's shapes those that its functions need", async () => {
  const { files } = await bundle(entry, ["aws-iam-access-key"]);
  const code = files.map((file) => file.code).join("\n");
  expect(code).toContain("GetObjectRequest");
  expect(code).toContain("CreateAccessKeyRequest");
  expect(code).not.toMatch(/PutBucketReplication|CreateInstanceProfile|CreateBackup|CreateConnection/);
});

it("is the same bytes each time, and its map is apart", async () => {
  const [first, second] = [
    await bundle(entry, ["aws-iam-access-key"]),
    await bundle(entry, ["aws-iam-access-key"]),
  ];
  expect(second).toEqual(first);
  for (const { code, map } of first.files) {
    expect(code).not.toContain("sourceMappingURL");
    expect(JSON.parse(map)).toMatchObject({ version: 3 });
  }
});

it("is made for every type, for the one that knows all, and for those that know none", () => {
  expect([...bundles().keys()]).toEqual([
    ...rotatorTypes.map((type) => `rotate-${type}`),
    "revoke",
    "schedule",
    "enrol",
  ]);
});

it("finds every credential type that there is", () => {
  expect([...credentialTypes.keys()]).toEqual([...rotatorTypes]);
  expect(renderTypes(["one-two"])).toContain('import { rotator as oneTwo } from "../rotators/one-two.ts";');
});
