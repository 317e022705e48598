import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { rotatorTypes } from "../rotators/registry.ts";
import { bundle, bundles } from "./bundle.ts";
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

it.each(Object.entries(drivers))("holds the type %s and its driver, and no other's", async (type, driver) => {
  const { code, inputs } = await bundle(entry, [type]);
  const packages = new Set(
    inputs.flatMap((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []),
  );
  const found = [...new Set(Object.values(drivers))].filter((each) => packages.has(each));
  expect(found).toEqual([driver]);
  const rotators = inputs.flatMap((path) => /^rotators\/([a-z-]+)\.ts$/.exec(path)?.[1] ?? []);
  expect(rotators.filter((name) => name !== "registry")).toEqual([type]);
  expect(code.length).toBeLessThan(1_000_000);

  const file = join(folder, `${type}.mjs`);
  writeFileSync(file, code);
  const loaded: {
    readonly loadRotator: (type: string) => Promise<{ readonly type: string }>;
    readonly rotatorTypes: readonly string[];
  } = await import(pathToFileURL(file).href);
  expect(loaded.rotatorTypes).toEqual([type]);
  expect((await loaded.loadRotator(type)).type).toBe(type);
});

const functionsFolder = join(import.meta.dirname, "../functions");
const statically = (code: string) =>
  [...code.matchAll(/(?:^|;)import[^(;]*?from ?"([^"]+)"/g)].map(([, name]) => name);

it.each([...bundles()])(
  "makes %s smaller than a megabyte; it starts without what was left out",
  async (name, found) => {
    const { code, inputs } = await bundle(
      join(functionsFolder, `${found.entry}.ts`),
      found.types,
      found.without,
    );
    expect(code.length).toBeLessThan(1_000_000);
    // A function has its credentials in its environment, and what reaches no target needs no driver.
    const unwanted = [
      "credential-provider-ini/",
      "credential-provider-sso/",
      "nested-clients/dist-es/submodules/signin",
    ];
    if (name !== "schedule") unwanted.push("@aws-sdk/client-kms/");
    if (name === "revoke") unwanted.push("node_modules/pg/");
    expect(inputs.filter((path) => unwanted.some((one) => path.includes(one)))).toEqual([]);
    // What is left out is imported by whoever comes to it, and by nobody at the start.
    // Node's own modules are required, all but the one that requires.
    expect(statically(code)).toEqual(["node:module"]);
  },
);

it("is the same bytes each time, and its map is apart", async () => {
  const [first, second] = [
    await bundle(entry, ["aws-iam-access-key"]),
    await bundle(entry, ["aws-iam-access-key"]),
  ];
  expect(second.code).toBe(first.code);
  expect(first.code).not.toContain("sourceMappingURL");
  expect(JSON.parse(first.map)).toMatchObject({ version: 3 });
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
