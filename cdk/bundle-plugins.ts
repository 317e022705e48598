import { readFile } from "node:fs/promises";
import { isBuiltin } from "node:module";
import type { Plugin } from "esbuild";
import { renderRegistry } from "../rotators/generate.ts";

/**
 * The registry of all types becomes one of these types: what it does not name is not bundled. A single one is there from the start, for whoever has it
 * will need it; of several, each is read when it is asked for.
 */
export function onlyTypes(types: readonly string[]): Plugin {
  const [type, ...others] = types;
  const registry = renderRegistry(types);
  const contents =
    type === undefined || others.length > 0
      ? registry
      : `import * as type from "./${type}.ts";\n${registry.replace(`import("./${type}.ts")`, "Promise.resolve(type)")}`;
  return {
    name: "only-types",
    setup: ({ onLoad }) => {
      onLoad({ filter: /[\\/]rotators[\\/]registry\.ts$/ }, () => ({ contents, loader: "ts" }));
    },
  };
}

/** Whoever comes to it after all imports it then, and is told that it is not there. What is imported from the start is bundled in any case. */
export function leftOut(packages: readonly string[]): Plugin {
  const any = packages.map((name) => name.replaceAll("/", "\\/")).join("|");
  return {
    name: "left-out",
    setup: ({ onResolve }) => {
      onResolve({ filter: new RegExp(`^(${any})$`) }, ({ path, kind }) =>
        kind === "dynamic-import" ? { path, external: true } : undefined,
      );
    },
  };
}

/**
 * Node's own modules are required where they would be imported: to import one is to read all that it exports, and of `node:http` that
 * loads another client of HTTP, which nobody here uses, and which takes as long as the whole of a function's own code.
 */
export const requiredBuiltins: Plugin = {
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

/**
 * A client of the SDK describes the shapes of all its service's operations in one file, with keys that are computed from constants. A computed key may
 * do anything, so that none of it could be left out: with the constants' own texts for keys, what no operation of ours needs is.
 */
export const plainSchemas: Plugin = {
  name: "plain-schemas",
  setup: ({ onLoad }) => {
    onLoad(
      { filter: /[\\/]client-[a-z0-9-]+[\\/]dist-es[\\/]schemas[\\/]schemas_0\.js$/ },
      async ({ path }) => ({
        contents: withPlainKeys(await readFile(path, "utf8")),
        loader: "js",
      }),
    );
  },
};

function withPlainKeys(source: string): string {
  const constants = new Map(
    [...source.matchAll(/^const (\w+) = ("[^"\n]*");$/gm)].map(([, name, text]) => [name, text] as const),
  );
  return source.replace(/\[(\w+)\]:/g, (computed, name: string) => {
    const text = constants.get(name);
    return text === undefined ? computed : `${text}:`;
  });
}
