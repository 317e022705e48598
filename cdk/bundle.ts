import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { join } from "node:path";
import { build, type Plugin } from "esbuild";
import { renderRegistry } from "../rotators/generate.ts";
import { rotatorTypes } from "../rotators/registry.ts";

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

const functionsFolder = join(import.meta.dirname, "../functions");

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

interface Bundled {
  readonly code: string;
  /** Kept apart: nobody waits for it when a function starts. */
  readonly map: string;
  /** The files that it was made of, as seen from the checkout. */
  readonly inputs: readonly string[];
}

/** One file for one function, with nothing in it that the function does not import. The same sources make the same bytes. */
export async function bundle(
  entryPoint: string,
  types: readonly string[],
  without: readonly string[] = [],
): Promise<Bundled> {
  const { outputFiles, metafile } = await build({
    entryPoints: [entryPoint],
    absWorkingDir: join(import.meta.dirname, ".."),
    outfile: "index.mjs",
    bundle: true,
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
    plugins: [onlyTypes(types), leftOut([...neverTaken, ...without]), requiredBuiltins],
    logLevel: "silent",
  });
  const textOf = (ending: string) => outputFiles.find(({ path }) => path.endsWith(ending))?.text ?? "";
  return { code: textOf(".mjs"), map: textOf(".map"), inputs: Object.keys(metafile.inputs) };
}

/** Writes one bundle to `<folder>/<name>/index.mjs`, and its map beside the folder. */
export async function writeBundle(name: string, folder: string): Promise<void> {
  const found = bundles().get(name);
  if (found === undefined) throw new Error(`there is no bundle ${name}`);
  const { code, map } = await bundle(entryOf(found.entry), found.types, found.without);
  mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, name, "index.mjs"), code);
  writeFileSync(join(folder, `${name}.map`), map);
}

/**
 * The registry of all types becomes one of these types: what it does not name is not bundled. They are there from the start, for what is bundled and
 * imported later is kept as a function to be called, with all that it shares with the rest, and costs twice as much to read.
 */
function onlyTypes(types: readonly string[]): Plugin {
  const imports = types.map((type, index) => `import * as type${index} from "./${type}.ts";\n`).join("");
  const registry = renderRegistry(types).replace(
    /import\("\.\/(?<type>[^"]+)\.ts"\)/g,
    (_, type: string) => `Promise.resolve(type${types.indexOf(type)})`,
  );
  return {
    name: "only-types",
    setup: ({ onLoad }) => {
      onLoad({ filter: /[\\/]rotators[\\/]registry\.ts$/ }, () => ({
        contents: imports + registry,
        loader: "ts",
      }));
    },
  };
}

/** Whoever comes to it after all imports it then, and is told that it is not there. What is imported from the start is bundled in any case. */
function leftOut(packages: readonly string[]): Plugin {
  return {
    name: "left-out",
    setup: ({ onResolve }) => {
      onResolve({ filter: /.*/ }, ({ path, kind }) =>
        kind === "dynamic-import" && packages.includes(path) ? { path, external: true } : undefined,
      );
    },
  };
}

/**
 * Node's own modules are required where they would be imported: to import one is to read all that it exports, and of `node:http` that
 * loads another client of HTTP, which nobody here uses, and which takes as long as the whole of a function's own code.
 */
const requiredBuiltins: Plugin = {
  name: "required-builtins",
  setup: ({ onLoad, onResolve }) => {
    onResolve({ filter: /^[a-z_:/0-9]+$/ }, ({ path, namespace, kind }) => {
      if (!isBuiltin(path)) return undefined;
      if (namespace === "builtin" || kind === "require-call") return { path, external: true };
      return { path, namespace: "builtin" };
    });
    onLoad({ filter: /.*/, namespace: "builtin" }, ({ path }) => ({
      contents: `module.exports = require(${JSON.stringify(path)});`,
      loader: "js",
    }));
  },
};

if (import.meta.main) {
  const [folder = join(import.meta.dirname, "../dist/bundles"), ...names] = process.argv.slice(2);
  const isThere = (name: string) => existsSync(entryOf(bundles().get(name)?.entry ?? ""));
  for (const name of names.length > 0 ? names : [...bundles().keys()].filter(isThere)) {
    await writeBundle(name, folder);
  }
}
