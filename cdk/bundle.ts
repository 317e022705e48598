import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { build } from "esbuild";
import { rotatorTypes } from "../rotators/registry.ts";
import { leftOut, onlyTypes, plainSchemas, requiredBuiltins } from "./bundle-plugins.ts";

/** What a function is bundled from. */
interface Bundle {
  /** In functions/, without its ending. */
  readonly entry: string;
  /** The credential types that it holds. */
  readonly types: readonly string[];
  /** Packages that it would import only to reach a target, which it never does. */
  readonly without?: readonly string[];
}

/** Drivers try for these and go on without them. */
const optional = ["pg-native", "pg-cloudflare"];

/**
 * What the SDK would import on ways that no function takes: credentials from elsewhere than the environment, where Lambda puts its own and the
 * SDK looks first, and streams of events.
 */
const neverTaken = [
  ...["http", "ini", "process", "sso", "web-identity"].map((way) => `@aws-sdk/credential-provider-${way}`),
  "@smithy/core/event-streams",
  "@smithy/credential-provider-imds",
];

/** What CommonJS modules inside ask for, and an ES module does not have by itself. */
const banner = `import { createRequire } from "node:module";const require = createRequire(import.meta.url);`;

const checkout = join(import.meta.dirname, "..");
const functionsFolder = join(checkout, "functions");

/** Every function that is deployed, by the name of its bundle: one for each credential type, and those that know none. */
export function bundles(types: readonly string[] = rotatorTypes): ReadonlyMap<string, Bundle> {
  return new Map<string, Bundle>([
    ...types.map((type) => [`rotate-${type}`, { entry: "rotate", types: [type] }] as const),
    // What is asked for is judged by its type: whoever records it has to know them all.
    ["revoke", { entry: "revoke", types, without: ["pg"] }],
    ...["schedule", "enrol"].map((entry) => [entry, { entry, types: [] }] as const),
  ]);
}

function entryOf(entry: string): string {
  return join(functionsFolder, `${entry}.ts`);
}

export interface BundledFile {
  /** `index.mjs`, where the function begins, or what it imports later or shares with that. */
  readonly name: string;
  readonly code: string;
  /** Kept apart: nobody waits for it when a function starts. */
  readonly map: string;
  /** What it imports before it runs: files of the bundle, and packages. */
  readonly imports: readonly string[];
  /** The files that it was made of, as seen from the checkout. */
  readonly inputs: readonly string[];
}

export interface Bundled {
  readonly files: readonly BundledFile[];
}

/** The file where a function begins. */
export const entryFile = "index.mjs";

/**
 * The files of one function, with nothing in them that the function does not import. What is imported only when it is needed has a file of its own: within
 * one file it would be kept as a function to be called, with all that it shares with the rest, and all of that is read at the start. The same sources
 * make the same bytes.
 */
export async function bundle(
  entryPoint: string,
  types: readonly string[],
  without: readonly string[] = [],
): Promise<Bundled> {
  const { outputFiles, metafile } = await build({
    entryPoints: { index: entryPoint },
    absWorkingDir: checkout,
    outdir: ".",
    outExtension: { ".js": ".mjs" },
    chunkNames: "[hash]",
    bundle: true,
    splitting: true,
    write: false,
    minify: true,
    metafile: true,
    platform: "node",
    target: "node24",
    format: "esm",
    mainFields: ["module", "main"],
    sourcemap: "external",
    legalComments: "none",
    banner: { js: banner },
    external: optional,
    plugins: [onlyTypes(types), leftOut([...neverTaken, ...without]), requiredBuiltins, plainSchemas],
    logLevel: "silent",
  });
  const texts = new Map(outputFiles.map(({ path, text }) => [relative(checkout, path), text]));
  const files = Object.entries(metafile.outputs)
    .filter(([name]) => name.endsWith(".mjs"))
    .map(([name, { imports, inputs }]) => ({
      name,
      code: texts.get(name) ?? "",
      map: texts.get(`${name}.map`) ?? "",
      imports: imports.filter(({ kind }) => kind === "import-statement").map(({ path }) => path),
      inputs: Object.keys(inputs),
    }));
  return { files };
}

/** Writes one bundle to `<folder>/<name>/`, and its maps to `<folder>/maps/<name>/`. */
export async function writeBundle(name: string, folder: string): Promise<void> {
  const found = bundles().get(name);
  if (found === undefined) throw new Error(`there is no bundle ${name}`);
  const { files } = await bundle(entryOf(found.entry), found.types, found.without);
  const [code, maps] = [join(folder, name), join(folder, "maps", name)];
  for (const place of [code, maps]) {
    // What an older build has called otherwise is no part of it.
    rmSync(place, { recursive: true, force: true });
    mkdirSync(place, { recursive: true });
  }
  for (const file of files) {
    writeFileSync(join(code, file.name), file.code);
    writeFileSync(join(maps, `${file.name}.map`), file.map);
  }
}

if (import.meta.main) {
  const [folder = join(import.meta.dirname, "../dist/bundles"), ...types] = process.argv.slice(2);
  // Of no types named: what an installation of all of them has.
  const names = bundles(types.length > 0 ? types : rotatorTypes).keys();
  await Promise.all([...names].map((name) => writeBundle(name, folder)));
}
